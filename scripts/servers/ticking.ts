/**
 * Many processes on one schedule: what each of them runs, and what must have come of it. For stores that processes share.
 */
import { assert } from "@effect/vitest"
import { Job, JobGroup, JobSchedule, JobSchedules, JobStore, JobWorker } from "capstan"
import { Context, Effect, Layer, Option, Schema, type Scope } from "effect"
import type { Program } from "./program.ts"

class Ticked extends Job.make("Ticked", { payload: Schema.Number, retention: { completed: "1 hour" } }) {}
class Group extends JobGroup.make(Ticked) {}

const every = 500

/** One process of many: it declares a schedule, and serves another one that is data. Says when it is there. */
export const process: Layer.Layer<never, never, JobStore.JobStore> = Layer.mergeAll(
  JobSchedule.layer(Ticked, { name: "declared", every, missed: "runAll", payload: ({ at }) => at }),
  JobWorker.layer(Group, { concurrency: 2, shutdownGrace: 0 }).pipe(
    Layer.tap((context) =>
      Effect.andThen(
        Context.get(context, JobWorker.JobWorker).awaitReady,
        Effect.sync(() => console.log("ready"))
      )
    ),
    Layer.provide(Ticked.toLayer(() => Effect.void))
  )
)

const records = (name: string) =>
  Effect.flatMap(JobStore.JobStore, (store) =>
    Effect.map(
      store.query({ where: { label: `schedule:${name}` }, order: "oldest", limit: 1000 }),
      ({ records }) => records.map(({ enqueuedAt, headers }) => ({ at: Number(headers["capstan-tick"]), enqueuedAt }))
    ))

const until = <E, R>(what: string, seconds: number, check: Effect.Effect<boolean, E, R>) =>
  Effect.gen(function*() {
    for (let i = 0; i < seconds * 10; i++) {
      if (yield* check) return
      yield* Effect.sleep("100 millis")
    }
    assert.fail(`waited ${seconds} s in vain: ${what}`)
  })

/**
 * Twenty processes on both schedules, of which five are killed in the midst of it: each instant has had one tick, and none is
 * missing. Answers how late the ticks were once all were there, in milliseconds.
 */
export const twenty = <E>(
  start: Effect.Effect<Program, E, Scope.Scope>
): Effect.Effect<ReadonlyArray<number>, unknown, JobStore.JobStore | Scope.Scope> =>
  Effect.gen(function*() {
    const { upsert } = yield* JobSchedules.JobSchedules
    yield* upsert("data", Ticked, { every, missed: "runAll", payload: 0 })
    const programs = yield* Effect.forEach(Array.from({ length: 20 }), () => start)
    yield* until("twenty processes", 120, Effect.sync(() => programs.every(({ output }) => output().includes("ready"))))
    const { now } = yield* (yield* JobStore.JobStore).schedules({ limit: 1 })
    const hasTicked = (to: number) =>
      Effect.map(
        Effect.forEach(["declared", "data"], records),
        (all) => all.every((ticks) => ticks.some(({ at }) => at > to))
      )
    yield* until("ticks by twenty processes", 60, hasTicked(now + 20 * every))
    for (const { kill } of programs.slice(0, 5)) yield* kill("SIGKILL")
    yield* until("ticks by those that are left", 60, hasTicked(now + 30 * every))
    for (const { kill } of programs) yield* kill("SIGKILL")

    const late: Array<number> = []
    for (const name of ["declared", "data"]) {
      const ticks = yield* records(name)
      const instants = ticks.map(({ at }) => at)
      const first = instants[0]!
      assert.deepStrictEqual(instants, instants.map((_, i) => first + i * every), `the instants of ${name}`)
      for (const { at, enqueuedAt } of ticks) if (at > now) late.push(enqueuedAt - at)
    }
    return late.toSorted((a, b) => a - b)
  }).pipe(Effect.provide(JobSchedules.layer))

/** For so long as the effect runs, a worker serves what is data. */
const withWorker = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.scoped(Effect.andThen(
    Layer.build(Layer.fresh(
      JobWorker.layer(Group, { shutdownGrace: 0 }).pipe(
        Layer.provide(Ticked.toLayer(() => Effect.void))
      )
    )),
    effect
  ))

/**
 * Every worker is down over three instants, by a clock of the store that the test moves. Then it is set back by more than
 * that, and nothing ticks twice.
 */
export const outage = (
  advance: (millis: number) => Effect.Effect<void>
): Effect.Effect<void, unknown, JobStore.JobStore> =>
  Effect.gen(function*() {
    const { get, list, pause, remove, resume, runNow, upsert } = yield* JobSchedules.JobSchedules
    const store = yield* JobStore.JobStore
    const policies = ["skip", "runOnce", "runAll"] as const
    const { now } = yield* store.schedules({ limit: 1 })
    const period = 600_000
    for (const missed of policies) {
      yield* upsert(missed, Ticked, { every: period, start: now + period, missed, payload: 0 })
    }
    const ticks = Effect.map(
      Effect.forEach(policies, records),
      (all) => all.map((ticks) => ticks.map(({ at }) => (at - now) / period))
    )
    const become = (expected: ReadonlyArray<ReadonlyArray<number>>) =>
      until(
        JSON.stringify(expected),
        30,
        Effect.map(ticks, (is) => JSON.stringify(is) === JSON.stringify(expected))
      )
    yield* advance(period)
    yield* withWorker(become([[1], [1], [1]]))
    // Over 2, 3 and 4, and five minutes more.
    yield* advance(3.5 * period)
    yield* withWorker(become([[1], [1, 4], [1, 2, 3, 4]]))
    yield* advance(-2 * period)
    const { workers: gone } = yield* store.stats
    const isThere = Effect.map(
      store.stats,
      ({ workers }) => workers.some(({ worker }) => gone.every((one) => one.worker !== worker))
    )
    // It has a second in which it would tick, from when it is there.
    yield* withWorker(Effect.andThen(until("the worker is there", 30, isThere), Effect.sleep("1 second")))
    assert.deepStrictEqual(yield* ticks, [[1], [1, 4], [1, 2, 3, 4]])
    yield* advance(2.5 * period)
    const hasRun = Effect.map(get("runOnce"), (found) =>
      Option.getOrUndefined(Option.flatMap(
        Option.flatMap(found, ({ last }) => last),
        ({ run }) => run
      ))?.state === "completed")
    yield* withWorker(
      Effect.andThen(become([[1, 5], [1, 4, 5], [1, 2, 3, 4, 5]]), until("what has ticked last has run", 30, hasRun))
    )

    const { last, next, status } = Option.getOrThrow(yield* get("runOnce"))
    const { lateness, run } = Option.getOrThrow(last)
    assert.deepStrictEqual([status, Option.getOrThrow(next).at, lateness], ["active", now + 6 * period, 0])
    assert.strictEqual(Option.getOrThrow(run).state, "completed")
    assert.deepStrictEqual([yield* pause("skip"), (yield* runNow("skip"))._tag, yield* resume("skip")], [
      true,
      "Enqueued",
      true
    ])
    yield* remove("skip")
    assert.deepStrictEqual((yield* list()).map(({ name }) => name), ["runAll", "runOnce"])
  }).pipe(Effect.provide(JobSchedules.layer))

/** The figure that a test prints. */
export const figure = (store: string, late: ReadonlyArray<number>): string => {
  const of = (part: number) => late[Math.min(late.length - 1, Math.floor(late.length * part))]
  return `${store}: lateness of ${late.length} ticks by twenty processes: p50 ${of(0.5)} ms, p99 ${of(0.99)} ms, most ${
    late.at(-1)
  } ms`
}
