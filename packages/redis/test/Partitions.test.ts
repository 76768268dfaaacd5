/** What a store of several partitions takes, refuses, and does beyond the suite. */
import { RedisJobStore } from "@capstan/redis"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobError, JobGroup, Jobs, JobSchedule, JobSchedules, JobStore, JobWorker } from "capstan"
import { Cause, Clock, Effect, Exit, Latch, Layer, Option, Schema, type Scope } from "effect"
import { TestClock } from "effect/testing"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import type { Calls } from "../src/internal/client.ts"
import { Away } from "../src/internal/partitions/away.ts"
import { choosing } from "../src/internal/partitions/choose.ts"
import { grants, split } from "../src/internal/partitions/exchange.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

const payload = { n: Schema.Number }
class Mail extends Job.make("Mail", { payload, queue: "mail" }) {}
class Other extends Job.make("Other", { payload }) {}
class Group extends JobGroup.make(Mail, Other) {}

const on = (prefix: string, options: RedisJobStore.Options = {}) =>
  RedisJobStore.layer({ prefix, ...options }).pipe(Layer.provideMerge(Harness.client()))

const withStore = <A, E>(
  theme: string,
  options: RedisJobStore.Options,
  run: (prefix: string) => Effect.Effect<A, E, JobStore.JobStore>
) =>
  Effect.gen(function*() {
    const prefix = Harness.prefixOf(theme)
    const clean = Effect.provide(Harness.emptyAll(prefix), Harness.client())
    yield* clean
    return yield* Effect.ensuring(Effect.provide(run(prefix), on(prefix, options)), Effect.orDie(clean))
  })

const reasonOf = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.map(Effect.flip(effect), (error) => (error as { readonly reason: { readonly _tag: string } }).reason._tag)

/** A key in this one of four partitions. */
const keyOf = (at: number): string => {
  const choose = choosing(new Map([["mail", 4]]))
  for (let i = 0;; i++) {
    if (choose(Suite.record({ queue: "mail", partitionKey: `k${i}` })) === at) return `k${i}`
  }
}

describe("the number of partitions", () => {
  for (const many of [0, 1.5, 257]) {
    it.effect(`of ${many} is refused`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          Effect.provide(JobStore.JobStore, Layer.fresh(on(Harness.prefixOf("number"), { partitions: { mail: many } })))
        )
        assert.match(error.message, /partitions of queue mail: must be an integer from 1 to 256/)
      }))
  }

  for (const maxCrashes of [0, 1.5, NaN, 256]) {
    it.effect(`stands beside how often a worker may die: not ${maxCrashes} times`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          Effect.provide(JobStore.JobStore, Layer.fresh(on(Harness.prefixOf("number"), { maxCrashes })))
        )
        assert.match(error.message, /option maxCrashes: must be an integer from 1 to 100/)
      }))
  }

  it.live("changes only while the store has no record of its queue", () =>
    withStore("agree", { partitions: { mail: 4 } }, (prefix) =>
      Effect.gen(function*() {
        const open = (partitions: Readonly<Record<string, number>> | undefined) =>
          Effect.provide(JobStore.JobStore, Layer.fresh(on(prefix, { partitions })))
        yield* open({ mail: 2 })
        yield* open({ mail: 4, other: 1 })
        const { id } = yield* Mail.enqueue({ n: 1 })
        for (const partitions of [{ mail: 2 }, { mail: 8 }, {}, undefined]) {
          const error = yield* Effect.flip(open(partitions))
          assert.match(error.message, /queue mail of \{.*\} has 4 partitions and records in them/)
        }
        yield* open({ mail: 4, other: 7 })
        yield* Suite.control({ _tag: "Delete" }, id)
        yield* open(undefined)
      })))

  it.live("does not change while something is on its way between them", () =>
    withStore("agree_way", { partitions: { mail: 4 } }, (prefix) =>
      Effect.gen(function*() {
        const open = (mail: number) =>
          Effect.provide(JobStore.JobStore, Layer.fresh(on(prefix, { partitions: { mail } })))
        const altered = (clients: ReadonlyArray<Calls>) =>
          Partitions.withThird(clients, () => () => Partitions.unavailable)
        const store = yield* Partitions.open(prefix, { counts: new Map([["mail", 4]]), many: 4, altered })
        const child = Suite.record({ queue: "mail", partitionKey: keyOf(2) })
        yield* Effect.gen(function*() {
          const { id } = yield* Suite.enqueue({ queue: "mail", partitionKey: keyOf(3) })
          yield* Suite.settle("w", yield* Suite.claimOne("w", "mail"), Suite.complete, { children: [child] })
          yield* Suite.control({ _tag: "Delete" }, id)
        }).pipe(Effect.provideService(JobStore.JobStore, store))
        for (const mail of [1, 2, 8]) assert.match((yield* Effect.flip(open(mail))).message, /something is on its way/)
        yield* open(4)
        yield* Suite.maintain
        yield* Suite.control({ _tag: "Delete" }, child.id)
        yield* open(2)
      }).pipe(Effect.scoped, Effect.provide(Harness.client()))))

  it.live("is grown from a store without partitions once its queue is empty, and what lies there is found", () =>
    withStore("grow", {}, (prefix) =>
      Effect.gen(function*() {
        const { id } = yield* Other.enqueue({ n: 1 })
        const state = Effect.provide(Suite.stateOf(id), Layer.fresh(on(prefix, { partitions: { mail: 4 } })))
        assert.strictEqual(yield* state, "ready")
      })))
})

describe("a record's partition", () => {
  const choose = choosing(new Map([["mail", 8]]))
  const record = (given: Partial<JobStore.NewRecord>) => choose(Suite.record({ queue: "mail", ...given }))

  it("is that of its key, whatever its id", () => {
    for (
      const given of [
        { partitionKey: "a" },
        { concurrency: { key: "a", limit: 1 } },
        { unique: { key: "a", until: "finished", onConflict: "keep" } },
        { idempotencyKey: "a" },
        { flowId: "a" }
      ] as const
    ) {
      assert.deepStrictEqual([record(given), record(given)], [
        record({ partitionKey: "a" }),
        record({ partitionKey: "a" })
      ])
    }
  })

  it("is the same in every release", () => {
    assert.deepStrictEqual(
      ["", "a", "tenant-1", "ä/ö", "x".repeat(512)].map((partitionKey) => record({ partitionKey })),
      [
        3,
        3,
        7,
        2,
        5
      ]
    )
  })

  it("is as likely as any other", () => {
    const counts = new Array<number>(8).fill(0)
    for (let i = 0; i < 8000; i++) counts[record({}) as number]!++
    for (const many of counts) assert.closeTo(many, 1000, 150)
  })

  it("is the first one in a queue that has one", () => assert.strictEqual(record({ queue: "other" }), 0))

  const crosses = (given: Partial<JobStore.NewRecord>) => typeof record(given) !== "number"
  const unique = (key: string) => ({ key, until: "finished", onConflict: "keep" }) as const

  it("does not exist when its keys choose different ones", () => {
    assert.isTrue(crosses({ unique: unique("a"), concurrency: { key: "b", limit: 1 } }))
    assert.isTrue(crosses({ unique: unique("a"), partitionKey: "b" }))
    assert.isTrue(crosses({ unique: unique("tenant10"), partitionKey: "tenant1" }))
    assert.isTrue(crosses({ concurrency: { key: "Task/a", limit: 1 }, partitionKey: "b" }))
    assert.isFalse(crosses({ unique: unique("a"), concurrency: { key: "Task/a", limit: 1 } }))
    assert.isFalse(crosses({ unique: unique("t/1"), concurrency: { key: "Task/t:2", limit: 1 }, partitionKey: "t" }))
  })
})

describe("what cannot lie in one partition", () => {
  const key = ({ n }: { readonly n: number }) => `k${n}`
  class Twice
    extends Job.make("Twice", { payload, queue: "mail", unique: { key }, concurrency: { key: () => "c", limit: 1 } })
  {}
  class Apart extends Job.make("Apart", { payload, queue: "mail", partition: () => "p", unique: { key } }) {}
  class Together extends Job.make("Together", {
    payload,
    queue: "mail",
    partition: () => "p",
    unique: { key: (it) => `p/${key(it)}` },
    concurrency: { key: () => "p", limit: 1 }
  }) {}
  const options = { partitions: { mail: 8 } }

  it.live("fails with CrossPartition where it is enqueued", () =>
    withStore("cross", options, () =>
      Effect.gen(function*() {
        assert.strictEqual(yield* reasonOf(Twice.enqueue({ n: 1 })), "CrossPartition")
        assert.strictEqual(yield* reasonOf(Apart.enqueue({ n: 1 })), "CrossPartition")
        const [one, two] = [yield* Together.enqueue({ n: 1 }), yield* Together.enqueue({ n: 1 })]
        assert.deepStrictEqual([one.outcome, two.outcome, two.id], ["Inserted", "Existing", one.id])
      })))

  it.live("is refused where a worker is made", () =>
    withStore("worker_cross", options, () =>
      Effect.gen(function*() {
        class Wrong extends JobGroup.make(Twice) {}
        const worker = JobWorker.layer(Wrong).pipe(Layer.provide(Wrong.toLayer({ Twice: () => Effect.void })))
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(worker)))
        assert.isTrue(Exit.isFailure(exit))
        assert.match(
          String(Cause.squash((exit as Exit.Failure<never, never>).cause)),
          /job Twice has a unique and a concurrency key, and its queue mail has 8 partitions/
        )
      })))

  it.live("is refused where a worker with a limit of such a queue is made", () =>
    withStore("worker_limit", options, () =>
      Effect.gen(function*() {
        const worker = JobWorker.layer(Group, { queues: { mail: { limit: { concurrency: 3 } } } }).pipe(
          Layer.provide(Group.toLayer({ Mail: () => Effect.void, Other: () => Effect.void }))
        )
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(worker)))
        assert.isTrue(Exit.isFailure(exit))
        assert.match(
          String(Cause.squash((exit as Exit.Failure<never, never>).cause)),
          /queue mail has a limit and 8 partitions/
        )
      })))

  it.live("is refused where a schedule that looks at the run before is made, in code and as data", () =>
    withStore("schedule_cross", options, () =>
      Effect.gen(function*() {
        for (const overlap of ["skip", "queue", "cancelPrevious"] as const) {
          const when = { every: "1 hour", overlap, payload: { n: 1 } } as const
          const exit = yield* Effect.exit(Effect.scoped(Layer.build(JobSchedule.layer(Apart, when))))
          assert.isTrue(Exit.isFailure(exit))
          const words = new RegExp(`overlap "${overlap}" looks at the run before.* job Apart .* queue mail has 8`)
          assert.match(String(Cause.squash((exit as Exit.Failure<never, never>).cause)), words)
          const schedules = yield* Effect.provide(JobSchedules.JobSchedules, JobSchedules.layer)
          const error = yield* Effect.flip(schedules.upsert("s", Apart, when))
          assert.strictEqual(error._tag === "ScheduleError" && error.reason._tag, "InvalidSchedule")
          assert.match(error.message, words)
          // Without keys its records lie where one looks at the other.
          yield* schedules.upsert("s", Mail, when)
          assert.strictEqual((yield* schedules.runNow("s"))._tag, "Enqueued")
        }
        const schedules = yield* Effect.provide(JobSchedules.JobSchedules, JobSchedules.layer)
        yield* schedules.upsert("s", Apart, { every: "1 hour", payload: { n: 1 } })
      })))

  it.live("is no obstacle to a schedule whose runs wait for each other: they lie in one", () =>
    withStore("schedule_queue", options, () =>
      Effect.gen(function*() {
        const schedules = yield* Effect.provide(JobSchedules.JobSchedules, JobSchedules.layer)
        yield* schedules.upsert("s", Mail, { every: "1 hour", overlap: "queue", payload: { n: 1 } })
        const first = yield* schedules.runNow("s")
        const second = yield* schedules.runNow("s")
        const idOf = (run: JobSchedules.RunAnswer) => run._tag === "Enqueued" ? run.id : run._tag
        const claimed = Effect.map(Suite.claim("w", 10, "mail"), (all) => all.map(({ id }) => id))
        const attempt = yield* Suite.claimOne("w", "mail")
        assert.strictEqual(attempt.id, idOf(first))
        yield* Suite.settle("w", attempt, Suite.retryAfter(60_000))
        assert.deepStrictEqual(yield* claimed, [])
        yield* Suite.control({ _tag: "Promote" }, attempt.id)
        yield* Suite.settle("w", yield* Suite.claimOne("w", "mail"), Suite.complete)
        assert.deepStrictEqual(yield* claimed, [idOf(second)])
      })))

  it.live("is refused where a worker has a breaker for all records of a job whose keys spread them", () =>
    withStore("worker_breaker", options, () =>
      Effect.gen(function*() {
        class Fragile extends Job.make("Fragile", {
          payload,
          queue: "mail",
          partition: () => "p",
          breaker: { consecutive: 3, openDuration: "1 minute" }
        }) {}
        const worker = JobWorker.layer(JobGroup.make(Fragile)).pipe(Layer.provide(Fragile.toLayer(() => Effect.void)))
        const exit = yield* Effect.exit(Effect.scoped(Layer.build(worker)))
        assert.isTrue(Exit.isFailure(exit))
        assert.match(
          String(Cause.squash((exit as Exit.Failure<never, never>).cause)),
          /job Fragile has a circuit breaker for all of its records/
        )
      })))

  it.live("is no dependency between records of one batch", () =>
    withStore("flow_cross", options, () =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const a = Suite.record({ queue: "mail", partitionKey: "a" })
        const dependencies = [{ name: "a", id: a.id }]
        const apart = Suite.record({ queue: "mail", partitionKey: "b", dependencies })
        assert.strictEqual(yield* reasonOf(store.enqueue({ records: [a, apart] })), "CrossPartition")
        assert.isFalse(yield* Suite.exists(a.id))
        // A flow chooses one for all of its queues.
        const flowId = "f"
        const [first, second] = [Suite.record({ queue: "mail", flowId }), Suite.record({ flowId })]
        yield* store.enqueue({ records: [first, { ...second, dependencies: [{ name: "a", id: first.id }] }] })
        assert.strictEqual((yield* Suite.get(second.id)).blocked?.reason, "Dependencies")
        yield* Suite.settle("w", yield* Suite.claimOne("w", "mail"), Suite.complete)
        assert.strictEqual((yield* Suite.claimOne("w")).id, second.id)
      })))

  it.live("is no flow whose members choose different ones, or one that a queue of theirs does not have", () =>
    withStore("flow_keys", { partitions: { mail: 8, few: 2 } }, () =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const choose = choosing(new Map([["mail", 8], ["few", 2]]))
        const flowOf = (...members: ReadonlyArray<Partial<JobStore.NewRecord>>) => {
          const records = members.map((given) => Suite.record({ queue: "mail", flowId: "f", ...given }))
          return store.enqueue({ records, whole: records.at(-1)!.id })
        }
        assert.strictEqual(yield* reasonOf(flowOf({ partitionKey: "a" }, { partitionKey: "b" })), "CrossPartition")
        const far = ["a", "b", "c"].find((partitionKey) =>
          choose(Suite.record({ queue: "mail", partitionKey })) as number > 1
        )
        assert.strictEqual(yield* reasonOf(flowOf({ partitionKey: far }, { queue: "few" })), "CrossPartition")
        assert.strictEqual((yield* Suite.claim("w", 10, "mail")).length, 0)
        // One key decides for all, and a key of the flow itself where no member has one.
        assert.deepStrictEqual(
          (yield* flowOf({}, { partitionKey: far }, { idempotencyKey: "k" })).map(({ outcome }) => outcome),
          ["Inserted", "Inserted", "Inserted"]
        )
        const first = yield* flowOf({}, { queue: "few" }, { idempotencyKey: "l" })
        const second = yield* flowOf({}, { queue: "few" }, { idempotencyKey: "l" })
        assert.deepStrictEqual(second.map(({ outcome }) => outcome), ["Existing", "Existing", "Existing"])
        assert.strictEqual(second[2]!.id, first[2]!.id)
      })))
})

describe("slots", () => {
  it("are given out as by one store", () => {
    const demand = [{ queue: "a", slots: 10, share: 0 }, { queue: "b", slots: 10, share: 2 }]
    assert.deepStrictEqual(grants(demand, 5), [3, 2])
    assert.deepStrictEqual(grants(demand, 100), [10, 10])
    assert.deepStrictEqual(grants(demand, 1), [0, 1])
  })

  it("that do not come out even begin with another partition each time", () => {
    assert.deepStrictEqual(split(5, 4, 0), [2, 1, 1, 1])
    assert.deepStrictEqual(split(5, 4, 1), [1, 2, 1, 1])
    assert.deepStrictEqual(split(2, 4, 3), [1, 0, 0, 1])
    const sums = new Array<number>(4).fill(0)
    for (let turn = 0; turn < 40; turn++) split(3, 4, turn).forEach((many, i) => sums[i]! += many)
    assert.deepStrictEqual(sums, [30, 30, 30, 30])
  })

  it.live("of a worker with one go round: no partition waits for another that is always full", () =>
    withStore("rotation", { partitions: { mail: 4 } }, () =>
      Effect.gen(function*() {
        const keys = [0, 1, 2, 3].map(keyOf)
        for (const partitionKey of keys) {
          yield* Suite.enqueueMany(partitionKey === keys[0] ? 200 : 5, {
            queue: "mail",
            partitionKey,
            tags: [partitionKey]
          })
        }
        const seen = new Map<string, number>()
        for (let i = 0; i < 20; i++) {
          const one = yield* Suite.claimOne("w", "mail")
          seen.set(one.tags[0]!, (seen.get(one.tags[0]!) ?? 0) + 1)
        }
        assert.deepStrictEqual(keys.map((key) => seen.get(key)), [5, 5, 5, 5])
        // What the others do not need any more is the first one's.
        assert.strictEqual((yield* Suite.claim("w", 100, "mail")).length, 100)
      })))
})

describe("a worker", () => {
  it.live(
    "runs what lies in all partitions once, asleep or not, and hears of requests to cancel",
    () =>
      withStore("worker", { partitions: { mail: 8 } }, () =>
        Effect.gen(function*() {
          const ran = new Map<number, number>()
          let isCancelled = false
          const handler = ({ n }: { readonly n: number }) =>
            Effect.gen(function*() {
              ran.set(n, (ran.get(n) ?? 0) + 1)
              if (n === 1) yield* Other.enqueue({ n: 1000 })
              if (n === 2) {
                return yield* Effect.onInterrupt(Effect.never, () => Effect.sync(() => void (isCancelled = true)))
              }
            })
          // Polling is of no help: what it hears of, it is told.
          const worker = JobWorker.layer(Group, { concurrency: 10, pollInterval: "1 hour" }).pipe(
            Layer.provide(Group.toLayer({ Mail: handler, Other: handler }))
          )
          yield* Layer.build(worker)
          yield* Mail.enqueueMany(Array.from({ length: 300 }, (_, n) => ({ n: 10 + n })))
          yield* Harness.until("all have run", Effect.sync(() => ran.size === 300))
          // It sleeps now.
          yield* Mail.enqueue({ n: 1 })
          yield* Harness.until("the child ran", Effect.sync(() => ran.has(1000)))
          const { id } = yield* Mail.enqueue({ n: 2 })
          yield* Harness.until("it runs", Effect.sync(() => ran.has(2)))
          const jobs = yield* Jobs.Jobs
          yield* jobs.cancel(id, { reason: "r" })
          yield* Harness.until("it is cancelled", Effect.sync(() => isCancelled))
          assert.deepStrictEqual([...new Set(ran.values())], [1])
          const { queues } = yield* jobs.stats
          assert.strictEqual(queues.find(({ queue }) => queue === "mail")?.counts.completed, 301)
        }).pipe(Effect.scoped, Effect.provide(Jobs.layer))),
    30_000
  )
})

describe("a partition that is silent", () => {
  const counts = new Map([["mail", 4]])
  const silent = { is: false }
  /** It answers, and not what is asked. */
  const broken = { is: false }
  const altered = (clients: ReadonlyArray<Calls>): ReadonlyArray<Calls> =>
    Partitions.withThird(
      clients,
      (client) => (operation, verb, args) =>
        Effect.suspend(() =>
          silent.is
            ? Effect.never
            : broken.is && verb === "exchange"
            ? Partitions.refused
            : client.call(operation, verb, args)
        )
    )
  const opened = <A, E>(theme: string, run: Effect.Effect<A, E, JobStore.JobStore | Scope.Scope>) =>
    Effect.gen(function*() {
      const prefix = Harness.prefixOf(theme)
      silent.is = false
      broken.is = false
      yield* Harness.emptyAll(prefix)
      const store = yield* Partitions.open(prefix, { counts, many: 4, altered })
      yield* Effect.provideService(run, JobStore.JobStore, store)
      yield* Harness.emptyAll(prefix)
    }).pipe(Effect.scoped, Effect.provide(Harness.client()))

  it.live(
    "does not hold up the others, and its records run when it speaks again",
    () =>
      opened(
        "silent",
        Effect.gen(function*() {
          const ran = new Set<number>()
          const worker = JobWorker.layer(Group, { concurrency: 4, lease: "3 seconds", pollInterval: "100 millis" })
            .pipe(
              Layer.provide(
                Group.toLayer({ Mail: ({ n }) => Effect.sync(() => void ran.add(n)), Other: () => Effect.void })
              )
            )
          yield* Mail.enqueueMany(Array.from({ length: 200 }, (_, n) => ({ n })))
          silent.is = true
          yield* Layer.build(worker)
          yield* Harness.until(
            "those of the others run",
            Effect.sync(() => ran.size > 100),
            20
          )
          assert.isBelow(ran.size, 200)
          silent.is = false
          yield* Harness.until("all run", Effect.sync(() => ran.size === 200), 20)
        })
      ),
    60_000
  )

  it.live(
    "holds up no others though something ends that lies there: that is told when it speaks again, with what it logged",
    () =>
      opened(
        "silent_ended",
        Effect.gen(function*() {
          const ran = new Map<number, number>()
          const gate = Latch.makeUnsafe(false)
          const handler = ({ n }: { readonly n: number }) =>
            Effect.gen(function*() {
              ran.set(n, (ran.get(n) ?? 0) + 1)
              yield* gate.await
              const { log } = yield* JobContext.JobContext
              // What ends without a word goes out by itself, the rest behind what it wrote.
              if (n % 2 === 0) yield* log("it ends")
            })
          const worker = JobWorker.layer(Group, { concurrency: 40, lease: "1 minute", pollInterval: "100 millis" })
            .pipe(Layer.provide(Group.toLayer({ Mail: handler, Other: () => Effect.void })))
          const stored = yield* Mail.enqueueMany(Array.from({ length: 200 }, (_, n) => ({ n })))
          yield* Layer.build(worker)
          yield* Harness.until("some of all partitions run", Effect.sync(() => ran.size === 40))
          silent.is = true
          yield* gate.open
          yield* Harness.until("those of the others run", Effect.sync(() => ran.size > 120), 20)
          assert.isBelow(ran.size, 200)
          silent.is = false
          const { get } = yield* JobStore.JobStore
          const records = Effect.forEach(stored, ({ id }) => get(id), { concurrency: 20 })
          yield* Harness.until(
            "all are settled",
            Effect.map(records, (all) => all.every((record) => record?.state === "completed")),
            20
          )
          assert.deepStrictEqual([...new Set(ran.values())], [1])
          assert.deepStrictEqual((yield* records).map((record) => record?.logs.length), stored.map((_, n) => 1 - n % 2))
        })
      ),
    60_000
  )

  it.live("holds up no other that has something for it", () =>
    opened(
      "silent_target",
      Effect.gen(function*() {
        yield* Suite.enqueueMany(20, { queue: "mail", partitionKey: keyOf(0) })
        const by = yield* Suite.claimOne("w", "mail")
        silent.is = true
        const child = Suite.record({ queue: "mail", partitionKey: keyOf(2) })
        assert.strictEqual(yield* Suite.settle("w", by, Suite.complete, { children: [child] }), "Done")
        assert.strictEqual((yield* Suite.claim("w", 20, "mail")).length, 19)
        silent.is = false
        yield* Harness.until("it arrives", Effect.andThen(Suite.maintain, Suite.exists(child.id)), 20)
      })
    ), 30_000)

  it.live("holds up nobody who is given a record that has crashed others, or ends it", () =>
    opened(
      "silent_suspect",
      Effect.gen(function*() {
        yield* Suite.enqueue({ queue: "mail", partitionKey: keyOf(0) })
        const demand = [{ queue: "mail", slots: 1, share: 1 }]
        const claim = Suite.exchange("w", { demand, total: 1 })
        // The one who claims it dies.
        yield* Suite.exchange("v", { demand, total: 1, lease: 1500 })
        silent.is = true
        let claimed: ReadonlyArray<JobStore.Claimed> = []
        const maintain = Effect.ignore(Effect.timeoutOption(Suite.maintain, 500))
        const again = Effect.andThen(maintain, Effect.timeoutOption(claim, "5 seconds"))
        yield* Harness.until(
          "it is claimed again",
          Effect.map(again, (reply) => (claimed = Option.isSome(reply) ? reply.value.claimed : []).length > 0),
          15
        )
        assert.strictEqual(claimed[0]!.crashes, 1)
        const settled = yield* Effect.timeoutOption(Suite.settle("w", claimed[0]!, Suite.complete), "5 seconds")
        assert.deepStrictEqual(settled, Option.some("Done" as const))
      })
    ), 60_000)

  it.live(
    "hears later that a worker has ended a record that has crashed others: it gives that worker its own",
    () =>
      opened(
        "silent_suspect_ended",
        Effect.gen(function*() {
          const demand = [{ queue: "mail", slots: 1, share: 1 }]
          const crashed = Effect.fnUntraced(function*(partition: number) {
            const { id } = yield* Suite.enqueue({ queue: "mail", partitionKey: keyOf(partition) })
            // The one who claims it dies.
            yield* Suite.exchange("v", { demand, total: 1, lease: 1500 })
            yield* Harness.until(
              "it may run again",
              Effect.andThen(Suite.maintain, Effect.map(Suite.stateOf(id), (state) => state === "ready"))
            )
            return id
          })
          const given = Effect.map(Suite.exchange("w", { demand, total: 1 }), ({ claimed }) => claimed[0])
          const first = yield* crashed(0)
          // Whose turn it is to give one out goes around.
          let held: JobStore.Claimed | undefined
          yield* Harness.until("it is given", Effect.map(given, (one) => (held = one) !== undefined))
          assert.strictEqual(held?.id, first)
          const second = yield* crashed(2)
          silent.is = true
          assert.strictEqual(yield* Suite.settle("w", held!, Suite.complete), "Done")
          silent.is = false
          const renewed = Suite.renew("w", { queues: ["mail"] })
          yield* Harness.until(
            "the other one is given",
            Effect.map(Effect.andThen(renewed, given), (one) => one?.id === second),
            20
          )
        })
      ),
    60_000
  )

  it.live(
    "renews nothing, and what a worker holds there is told lost before its lease ends, and nothing else",
    () =>
      opened(
        "silent_lease",
        Effect.gen(function*() {
          const lease = 6000
          yield* Suite.enqueueMany(40, { queue: "mail" })
          const demand = [{ queue: "mail", slots: 40, share: 40 }]
          const { claimed } = yield* Suite.exchange("w", { demand, total: 40, lease })
          assert.strictEqual(claimed.length, 40)
          const renew = Suite.renew("w", { holding: claimed, lease, queues: ["mail"] })
          assert.strictEqual((yield* renew).lost.length, 0)
          silent.is = true
          let lost = (yield* renew).lost
          assert.strictEqual(lost.length, 0)
          yield* Harness.until("they are told lost", Effect.map(renew, (reply) => (lost = reply.lost).length > 0), 20)
          assert.isBelow(lost.length, 40)
          silent.is = false
          const others = claimed.filter(({ id }) => !lost.some((one) => one.id === id))
          for (const attempt of others) assert.strictEqual(yield* Suite.settle("w", attempt, Suite.complete), "Done")
        })
      ),
    30_000
  )

  it.live("what the others gave in the exchange that failed goes with the next one that asks, not with one that only settles", () =>
    opened(
      "silent_kept",
      Effect.gen(function*() {
        yield* Suite.enqueueMany(40, { queue: "mail" })
        const demand = [{ queue: "mail", slots: 8, share: 8 }]
        const first = yield* Suite.exchange("w", { demand, total: 8 })
        const settlements = first.claimed.map(({ fence, id }) => ({
          id,
          fence,
          outcome: Suite.complete,
          finishedAfter: 0
        }))
        broken.is = true
        assert.isTrue(Exit.isFailure(yield* Effect.exit(Suite.exchange("w", { settlements, demand, total: 8 }))))
        broken.is = false
        const settled = yield* Suite.exchange("w", { settlements, demand: [], total: 0 })
        assert.deepStrictEqual([settled.claimed.length, [...new Set(settled.settled)]], [0, ["Done"]])
        const { claimed } = yield* Suite.exchange("w", { demand, total: 8 })
        // All that runs was told.
        const { queues } = yield* (yield* JobStore.JobStore).stats
        assert.isAbove(claimed.length, 0)
        assert.strictEqual(queues.find(({ queue }) => queue === "mail")?.counts.running, claimed.length)
      })
    ))
})

it.effect("a partition that was away is asked again after a while, though the wall clock was set back meanwhile", () =>
  Effect.gen(function*() {
    const away = new Away()
    const reason = new JobError.Unavailable({ operation: "exchange", detail: "test" })
    yield* Effect.exit(away.ask(1, "exchange", 6000, Effect.fail(new JobError.JobStoreError({ reason }))))
    const present = Effect.map(away.present(2), (found) => [...found])
    assert.deepStrictEqual(yield* present, [0])
    const clock = yield* Clock.Clock
    const hour = 3_600_000
    const setBack: Clock.Clock = {
      ...clock,
      currentTimeMillisUnsafe: () => clock.currentTimeMillisUnsafe() - hour,
      currentTimeMillis: Effect.map(clock.currentTimeMillis, (now) => now - hour),
      monotonicTimeNanosUnsafe: () => clock.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: clock.monotonicTimeNanos
    }
    yield* TestClock.adjust("6 seconds")
    assert.deepStrictEqual(yield* Effect.provideService(present, Clock.Clock, setBack), [0, 1])
  }))

it.live("a claim renews the lease in its own partition only, and says so: what is held in another one is renewed by itself", () =>
  withStore("lease", { partitions: { mail: 4 } }, () =>
    Effect.gen(function*() {
      yield* Suite.enqueueMany(8, { queue: "mail" })
      const demand = [{ queue: "mail", slots: 1, share: 1 }]
      const { claimed, renewsLease } = yield* Suite.exchange("w", { demand, total: 1 })
      assert.deepStrictEqual([claimed.length, renewsLease], [1, false])
    })))

describe("repair", () => {
  it.live("sees to every partition", () =>
    withStore("repair_all", { partitions: { mail: 4 } }, (prefix) =>
      Effect.gen(function*() {
        yield* Suite.enqueueMany(40, { queue: "mail" })
        const [, keys] = yield* Harness.send<[string, ReadonlyArray<string>]>(
          "SCAN",
          "0",
          "MATCH",
          `{${prefix}*:l:*`,
          "COUNT",
          "100000"
        )
        assert.strictEqual(keys.length, 4)
        yield* Harness.send("DEL", ...keys)
        assert.deepStrictEqual(yield* RedisJobStore.repair({ prefix }), { records: 40, broken: 4 })
        assert.strictEqual((yield* Suite.claim("w", 100, "mail")).length, 40)
      }).pipe(Effect.provide(Harness.client()))))
})

describe("describe", () => {
  it.live("says how many partitions there are, and what holds within one only", () =>
    withStore("describe_partitions", { partitions: { mail: 4 } }, () =>
      Effect.gen(function*() {
        const { absent, kind } = yield* (yield* JobStore.JobStore).describe
        assert.match(kind, /^redis .*, 4 partitions \(mail 4\)$/)
        assert.match(absent!.join("\n"), /order between records of different partitions/)
        assert.match(absent!.join("\n"), /visible when it has been forwarded: never lost, never doubled/)
      })))
})
