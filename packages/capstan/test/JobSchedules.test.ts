/** Schedules as data: served by every worker, changed and looked at by anybody. And those of code that vanish from there. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobGroup, JobSchedule, JobSchedules, JobStore } from "capstan"
import { Effect, Exit, Layer, Logger, Option, Schema, Scope } from "effect"
import { TestClock } from "effect/testing"
import { attendAll } from "../src/internal/schedules/attend.ts"
import { settle, storeWith, withOnly, withWorker } from "./harness.ts"

class Digest extends Job.make("Digest", { payload: { user: Schema.String }, retention: { completed: "forever" } }) {}
class Other extends Job.make("Other", { queue: "elsewhere" }) {}

const minute = 60_000
const minutes = (...values: ReadonlyArray<number>) => values.map((value) => value * minute)
const pass = (count: number) => Effect.forEach(Array.from({ length: count }), () => TestClock.adjust(minute))

const withSchedules = (store: Layer.Layer<JobStore.JobStore>) => Layer.provideMerge(JobSchedules.layer, store)
const storeOnly = withSchedules(JobStore.layerMemory())
/** A worker that knows nothing of the job of the schedules. */
const served = withSchedules(withWorker(JobGroup.make(Other), Other.toLayer(() => Effect.void)))

/** When records were enqueued, and the instants that they carry. */
const ticks = Effect.flatMap(JobStore.JobStore, (store) =>
  Effect.map(
    store.query({ where: { tag: "Digest" }, order: "oldest", limit: 1000 }),
    ({ records }) => records.map(({ headers }) => Number(headers["capstan-tick"]))
  ))

const schedules = JobSchedules.JobSchedules
const get = (name: string) => Effect.flatMap(schedules, ({ get }) => Effect.map(get(name), Option.getOrThrow))
const upsert = (name: string, options: JobSchedule.ScheduleOptions, user = "u") =>
  Effect.flatMap(schedules, ({ upsert }) => upsert(name, Digest, { ...options, payload: { user } }))

const reasonOf = <A, E>(effect: Effect.Effect<A, E, JobSchedules.JobSchedules>) =>
  Effect.map(Effect.flip(effect), (error) => {
    assert.instanceOf(error, JobError.ScheduleError)
    return [error.reason._tag, error.message]
  })

/** A process that declares the schedule in code, until it is stopped. */
const declare = (name: string, options: JobSchedule.ScheduleOptions) =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    const schedule = JobSchedule.make(name, Digest, { ...options, payload: ({ at }) => ({ user: String(at) }) })
    yield* Layer.buildWithScope(Layer.fresh(JobSchedule.layerAll(schedule)), scope)
    yield* settle
    return { stop: Scope.close(scope, Exit.void) }
  })

/** Hands a schedule to the workers now, as one of another release does that plans otherwise. */
const handOut = (name: string) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const { now, rows: [row] } = yield* store.schedules({ names: [name], limit: 1 })
    const { body, nextAt, revision } = row!
    assert.isTrue(yield* store.putSchedule({ name, revision, row: { nextAt, attendAt: now, body } }))
    yield* settle
    const { rows: [seen] } = yield* store.schedules({ names: [name], limit: 1 })
    assert.isAbove(seen!.revision, revision + 1, "a worker has seen to it")
  })

describe("a schedule as data", () => {
  it.effect("that is handed out before it is due is left until then", () =>
    Effect.gen(function*() {
      yield* upsert("early", { every: "10 minutes" })
      yield* pass(5)
      yield* handOut("early")
      assert.deepStrictEqual(yield* ticks, [])
      yield* pass(15)
      assert.deepStrictEqual(yield* ticks, minutes(10, 20))
    }).pipe(Effect.provide(served)))

  it.effect("that cannot be ticked keeps no other from it, is told of, and is seen to again", () => {
    const lines: Array<string> = []
    const failing = storeWith(({ tick }) => ({
      tick: (request) => request.name === "bad" && lines.length < 3 ? Effect.die("no") : tick(request)
    }))
    return Effect.gen(function*() {
      yield* upsert("bad", { every: "10 minutes" })
      yield* upsert("good", { every: "10 minutes" })
      yield* Layer.build(withOnly(JobGroup.make(Other), Other.toLayer(() => Effect.void)))
      yield* pass(11)
      assert.deepStrictEqual([(yield* get("bad")).count, (yield* get("good")).count], [1, 1])
      assert.deepStrictEqual(lines, Array(3).fill("schedule bad could not be seen to, it will be again"))
    }).pipe(
      Effect.scoped,
      Effect.provide(withSchedules(failing)),
      Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String([message].flat()[0])))]))
    )
  })

  it.effect("that is handed out when it has ended is left alone", () =>
    Effect.gen(function*() {
      yield* upsert("over", { every: "1 minute", end: 2 * minute })
      yield* pass(3)
      assert.strictEqual((yield* get("over")).status, "ended")
      yield* handOut("over")
      yield* pass(10)
      assert.deepStrictEqual(yield* ticks, minutes(1, 2))
    }).pipe(Effect.provide(served)))

  it.effect("is seen to by who is told when the first of them is due again, and nothing where none is", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const seeToDue = Effect.flatMap(store.maintain, ({ schedules }) => attendAll(store, schedules!))
      yield* upsert("often", { every: "1 minute", end: 10 * minute })
      yield* upsert("seldom", { every: "5 minutes", end: 10 * minute })
      yield* TestClock.adjust(minute)
      assert.strictEqual(yield* seeToDue, minute)
      yield* TestClock.adjust(4.5 * minute)
      assert.strictEqual(yield* seeToDue, 0.5 * minute, "of two that ticked, the first")
      yield* TestClock.adjust(3.5 * minute)
      assert.strictEqual(yield* seeToDue, minute)
      yield* TestClock.adjust(minute)
      assert.isUndefined(yield* seeToDue, "both have ended")
      assert.deepStrictEqual(yield* ticks, minutes(1, 5, 5, 9, 10, 10))
    }).pipe(Effect.provide(storeOnly)))

  it.effect("is ticked by any worker, also by one that does not know its job, once by many", () =>
    Effect.gen(function*() {
      yield* upsert("u1", { every: "10 minutes" }, "u1")
      yield* Effect.scoped(Effect.gen(function*() {
        for (let i = 0; i < 3; i++) {
          yield* Layer.build(withOnly(JobGroup.make(Other), Other.toLayer(() => Effect.void)))
        }
        yield* pass(35)
      }))
      assert.deepStrictEqual(yield* ticks, minutes(10, 20, 30))
      const store = yield* JobStore.JobStore
      const { records: [record] } = yield* store.query({ where: { tag: "Digest" }, order: "oldest", limit: 1 })
      assert.deepStrictEqual([record?.payload, record?.enqueuedAt], ["{\"user\":\"u1\"}", 10 * minute])
    }).pipe(Effect.provide(served)))

  it.effect("is made up for by its policy when no worker ran", () =>
    Effect.gen(function*() {
      yield* upsert("all", { every: "10 minutes", missed: "runAll" })
      yield* upsert("once", { every: "10 minutes" })
      yield* upsert("none", { every: "10 minutes", missed: "skip" })
      yield* pass(32)
      yield* Layer.build(withOnly(JobGroup.make(Other), Other.toLayer(() => Effect.void)))
      yield* pass(8)
      const of = (name: string) =>
        Effect.flatMap(JobStore.JobStore, (store) =>
          Effect.map(
            store.query({ where: { label: `schedule:${name}` }, order: "oldest", limit: 100 }),
            ({ records }) => records.map(({ headers }) => Number(headers["capstan-tick"]))
          ))
      assert.deepStrictEqual(yield* of("all"), minutes(10, 20, 30, 40))
      assert.deepStrictEqual(yield* of("once"), minutes(30, 40))
      assert.deepStrictEqual(yield* of("none"), minutes(40))
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))

  it.effect("an idle worker holds no timer but its next instant, and hears of one that is made earlier", () =>
    Effect.gen(function*() {
      yield* upsert("late", { every: "10 days" })
      yield* settle
      yield* upsert("early", { every: "1 minute", end: 2 * minute })
      yield* TestClock.adjust("3 minutes")
      assert.deepStrictEqual((yield* get("early")).status, "ended")
      yield* TestClock.adjust("20 days")
      assert.strictEqual((yield* get("late")).count, 2)
      assert.deepStrictEqual(yield* ticks, [minute, 2 * minute, 10 * 1440 * minute, 20 * 1440 * minute])
    }).pipe(Effect.provide(served)))

  it.effect("of many, each ticks, also those of the same instant", () =>
    Effect.gen(function*() {
      yield* Effect.forEach(Array.from({ length: 250 }, (_, i) => `u${i}`), (name) => upsert(name, { every: "1 hour" }))
      yield* TestClock.adjust("3 hours")
      assert.strictEqual((yield* ticks).length, 750)
    }).pipe(Effect.provide(served)))

  it.effect("can be read: its options, its next instant, its last run and how that ended", () =>
    Effect.gen(function*() {
      const made = yield* upsert("u1", { cron: "*/10 * * * *", overlap: "skip", limit: 5 })
      const { last, next, ...options } = made
      assert.deepStrictEqual(options, {
        name: "u1",
        job: "Digest",
        queue: "default",
        origin: "data",
        cron: "*/10 * * * *",
        timeZone: "UTC",
        every: undefined,
        start: undefined,
        end: undefined,
        limit: 5,
        jitter: undefined,
        missed: "runOnce",
        overlap: "skip",
        status: "active",
        paused: Option.none(),
        count: 0
      })
      assert.deepStrictEqual([last, Option.getOrThrow(next)], [Option.none(), { at: 10 * minute, dueAt: 10 * minute }])
      yield* TestClock.adjust("10 minutes")
      const run = Effect.map(get("u1"), ({ last }) => Option.getOrThrow(Option.getOrThrow(last).run))
      assert.strictEqual((yield* run).state, "ready")
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(
        Option.map((yield* get("u1")).last, ({ at, lateness, outcome }) => [at, lateness, outcome]),
        Option.some([20 * minute, 0, "Skipped"])
      )
      const digests = withOnly(JobGroup.make(Digest), Digest.toLayer(() => Effect.die("no mail server")), {})
      yield* Layer.build(digests)
      yield* TestClock.adjust("5 days")
      assert.deepStrictEqual([(yield* run).state, (yield* run).deadReason], ["dead", "Defect"])
      const store = yield* JobStore.JobStore
      yield* store.control({ action: { _tag: "Delete" }, where: { ids: [(yield* run).id] }, limit: 1 })
      assert.strictEqual((yield* run).state, "Gone")
    }).pipe(Effect.scoped, Effect.provide(served)))

  it.effect("is changed: the next instant counts from now, and stays where only the payload is another", () =>
    Effect.gen(function*() {
      yield* upsert("u1", { every: "10 minutes" })
      yield* pass(15)
      yield* upsert("u1", { every: "10 minutes" }, "other")
      yield* pass(6)
      yield* upsert("u1", { every: "4 minutes" })
      yield* pass(5)
      assert.deepStrictEqual(yield* ticks, minutes(10, 20, 24))
      assert.strictEqual((yield* get("u1")).count, 3)
    }).pipe(Effect.provide(served)))

  it.effect("is paused and resumed: what passed meanwhile was not missed", () =>
    Effect.gen(function*() {
      const { pause, resume } = yield* schedules
      yield* upsert("u1", { every: "10 minutes", missed: "runAll" })
      yield* pass(15)
      assert.deepStrictEqual([yield* pause("u1", { reason: "holidays" }), yield* pause("u1")], [true, false])
      const paused = yield* get("u1")
      assert.deepStrictEqual([paused.status, paused.next], ["paused", Option.none()])
      assert.deepStrictEqual(paused.paused, Option.some({ reason: "Operator", at: 15 * minute, detail: "holidays" }))
      yield* upsert("u1", { every: "10 minutes", missed: "runAll" })
      yield* pass(30)
      assert.deepStrictEqual([yield* resume("u1"), yield* resume("u1")], [true, false])
      yield* pass(10)
      assert.deepStrictEqual(yield* ticks, minutes(10, 50))
    }).pipe(Effect.provide(served)))

  it.effect("is run by hand, also while it is paused, and its plan stays as it was", () =>
    Effect.gen(function*() {
      const { pause, runNow } = yield* schedules
      yield* upsert("u1", { every: "10 minutes", overlap: "skip" })
      yield* pass(3)
      const answer = yield* runNow("u1")
      assert.strictEqual(answer._tag, "Enqueued")
      assert.deepStrictEqual(yield* runNow("u1"), { ...answer, _tag: "Skipped" })
      yield* pause("u1")
      assert.strictEqual((yield* runNow("u1"))._tag, "Skipped")
      assert.deepStrictEqual(yield* ticks, minutes(3))
      const { count, status } = yield* get("u1")
      assert.deepStrictEqual([count, status], [0, "paused"])
    }).pipe(Effect.provide(served)))

  it.effect("is removed, and its records stay", () =>
    Effect.gen(function*() {
      const { get, remove } = yield* schedules
      yield* upsert("u1", { every: "10 minutes" })
      yield* pass(10)
      yield* remove("u1")
      yield* pass(30)
      assert.deepStrictEqual(yield* ticks, minutes(10))
      assert.deepStrictEqual(yield* get("u1"), Option.none())
    }).pipe(Effect.provide(served)))

  it.effect("is listed by name, a hundred at a time", () =>
    Effect.gen(function*() {
      const { list } = yield* schedules
      const names = Array.from({ length: 130 }, (_, i) => `u${String(i).padStart(3, "0")}`)
      yield* Effect.forEach(names, (name) => upsert(name, { every: "1 hour" }))
      const first = yield* list()
      const second = yield* list({ after: first.at(-1)!.name })
      assert.deepStrictEqual([first.length, [...first, ...second].map(({ name }) => name)], [100, names])
    }).pipe(Effect.provide(storeOnly)))

  it.effect("of a job that keeps its records for ever keeps that", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      yield* upsert("u1", { every: "1 minute", limit: 1 })
      yield* pass(1)
      const [claimed] = (yield* store.exchange({
        worker: "w",
        lease: 30_000,
        settlements: [],
        demand: [{ queue: "default", slots: 1, share: 1 }],
        total: 1
      })).claimed
      const { fence, id } = claimed!
      const outcome = { _tag: "Complete", result: undefined } as const
      yield* store.exchange({
        worker: "w",
        lease: 30_000,
        settlements: [{ id, fence, outcome, finishedAfter: 0 }],
        demand: [],
        total: 0
      })
      yield* TestClock.adjust("1000 days")
      yield* store.maintain
      assert.isDefined(yield* store.get(id))
    }).pipe(Effect.provide(served)))
})

describe("a call that cannot be meant fails typed, and changes nothing", () => {
  it.effect("a name that is none", () =>
    Effect.gen(function*() {
      const { pause, remove, resume, runNow } = yield* schedules
      for (const call of [pause("x"), remove("x"), resume("x"), runNow("x")]) {
        assert.deepStrictEqual(yield* reasonOf(call), ["ScheduleNotFound", "there is no schedule x"])
      }
    }).pipe(Effect.provide(storeOnly)))

  it.effect("options", () =>
    Effect.gen(function*() {
      const [tag, message] = yield* reasonOf(upsert("s", { cron: "* *" }))
      assert.strictEqual(tag, "InvalidSchedule")
      assert.match(message!, /schedule s: "\* \*" in UTC is no cron expression/)
      const { upsert: put } = yield* schedules
      const error = yield* Effect.flip(put("s", Digest, { every: "1 hour", payload: { user: 1 as never } }))
      assert.instanceOf(error, JobError.EnqueueError)
      assert.deepStrictEqual(yield* (yield* schedules).list(), [])
    }).pipe(Effect.provide(storeOnly)))

  it.effect("a schedule that code declares is changed there", () =>
    Effect.gen(function*() {
      yield* declare("mine", { every: "10 minutes" })
      const { remove } = yield* schedules
      assert.deepStrictEqual((yield* reasonOf(upsert("mine", { every: "1 minute" })))[0], "DeclaredInCode")
      assert.deepStrictEqual((yield* reasonOf(remove("mine")))[0], "DeclaredInCode")
      yield* pass(10)
      assert.deepStrictEqual(yield* ticks, minutes(10))
    }).pipe(Effect.provide(storeOnly)))
})

describe("a schedule of code", () => {
  it.effect("is paused and resumed by anybody, over restarts and other definitions", () =>
    Effect.gen(function*() {
      const { pause, resume } = yield* schedules
      const { stop } = yield* declare("mine", { every: "10 minutes" })
      yield* pass(10)
      yield* pause("mine")
      yield* pass(20)
      yield* stop
      yield* declare("mine", { every: "5 minutes" })
      yield* pass(20)
      assert.strictEqual((yield* get("mine")).status, "paused")
      yield* resume("mine")
      yield* pass(10)
      assert.deepStrictEqual(yield* ticks, minutes(10, 55, 60))
    }).pipe(Effect.provide(storeOnly)))

  it.effect("is run by hand by a process that can make its payload, whoever asks", () =>
    Effect.gen(function*() {
      const { pause, runNow } = yield* schedules
      const { stop } = yield* declare("mine", { every: "10 minutes" })
      yield* pause("mine")
      yield* pass(3)
      assert.deepStrictEqual(yield* runNow("mine"), { _tag: "Requested" })
      yield* settle
      assert.deepStrictEqual(yield* ticks, minutes(3))
      yield* stop
      yield* runNow("mine")
      yield* runNow("mine")
      yield* pass(2)
      assert.deepStrictEqual(yield* ticks, minutes(3))
      yield* declare("mine", { every: "10 minutes" })
      assert.deepStrictEqual(yield* ticks, minutes(3, 3))
    }).pipe(Effect.provide(storeOnly)))

  it.effect("takes over a schedule that was data, with a warning", () => {
    const lines: Array<string> = []
    return Effect.gen(function*() {
      yield* upsert("mine", { every: "10 minutes" })
      yield* pass(5)
      yield* declare("mine", { every: "10 minutes" })
      yield* pass(10)
      assert.deepStrictEqual([(yield* get("mine")).origin, yield* ticks], ["code", minutes(10)])
      assert.deepStrictEqual(lines, [
        "schedule mine was made by JobSchedules.upsert, and is declared in code from here on"
      ])
    }).pipe(
      Effect.provide(served),
      Effect.provide(Logger.layer([Logger.make(({ message }) => void lines.push(String(message)))]))
    )
  })
})

describe("a schedule that vanished from code", () => {
  const withWarnings = <A, E>(
    body: (warnings: ReadonlyArray<string>) => Effect.Effect<A, E, JobSchedules.JobSchedules | JobStore.JobStore>
  ) => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => void (logLevel === "Warn" && lines.push(String(message))))
    return body(lines).pipe(Effect.provide(served), Effect.provide(Logger.layer([logger])))
  }

  it.effect("is paused with a warning, and kept; it can be removed then", () =>
    withWarnings((warnings) =>
      Effect.gen(function*() {
        const { stop } = yield* declare("mine", { every: "1 hour" })
        yield* pass(61)
        yield* stop
        yield* pass(69)
        const { paused, status } = yield* get("mine")
        assert.strictEqual(status, "paused")
        assert.deepStrictEqual(Option.getOrThrow(paused), {
          reason: "Vanished",
          at: 130 * minute,
          detail: "no process has declared it since it was due at 1970-01-01T02:00:00.000Z"
        })
        assert.deepStrictEqual(warnings.map((line) => line.slice(0, 46)), [
          "schedule mine of job Digest is paused: no proc"
        ])
        yield* pass(600)
        assert.strictEqual(warnings.length, 1)
        const { remove } = yield* schedules
        yield* remove("mine")
        assert.deepStrictEqual(yield* (yield* schedules).list(), [])
      })
    ))

  it.effect("is watched for its five minutes, however often it is handed out", () =>
    withWarnings(() =>
      Effect.gen(function*() {
        const { stop } = yield* declare("mine", { every: "1 hour" })
        yield* stop
        yield* pass(66)
        yield* handOut("mine")
        yield* pass(3)
        assert.strictEqual((yield* get("mine")).status, "active")
        yield* pass(1)
        assert.strictEqual(Option.getOrThrow((yield* get("mine")).paused).at, 70 * minute)
      })
    ))

  it.effect("goes on when a process declares it again, and makes up for what it missed", () =>
    withWarnings(() =>
      Effect.gen(function*() {
        const { stop } = yield* declare("mine", { every: "1 hour", missed: "runAll" })
        yield* pass(61)
        yield* stop
        yield* pass(190)
        assert.strictEqual((yield* get("mine")).status, "paused")
        yield* declare("mine", { every: "1 hour", missed: "runAll" })
        assert.strictEqual((yield* get("mine")).status, "active")
        yield* pass(60)
        assert.deepStrictEqual(yield* ticks, minutes(60, 120, 180, 240, 300))
      })
    ))

  it.effect("has not while one of several processes restarts, nor while all do, nor while its payload fails", () =>
    withWarnings((warnings) =>
      Effect.gen(function*() {
        const first = yield* declare("mine", { every: "10 minutes" })
        const second = yield* declare("mine", { every: "10 minutes" })
        yield* pass(19)
        yield* first.stop
        yield* pass(30)
        yield* second.stop
        // Nobody declares it for nine minutes, over an instant.
        yield* pass(9)
        const third = yield* declare("mine", { every: "10 minutes" })
        yield* pass(20)
        assert.deepStrictEqual(warnings, [])
        yield* third.stop
        const failing = JobSchedule.make("mine", Digest, {
          every: "10 minutes",
          payload: () => {
            throw new Error("no payload")
          }
        })
        yield* Effect.scoped(Effect.andThen(Layer.build(Layer.fresh(JobSchedule.layerAll(failing))), pass(120)))
        assert.isTrue(warnings.every((line) => line.startsWith("schedule mine failed and goes on")))
        assert.strictEqual((yield* get("mine")).status, "active")
      })
    ))

  it.effect("is watched for five minutes before it is, when all has been down for long", () =>
    Effect.gen(function*() {
      const { stop } = yield* declare("mine", { every: "10 minutes" })
      yield* pass(10)
      yield* stop
      yield* TestClock.adjust("3 days")
      yield* Layer.build(withOnly(JobGroup.make(Other), Other.toLayer(() => Effect.void)))
      yield* pass(4)
      assert.strictEqual((yield* get("mine")).status, "active")
      yield* declare("mine", { every: "10 minutes" })
      yield* pass(9)
      assert.strictEqual((yield* get("mine")).status, "active")
    }).pipe(Effect.scoped, Effect.provide(storeOnly)))
})
