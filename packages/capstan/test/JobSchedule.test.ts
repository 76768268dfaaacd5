import { assert, describe, it } from "@effect/vitest"
import { Job, JobSchedule, JobStore } from "capstan"
import { Clock, Effect, Exit, Layer, Logger, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { storeWith } from "./harness.ts"

class Report extends Job.make("Report", { payload: Schema.String }) {}

const hour = 60 * 60 * 1000

/** One process with a schedule. */
const start = (options: JobSchedule.Options<typeof Report>) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    yield* Layer.buildWithScope(Layer.fresh(JobSchedule.layer(Report, options)), scope)
    yield* TestClock.adjust(0)
    return { stop: Scope.close(scope, Exit.void) }
  })

/** The hours of virtual time at which records were enqueued, by payload. */
const ticks = Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  const { records } = yield* store.query({ where: {}, order: "oldest", limit: 1000 })
  const at = new Map<string, Array<number>>()
  for (const { enqueuedAt, payload } of records) {
    at.set(payload, [...(at.get(payload) ?? []), enqueuedAt / hour])
  }
  return Object.fromEntries([...at].map(([payload, hours]) => [JSON.parse(payload) as string, hours]))
})

/** Hour by hour: a schedule that moves on wakes at instants of its own. */
const pass = (hours: number) => Effect.repeat(TestClock.adjust("30 minutes"), { times: hours * 2 - 1 })

const fullHours = (payload: string) => ({ cron: "0 * * * *", payload })
const halfHours = (payload: string) => ({ cron: "30 * * * *", payload })

describe("JobSchedule", () => {
  it.effect("with two definitions side by side, the one that started last ticks and the other stands by", () =>
    Effect.gen(function*() {
      yield* start(fullHours("old"))
      yield* pass(1)
      yield* start(halfHours("new"))
      yield* pass(3)
      assert.deepStrictEqual(yield* ticks, { old: [1], new: [1.5, 2.5, 3.5] })
    }).pipe(Effect.provide(JobStore.layerMemory())))

  it.effect("who stood by goes on when its definition is put again by a rollback", () =>
    Effect.gen(function*() {
      yield* start(fullHours("old"))
      const fresh = yield* start(halfHours("new"))
      yield* pass(1)
      yield* fresh.stop
      const again = yield* start(fullHours("old"))
      yield* again.stop
      yield* pass(2)
      assert.deepStrictEqual(yield* ticks, { new: [0.5], old: [2, 3] })
    }).pipe(Effect.provide(JobStore.layerMemory())))

  it.effect("a definition that nobody serves any more is taken over by who stands by", () =>
    Effect.gen(function*() {
      yield* start(fullHours("old"))
      const crashed = yield* start(halfHours("new"))
      yield* pass(1)
      yield* crashed.stop
      yield* pass(3)
      // At 1:00 the new one is not overdue yet.
      assert.deepStrictEqual(yield* ticks, { new: [0.5], old: [2, 3, 4] })
    }).pipe(Effect.provide(JobStore.layerMemory())))

  it.effect("a payload that throws is tried again, and the ticks after it follow", () => {
    let thrown = 0
    const payload = ({ at }: JobSchedule.Tick) => {
      if (at === 2 * hour && thrown++ < 2) throw new Error("no report today")
      return "report"
    }
    const lines: Array<string> = []
    const logger = Logger.make(({ message }) => void lines.push(String(message)))
    return Effect.gen(function*() {
      const process = yield* start({ ...fullHours(""), payload })
      yield* pass(4)
      assert.deepStrictEqual(yield* ticks, { report: [1, 2 + 3000 / hour, 3, 4] })
      yield* process.stop
      assert.deepStrictEqual(
        lines.map((line) => line.split(",")[0]),
        Array(2).fill("schedule Report failed and goes on")
      )
    }).pipe(Effect.provide(JobStore.layerMemory()), Effect.provide(Logger.layer([logger])))
  })

  it.effect("instants that passed while no process ran are made up for by the latest of them", () =>
    Effect.gen(function*() {
      const seen: Array<number> = []
      const options = { ...fullHours(""), payload: ({ at }: JobSchedule.Tick) => (seen.push(at / hour), "report") }
      const process = yield* start(options)
      yield* pass(1)
      yield* process.stop
      yield* TestClock.adjust(5 * hour + 10 * 60_000)
      yield* start(options)
      yield* pass(1)
      assert.deepStrictEqual(seen, [1, 6, 7])
    }).pipe(Effect.provide(JobStore.layerMemory())))

  it.effect("schedules that are due at one instant are ticked side by side: the last is not late by all the others", () =>
    Effect.gen(function*() {
      const all = Array.from({ length: 8 }, (_, i) => JobSchedule.make(`hourly-${i}`, Report, fullHours(`${i}`)))
      yield* Layer.buildWithScope(Layer.fresh(JobSchedule.layerAll(...all)), yield* Scope.make())
      yield* TestClock.adjust(hour)
      yield* Effect.repeat(TestClock.adjust("1 second"), { times: 9 })
      const late = Object.values(yield* ticks).map(([at]) => Math.round((at! - 1) * 3600))
      assert.deepStrictEqual([late.length, Math.max(...late)], [8, 2])
    }).pipe(Effect.provide(storeWith((store) => ({
      tick: (request) => Effect.andThen(Effect.sleep("1 second"), store.tick(request))
    })))))

  it.effect("the store's clock decides, also for a process whose own is off", () =>
    Effect.gen(function*() {
      const clock = yield* Clock.Clock
      const ahead = () => clock.currentTimeMillisUnsafe() + 20 * 60_000
      yield* Effect.provideService(start(fullHours("report")), Clock.Clock, {
        ...clock,
        currentTimeMillisUnsafe: ahead,
        currentTimeMillis: Effect.sync(ahead)
      })
      yield* pass(3)
      assert.deepStrictEqual(yield* ticks, { report: [1, 2, 3] })
    }).pipe(Effect.provide(JobStore.layerMemory())))

  it("refuses an expression without any instant", () => {
    assert.throws(() => JobSchedule.layer(Report, { cron: "0 0 31 2 *", payload: "" }), /schedule Report: .*no instant/)
  })
})
