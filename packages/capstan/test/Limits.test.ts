import { assert, describe, it } from "@effect/vitest"
import {
  Job,
  JobContext,
  JobError,
  JobGroup,
  JobLimit,
  Jobs,
  JobSchedule,
  JobSchedules,
  JobStore,
  JobWorker
} from "capstan"
import { Effect, Layer, Option, Schedule, Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { nextAt, taken, tokens } from "../src/internal/memory/bucket.ts"
import { Gate } from "../src/internal/memory/limits.ts"
import { recordOf, settle, storeWith, withOnly, withWorker } from "./harness.ts"

const Api = JobLimit.make("api", { concurrency: 2, rate: { limit: 2, per: "1 second" } })

class Fetch extends Job.make("Fetch", {
  payload: { account: Schema.String },
  limit: { by: Api, key: ({ account }) => account }
}) {}
class Push extends Job.make("Push", {
  payload: { account: Schema.String },
  limit: { by: Api, key: ({ account }) => account }
}) {}
class Task extends Job.make("Task", { payload: Schema.Number }) {}
const group = JobGroup.make(Fetch, Push, Task)

const now = Effect.clockWith((clock) => clock.currentTimeMillis)

/** Handlers that note when each record started, and take no time. */
const noting = () => {
  const starts: Array<{ readonly what: string; readonly at: number }> = []
  const note = (what: string) => Effect.map(now, (at) => void starts.push({ what, at }))
  const layer = group.toLayer({
    Fetch: ({ account }) => note(account),
    Push: ({ account }) => note(account),
    Task: (n) => note(String(n))
  })
  return { starts, layer }
}

describe("a rate", () => {
  it.effect("of a key lets its records start at even distances, over jobs, and leaves other keys alone", () => {
    const { layer, starts } = noting()
    return Effect.gen(function*() {
      for (let i = 0; i < 3; i++) {
        yield* Fetch.enqueue({ account: "a" })
        yield* Push.enqueue({ account: "a" })
      }
      yield* Fetch.enqueue({ account: "b" })
      yield* TestClock.adjust("10 seconds")
      const of = (account: string) => starts.filter(({ what }) => what === account).map(({ at }) => at)
      assert.deepStrictEqual(of("a"), [0, 500, 1000, 1500, 2000, 2500])
      assert.deepStrictEqual(of("b"), [0])
    }).pipe(Effect.provide(withWorker(group, layer)))
  })

  it.effect("of a queue holds for all its jobs, and a burst comes at once after a pause", () => {
    const { layer, starts } = noting()
    const options = { queues: { default: { limit: { rate: { limit: 3, per: "3 seconds", burst: 3 } } } } } as const
    return Effect.gen(function*() {
      for (let i = 0; i < 5; i++) yield* Task.enqueue(i)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(starts.map(({ at }) => at), [0, 0, 0, 1000, 2000])
      for (let i = 0; i < 4; i++) yield* Task.enqueue(i)
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(starts.slice(5).map(({ at }) => at - 60_000), [0, 0, 0, 1000])
    }).pipe(Effect.provide(withWorker(group, layer, options)))
  })

  it("is not refilled by a clock that was read before that of the last start", () => {
    const gate = new Gate()
    const settings = { rate: { limit: 3, perMillis: 1000, burst: 3 } }
    for (let i = 0; i < 3; i++) gate.take(settings, 10_000)
    assert.strictEqual(gate.open(settings, 9200), 0)
    assert.strictEqual(gate.open(settings, 10_000), 0)
    assert.strictEqual(gate.open(settings, 11_000), 3)
    // One that was set back for good does not close it for as long.
    for (let i = 0; i < 3; i++) gate.take(settings, 90_000_000)
    gate.open(settings, 10_000)
    assert.strictEqual(gate.open(settings, 12_000), 3)
  })

  it("lets no window through more than it says, whatever arrives when, and wastes nothing under load", () => {
    let seed = 7
    const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647
    for (let run = 0; run < 300; run++) {
      const rate = {
        limit: 1 + Math.floor(random() * 50),
        perMillis: 1 + Math.floor(random() * 5000),
        burst: 1 + Math.floor(random() * 20)
      }
      const isBusy = run % 2 === 0
      const starts: Array<number> = []
      let fullAt = 0
      let at = 1_000_000
      const share = isBusy ? 1 : 0.8
      while (starts.length < 400) {
        for (let n = tokens(rate, fullAt, at); n > 0 && random() < share; n--) {
          fullAt = taken(rate, fullAt, at)
          starts.push(at)
        }
        const next = nextAt(rate, fullAt, 1)
        if (next > at + 1) assert.strictEqual(tokens(rate, fullAt, next - 2), 0)
        if (next > at) assert.isAtLeast(tokens(rate, fullAt, next), 1)
        at = isBusy ? Math.max(at + 1, next) : at + 1 + Math.floor(random() * 3 * rate.perMillis / rate.limit)
      }
      for (let i = 0, from = 0; i < starts.length; i++) {
        while (starts[from]! <= starts[i]! - rate.perMillis) from++
        assert.isAtMost(i - from + 1, rate.limit + rate.burst - 1, JSON.stringify(rate))
      }
      if (isBusy) {
        const expected = (starts.at(-1)! - starts[0]!) / rate.perMillis * rate.limit
        assert.isAtLeast(starts.length, 0.99 * expected - 1)
      }
    }
  })

  it.effect("costs an idle worker nothing, and a month of waiting one look for each start", () => {
    let exchanges = 0
    const store = storeWith((store) => ({
      exchange: (request) => Effect.suspend(() => (exchanges++, store.exchange(request)))
    }))
    const Daily = JobLimit.make("daily", { rate: { limit: 1, per: "1 day" } })
    class Report extends Job.make("Report", {
      payload: Schema.Number,
      limit: { by: Daily, key: () => "k" },
      retention: { completed: "forever" }
    }) {}
    return Effect.gen(function*() {
      yield* Report.enqueueMany(Array.from({ length: 30 }, (_, i) => i))
      yield* TestClock.adjust("31 days")
      const jobs = yield* Jobs.Jobs
      assert.strictEqual((yield* jobs.query({ states: ["completed"] })).records.length, 30)
      assert.isAtMost(exchanges, 150)
    }).pipe(
      Effect.provide(Layer.provideMerge(withOnly(JobGroup.make(Report), Report.toLayer(() => Effect.void)), store))
    )
  })
})

describe("a handler that was told to wait", () => {
  const Limit = JobLimit.make("third", { concurrency: 5 })
  class Call extends Job.make("Call", { payload: Schema.String, limit: { by: Limit, key: (key) => key } }) {}
  class Plain extends Job.make("Plain", { payload: Schema.String, maxAttempts: 1 }) {}
  const group = JobGroup.make(Call, Plain)

  /** Handlers of which the first call answers that there were too many. */
  const limitedOnce = (what: "key" | "queue") => {
    const starts: Array<readonly [key: string, at: number, attempt: number]> = []
    const handler = (key: string) =>
      Effect.gen(function*() {
        const context = yield* JobContext.JobContext
        starts.push([key, yield* now, context.attempt])
        if (starts.length === 1) return yield* context.limited(what, "30 seconds")
      })
    return { starts, layer: group.toLayer({ Call: handler, Plain: handler }) }
  }

  it.effect("stops its key alone, charges no attempt, and runs first when the time is over", () => {
    const { layer, starts } = limitedOnce("key")
    return Effect.gen(function*() {
      const { id } = yield* Call.enqueue("a")
      yield* settle
      yield* Call.enqueue("a")
      yield* Call.enqueue("b")
      yield* TestClock.adjust("29 seconds")
      assert.deepStrictEqual(starts.map(([key]) => key), ["a", "b"])
      const jobs = yield* Jobs.Jobs
      const [key] = yield* Stream.runCollect(jobs.keys("third"))
      assert.deepStrictEqual([key!.key, key!.waiting, key!.limitedUntil], ["a", 2, Option.some(30_000)])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(starts.slice(2), [["a", 30_000, 1], ["a", 30_000, 1]])
      assert.deepStrictEqual((yield* recordOf(id)).attempts.map(({ decision }) => decision), ["snoozed", "completed"])
    }).pipe(Effect.provide(withWorker(group, layer)))
  })

  it.effect("stops its queue", () => {
    const { layer, starts } = limitedOnce("queue")
    return Effect.gen(function*() {
      yield* Plain.enqueue("x")
      yield* settle
      yield* Call.enqueue("b")
      yield* TestClock.adjust("29 seconds")
      assert.strictEqual(starts.length, 1)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(starts.slice(1), [["x", 30_000, 1], ["b", 30_000, 1]])
    }).pipe(Effect.provide(withWorker(group, layer)))
  })

  it.effect("has no key to stop without a limit: that is a defect", () => {
    const { layer } = limitedOnce("key")
    return Effect.gen(function*() {
      const { id } = yield* Plain.enqueue("x")
      yield* settle
      const { failures, state } = yield* recordOf(id)
      assert.strictEqual(state, "dead")
      assert.include(failures[0]!.message, "job Plain has no limit whose key could be limited")
    }).pipe(Effect.provide(withWorker(group, layer)))
  })
})

describe("limits through Jobs", () => {
  it.effect("show what code proposed, what an operator set, and what holds, and change while workers run", () => {
    const { layer, starts } = noting()
    return Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      yield* settle
      const set = yield* jobs.setLimit({ key: "api" }, { rate: { limit: 1, per: "10 seconds" } })
      assert.deepStrictEqual(set.of, { key: "api" })
      assert.deepStrictEqual(set.holds, { concurrency: 2, rate: { limit: 1, perMillis: 10_000, burst: 1 } })
      assert.deepStrictEqual(set.proposed.rate, { limit: 2, perMillis: 1000, burst: 1 })
      assert.strictEqual(set.release._tag === "Some" && set.release.value, 4)
      for (let i = 0; i < 3; i++) yield* Fetch.enqueue({ account: "a" })
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(starts.map(({ at }) => at), [0, 10_000])
      yield* jobs.clearLimit({ key: "api" })
      // A faster rate begins within a second, from an empty bucket.
      yield* TestClock.adjust("1500 millis")
      assert.deepStrictEqual(starts.map(({ at }) => at), [0, 10_000, 11_500])
      yield* jobs.setLimit({ queue: "default" }, { concurrency: 0 })
      yield* Task.enqueue(1)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(starts.length, 3)
      yield* jobs.clearLimit({ queue: "default" })
      yield* settle
      assert.strictEqual(starts.length, 4)
      assert.deepStrictEqual((yield* jobs.limits).map(({ of }) => of), [{ key: "api" }])
    }).pipe(Effect.provide(withWorker(group, layer, { release: 4 })))
  })

  it.effect("refuse what cannot be meant", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const refused = yield* Effect.flip(jobs.setLimit({ queue: "q" }, { concurrency: -1 }))
      assert.include(refused.message, "concurrency: must be an integer from 0")
      for (const  of of[{ queue: "q" }, { key: "k" }]) {
        const burst = yield* Effect.flip(jobs.setLimit(of, { rate: { limit: 2, per: "1 minute", burst: 3 } }))
        assert.strictEqual(burst._tag, "JobControlError")
        assert.include(burst.message, "rate.burst: must be an integer from 1 to rate.limit, which is 2; it is 3")
      }
      assert.deepStrictEqual(yield* jobs.limits, [])
    }).pipe(Effect.provide(Layer.provideMerge(Jobs.layer, JobStore.layerMemory()))))
})

describe("a worker", () => {
  it.effect("claims nothing before its limits are proposed", () => {
    const { layer, starts } = noting()
    let asked = 0
    const away = new JobError.JobStoreError({
      reason: new JobError.Unavailable({ operation: "limits", detail: "away" })
    })
    const store = storeWith((store) => ({
      limits: (changes) => Effect.suspend(() => asked++ < 3 ? Effect.fail(away) : store.limits(changes))
    }))
    return Effect.gen(function*() {
      for (let i = 0; i < 3; i++) yield* Fetch.enqueue({ account: "a" })
      yield* TestClock.adjust("2900 millis")
      assert.strictEqual(starts.length, 0)
      yield* TestClock.adjust("100 millis")
      assert.strictEqual(starts.length, 1)
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(group, layer), store)))
  })

  it("refuses two limits of one name, a bad number, and a record with two keys", () => {
    const other = JobLimit.make("api", { concurrency: 3 })
    class Foreign extends Job.make("Foreign", { payload: Schema.String, limit: { by: other, key: (k) => k } }) {}
    const both = JobGroup.make(Fetch, Foreign)
    const handlers = both.toLayer({ Fetch: () => Effect.void, Foreign: () => Effect.void })
    const exit = Effect.runSyncExit(
      Effect.scoped(Layer.build(
        JobWorker.layer(both).pipe(Layer.provide(handlers), Layer.provide(JobStore.layerMemory()))
      ))
    )
    assert.include(String(exit), "another limit of the name api")
    assert.throws(() => JobLimit.make("x/y", {}), "must start with a letter")
    assert.throws(() => JobLimit.make("x", { rate: { limit: 0, per: "1 second" } }), "rate.limit")
    const steep = { rate: { limit: 2, per: "1 second", burst: 3 } } as const
    assert.throws(
      () => JobLimit.make("x", steep),
      "rate.burst: must be an integer from 1 to rate.limit, which is 2; it is 3"
    )
    assert.include(
      String(Effect.runSyncExit(Effect.scoped(Layer.build(
        JobWorker.layer(group, { queues: { default: { limit: steep } } }).pipe(
          Layer.provide(noting().layer),
          Layer.provide(JobStore.layerMemory())
        )
      )))),
      "rate.burst: must be an integer from 1 to rate.limit"
    )
    assert.throws(
      () =>
        Job.make("Both", {
          payload: Schema.String,
          concurrency: { key: (k) => k, limit: 1 },
          limit: { by: other, key: (k) => k }
        }),
      "give either concurrency or limit, not both"
    )
  })
})

describe("debounce", () => {
  it.effect("runs once, with the last payload, when nothing came for a while, or when it has waited long enough", () => {
    class Sync extends Job.make("Sync", {
      payload: Schema.Number,
      unique: { key: () => "all", onConflict: "replace", maxWait: "10 seconds" }
    }) {}
    const runs: Array<readonly [n: number, at: number]> = []
    const layer = Sync.toLayer((n) => Effect.map(now, (at) => void runs.push([n, at])))
    return Effect.gen(function*() {
      for (let n = 0; n < 3; n++) {
        yield* Sync.enqueue(n, { delay: "3 seconds" })
        yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(runs, [[2, 5000]])
      for (let n = 10; n < 25; n++) {
        yield* Sync.enqueue(n, { delay: "3 seconds" })
        yield* TestClock.adjust("1 second")
      }
      assert.deepStrictEqual(runs[1], [19, 17_000])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Sync), layer)))
  })

  it("takes a policy that puts a record off", () => {
    assert.throws(
      () =>
        Job.make("X", {
          payload: Schema.String,
          unique: { key: (k: string) => k, until: "finished", onConflict: "trailing" } as unknown as Job.Unique<string>
        }),
      "what trails does so at the end of a window"
    )
    assert.throws(
      () => Job.make("X", { payload: Schema.String, unique: { key: (k) => k, maxWait: "1 second" } }),
      "only onConflict \"replace\" and \"reschedule\" put a record off"
    )
  })
})

describe("throttle", () => {
  it.effect("runs the first at once, and in each window once more, with the last payload that came in it", () => {
    class Sync extends Job.make("Sync", {
      payload: Schema.Number,
      unique: { key: () => "all", until: { window: "10 seconds" }, onConflict: "trailing" }
    }) {}
    const runs: Array<readonly [n: number, at: number]> = []
    const layer = Sync.toLayer((n) => Effect.map(now, (at) => void runs.push([n, at])))
    return Effect.gen(function*() {
      for (let n = 0; n < 24; n++) {
        yield* Sync.enqueue(n)
        yield* TestClock.adjust("1 second")
      }
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(runs, [[0, 0], [9, 10_000], [19, 20_000], [23, 30_000]])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Sync), layer)))
  })
})

describe("a circuit breaker", () => {
  it.effect("stops a key after failures in a row, charges nothing meanwhile, and probes with one", () => {
    const Down = JobLimit.make("down", { breaker: { consecutive: 3, openDuration: "1 minute" } })
    class Call extends Job.make("Call", {
      payload: Schema.Number,
      limit: { by: Down, key: () => "k" },
      retryDefects: Schedule.spaced("1 second")
    }) {}
    const starts: Array<number> = []
    const layer = Call.toLayer(() =>
      Effect.flatMap(now, (at) => {
        starts.push(at)
        return at < 150_000 ? Effect.die(new Error("down")) : Effect.void
      })
    )
    return Effect.gen(function*() {
      yield* Call.enqueueMany(Array.from({ length: 6 }, (_, i) => i))
      yield* TestClock.adjust("30 minutes")
      const at = (millis: number) => starts.filter((start) => start === millis).length
      // Six before the first failure was known, then one probe a minute, then all.
      assert.deepStrictEqual([at(0), at(60_000), at(120_000), at(180_000)], [6, 1, 1, 6])
      assert.strictEqual(starts.length, 14)
    }).pipe(Effect.provide(withWorker(JobGroup.make(Call), layer)))
  })
})

describe("a circuit breaker of one job", () => {
  const breaker = { consecutive: 2, openDuration: "1 minute" } as const

  /** Starts by key, of a job whose key `a` fails until two and a half minutes have passed. */
  const startsOf = (given: Pick<Job.Options<typeof Schema.String, never, never, never, "default">, "concurrency">) => {
    class Call extends Job.make("Call", {
      payload: Schema.String,
      ...given,
      breaker,
      retryDefects: Schedule.spaced("1 second")
    }) {}
    const starts: Array<string> = []
    const layer = Call.toLayer((key) =>
      Effect.flatMap(now, (at) => {
        starts.push(`${key} ${at / 1000}`)
        return key === "a" && at < 150_000 ? Effect.die(new Error("down")) : Effect.sleep("1 second")
      })
    )
    return Effect.gen(function*() {
      yield* Call.enqueueMany(["a", "a", "a"])
      yield* settle
      yield* Call.enqueueMany(["b", "b"])
      yield* TestClock.adjust("30 minutes")
      const jobs = yield* Jobs.Jobs
      const { of, holds } = (yield* jobs.limits)[0]!
      assert.deepStrictEqual(of, { key: "Call" })
      return { starts, holds }
    }).pipe(Effect.provide(withWorker(JobGroup.make(Call), layer)))
  }

  it.effect("is of each concurrency key, and the limit of that holds", () =>
    Effect.gen(function*() {
      const { holds, starts } = yield* startsOf({ concurrency: { key: (key) => key, limit: 1 } })
      assert.deepStrictEqual(holds, { concurrency: 1, breaker: { consecutive: 2, openMillis: 60_000 } })
      assert.deepStrictEqual(starts.filter((start) => start.startsWith("b")), ["b 0", "b 1"])
      assert.deepStrictEqual(starts.filter((start) => start.startsWith("a")), [
        "a 0",
        "a 0",
        "a 60",
        "a 120",
        "a 180",
        "a 181",
        "a 182"
      ])
    }))

  it.effect("is of all its records where it has no key", () =>
    Effect.gen(function*() {
      const { holds, starts } = yield* startsOf({})
      assert.deepStrictEqual(holds, { breaker: { consecutive: 2, openMillis: 60_000 } })
      assert.deepStrictEqual(starts.slice(0, 3), ["a 0", "a 0", "a 0"])
      assert.isTrue(starts.slice(3).every((start) => Number(start.split(" ")[1]) >= 60))
      assert.strictEqual(starts.filter((start) => start.startsWith("b")).length, 2)
    }))

  it("is refused where it cannot be meant", () => {
    const by = JobLimit.make("by", {})
    const wrong = (tag: string, options: object) => () => Job.make(tag, { payload: Schema.String, ...options } as never)
    assert.throws(
      wrong("X", { breaker, limit: { by, key: (k: string) => k } }),
      "option breaker: give it to the limit by"
    )
    assert.throws(wrong("x/y", { breaker }), "option breaker: its tag has a /")
    assert.throws(
      wrong("X", { breaker: { ...breaker, consecutive: 0 } }),
      "breaker.consecutive: must be an integer from 1"
    )
  })
})

describe("fairness", () => {
  it.effect("one tenant's hundred thousand records do not delay another's first", () => {
    const Tenant = JobLimit.make("tenant", { order: "fair" })
    class Send extends Job.make("Send", { payload: Schema.String, limit: { by: Tenant, key: (tenant) => tenant } }) {}
    const order: Array<string> = []
    const layer = Send.toLayer((tenant) =>
      Effect.andThen(Effect.sleep("1 second"), Effect.sync(() => void order.push(tenant)))
    )
    return Effect.gen(function*() {
      yield* Send.enqueueMany(Array.from({ length: 100_000 }, () => "big"))
      yield* TestClock.adjust("3 seconds")
      const before = order.length
      yield* Send.enqueueMany(["small", "small", "other"])
      yield* TestClock.adjust("5 seconds")
      const after = order.slice(before)
      // Three were claimed before.
      assert.isAtMost(after.indexOf("small"), 5)
      assert.isAtMost(after.indexOf("other"), 6)
      assert.strictEqual(after.filter((tenant) => tenant !== "big").length, 3)
    }).pipe(Effect.provide(withWorker(JobGroup.make(Send), layer, { concurrency: 2 })))
  }, 60_000)

  /** Which tenants' records run, in their order, when all of them were enqueued before any worker came. */
  const orderOf = (
    given: Pick<Job.Options<typeof Schema.String, never, never, never, "default">, "concurrency" | "limit">,
    tell: "fails" | "is away once" | "is told"
  ) => {
    class Send extends Job.make("Send", { payload: Schema.String, ...given }) {}
    const order: Array<string> = []
    const told: Array<JobStore.LimitChange> = []
    const store = storeWith((store) => ({
      limits: (changes) => {
        const first = told.length === 0
        told.push(...changes)
        const reason = tell === "fails"
          ? new JobError.Incompatible({ operation: "limits", detail: "not for this one" })
          : tell === "is away once" && first
          ? new JobError.Unavailable({ operation: "limits", detail: "away" })
          : undefined
        return reason === undefined ? store.limits(changes) : Effect.fail(new JobError.JobStoreError({ reason }))
      }
    }))
    const worker = JobWorker.layer(JobGroup.make(Send), { concurrency: 1 }).pipe(
      Layer.provide(Send.toLayer((tenant) => Effect.sync(() => void order.push(tenant))))
    )
    return Effect.gen(function*() {
      yield* Send.enqueueMany(["big", "big", "big", "big"])
      yield* Send.enqueue("small")
      yield* Send.enqueueMany(["other", "big"])
      if (tell !== "fails") {
        yield* Layer.build(worker)
        yield* settle
      }
      return { order, told }
    }).pipe(Effect.scoped, Effect.provide(store))
  }

  const limit = { by: JobLimit.make("tenant", { order: "fair" }), key: (tenant: string) => tenant }
  const concurrency = { key: (tenant: string) => tenant, limit: 1, order: "fair" } as const
  const fair = { _tag: "Propose", release: -1, settings: { order: "fair" } } as const

  it.effect("holds for what is enqueued before the first worker, which is told in one call", () => {
    return Effect.gen(function*() {
      const { order, told } = yield* orderOf({ limit }, "is told")
      assert.deepStrictEqual(order, ["big", "small", "other", "big", "big", "big", "big"])
      assert.deepStrictEqual(told.slice(0, -1), [{ ...fair, name: "@tenant" }])
    })
  })

  it.effect("is told with the next enqueue where the store was away, and once to a store that refuses it", () => {
    return Effect.gen(function*() {
      const away = yield* orderOf({ limit }, "is away once")
      assert.strictEqual(away.told.filter(({ _tag, name }) => _tag === "Propose" && name === "@tenant").length, 3)
      const refused = yield* orderOf({ limit }, "fails")
      assert.deepStrictEqual(refused.told, [{ ...fair, name: "@tenant" }])
    })
  })

  it.effect("is said by the job itself where its key is its own, beside its concurrency", () => {
    return Effect.gen(function*() {
      const { order, told } = yield* orderOf({ concurrency }, "is told")
      assert.deepStrictEqual(order.slice(0, 3).toSorted(), ["big", "other", "small"])
      assert.deepStrictEqual(told, [
        { ...fair, name: "@Send" },
        { _tag: "Propose", name: "@Send", release: 0, settings: { concurrency: 1, order: "fair" } }
      ])
    })
  })

  for (const by of ["upsert", "code"] as const) {
    it.effect(`is told by who makes a schedule (${by}), whose ticks a worker without the job may make`, () => {
      class Send extends Job.make("Send", { payload: Schema.String, limit }) {}
      const told: Array<JobStore.LimitChange> = []
      const store = storeWith((store) => ({
        limits: (changes) => {
          told.push(...changes)
          return store.limits(changes)
        }
      }))
      const options = { every: "1 minute", payload: "big" } as const
      return Effect.gen(function*() {
        // As a user's program has it: what makes schedules has the store, and who calls it has not.
        yield* by === "upsert"
          ? Effect.provide(
            Effect.flatMap(JobSchedules.JobSchedules, ({ upsert }) => upsert("big", Send, options)),
            Layer.provide(JobSchedules.layer, store)
          )
          : Effect.andThen(Layer.build(Layer.provide(JobSchedule.layer(Send, options), store)), settle)
        assert.deepStrictEqual(told, [{ ...fair, name: "@tenant" }])
      })
    })
  }

  it("is refused where a limit cannot have the job's name", () => {
    assert.throws(
      () => Job.make("mail/send", { payload: Schema.String, concurrency }),
      "option concurrency.order: its tag has a /"
    )
    assert.doesNotThrow(() =>
      Job.make("mail/send", { payload: Schema.String, concurrency: { ...concurrency, order: "fifo" } })
    )
  })
})
