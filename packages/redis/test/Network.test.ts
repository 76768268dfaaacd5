/** Lost scripts, lost connections, lost replies: the store and its workers go on by themselves. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Queue, Schema, Stream } from "effect"
import { Redis } from "effect/persistence"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { Client } from "../src/internal/client.ts"
import { scripts } from "../src/internal/scripts.ts"
import { make, usualSettings } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"

class Task extends Job.make("Task", { payload: { n: Schema.Number } }) {}
class Group extends JobGroup.make(Task) {}

const worker = (run: (n: number) => Effect.Effect<void>, options: Partial<JobWorker.Options<never>> = {}) =>
  JobWorker.layer(Group, { concurrency: 10, ...options }).pipe(
    Layer.provide(Group.toLayer({ Task: ({ n }) => run(n) }))
  )

const completed = Effect.flatMap(
  JobStore.JobStore,
  ({ stats }) => Effect.map(stats, ({ queues }) => queues.reduce((sum, { counts }) => sum + counts.completed, 0))
)

const emptied = (prefix: string) => Effect.provide(Effect.orDie(Harness.empty(prefix)), Harness.client())

describe("scripts", () => {
  const prefix = Harness.prefixOf("scripts")

  it.live("that the server has lost are brought along by the call that finds out", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const round = Effect.gen(function*() {
        const { id } = yield* Task.enqueue({ n: 1 })
        const demand = [{ queue: "default", slots: 1, share: 1 }]
        const { claimed } = yield* store.exchange({ worker: "w", lease: 60_000, settlements: [], demand, total: 1 })
        assert.deepStrictEqual(claimed.map((one) => one.id), [id])
        yield* store.renew({
          worker: "w",
          lease: 60_000,
          queues: [],
          handles: [],
          holding: claimed,
          reconcileOlderThan: 0
        })
        const [settled] = (yield* store.exchange({
          worker: "w",
          lease: 60_000,
          settlements: [{ ...claimed[0]!, outcome: { _tag: "Complete", result: undefined }, finishedAfter: 1 }],
          demand: [],
          total: 0
        })).settled
        assert.strictEqual(settled, "Done")
        yield* store.maintain
        assert.strictEqual((yield* store.get(id))?.state, "completed")
      })
      yield* round
      yield* Harness.send("SCRIPT", "FLUSH")
      yield* round
      // All of the data, too: what a store knows of its server holds no longer.
      yield* Harness.empty(prefix)
      yield* round
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(Harness.storeOf(prefix).pipe(Layer.provideMerge(Harness.client())))))
})

describe("a worker", () => {
  const prefix = Harness.prefixOf("cut")

  it.live("resumes by itself however often its connections are cut, and nothing is lost", () =>
    Effect.gen(function*() {
      const ran = new Set<number>()
      yield* Effect.scoped(Effect.gen(function*() {
        yield* Layer.build(worker((n) => Effect.andThen(Effect.sleep("5 millis"), Effect.sync(() => ran.add(n)))))
        for (let i = 0; i < 10; i++) {
          yield* Task.enqueueMany(Array.from({ length: 50 }, (_, n) => ({ n: 50 * i + n })))
          // The calls of this test go by the same connections: what they see fails is tried again by the store itself.
          const killed = yield* Effect.provide(Harness.cut(prefix), Harness.client())
          assert.isAbove(killed, 0)
          yield* Effect.sleep("50 millis")
        }
        yield* Harness.until("all jobs", Effect.map(Effect.orElseSucceed(completed, () => 0), (n) => n === 500), 20)
      }))
      assert.strictEqual(ran.size, 500)
    }).pipe(
      Effect.provide(Harness.storeOf(prefix).pipe(Layer.provideMerge(Harness.client(prefix)))),
      Effect.ensuring(emptied(prefix))
    ), 60_000)
})

describe("wake-ups", () => {
  /** How often a worker is woken by the enqueue of another client, after it has found nothing. */
  const wokenBy = (prefix: string, lua: ReturnType<typeof scripts>) =>
    Effect.gen(function*() {
      let woken = 0
      const redis = yield* Redis.Redis
      const client = new Client(redis, `{${prefix}}`, lua, yield* Effect.scope)
      const store = yield* make(client, { ...usualSettings, identity: prefix, beat: "200 millis" })
      const another = yield* make(client, { ...usualSettings, identity: prefix })
      const on = Effect.provideService(JobStore.JobStore, another)
      yield* Effect.forkScoped(Stream.runForEach(store.wakeups("w", ["default"]), () => Effect.sync(() => woken++)))
      yield* Harness.until("the subscription", Effect.sync(() => woken > 0))
      const look = store.exchange({
        worker: "w",
        lease: 60_000,
        settlements: [],
        demand: [{ queue: "default", slots: 100, share: 100 }],
        total: 100
      })
      const enqueue = Effect.gen(function*() {
        yield* look
        const before = woken
        yield* on(Task.enqueue({ n: 1 }))
        return yield* Effect.map(
          Effect.exit(Harness.until("a wake-up", Effect.sync(() => woken > before), 2)),
          ({ _tag }) => _tag
        )
      })
      const first = yield* enqueue
      yield* Effect.provide(Harness.cut(prefix), Harness.client())
      const listening = Harness.send<[string, number]>("PUBSUB", "NUMSUB", `{${prefix}}:w`)
      yield* Harness.until(
        "another subscription",
        Effect.map(Effect.orElseSucceed(listening, () => ["", 0]), ([, many]) => Number(many) > 0)
      )
      return [first, yield* enqueue]
    }).pipe(Effect.scoped, Effect.provide(Harness.client(prefix)), Effect.ensuring(emptied(prefix)))

  it.live("come for what is enqueued while a worker sleeps, also after the subscription was lost", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* wokenBy(Harness.prefixOf("wake"), scripts()), ["Success", "Success"])
    }))

  it.live("do not come where nothing is published: what the fact above is worth", () =>
    Effect.gen(function*() {
      const all = scripts()
      const silent = {
        ...all,
        one: all.one.replaceAll("call('PUBLISH', ", "tostring("),
        enqueue: all.enqueue.replaceAll("call('PUBLISH', ", "tostring(")
      }
      assert.deepStrictEqual(yield* wokenBy(Harness.prefixOf("silent"), silent), ["Failure", "Failure"])
    }))
})

describe("a wake-up that is lost", () => {
  const prefix = Harness.prefixOf("deaf")
  /** What the server publishes is not heard. */
  const deaf = Layer.effect(
    Redis.Redis,
    Effect.map(Redis.Redis, (redis) => ({
      ...redis,
      subscribe: () => Queue.unbounded<Redis.RedisMessage, Redis.RedisError>()
    }))
  ).pipe(Layer.provide(Harness.client()))

  it.live("is made up for by the poll, again and again", () =>
    Effect.gen(function*() {
      const ran: Array<number> = []
      const store = Layer.fresh(Harness.storeOf(prefix).pipe(Layer.provide(deaf)))
      yield* Layer.build(
        worker((n) => Effect.sync(() => void ran.push(n)), { pollInterval: "100 millis" }).pipe(Layer.provide(store))
      )
      const asleep = Effect.map(Harness.send("HEXISTS", `{${prefix}}`, "zdefault"), (flag) => flag === 1)
      for (let n = 0; n < 3; n++) {
        yield* Harness.until("the worker sleeps", asleep)
        // Another process: nobody here looks right behind it.
        yield* Task.enqueue({ n })
        yield* Harness.until(`job ${n} ran`, Effect.sync(() => ran.length === n + 1))
      }
      assert.deepStrictEqual(ran, [0, 1, 2])
    }).pipe(
      Effect.scoped,
      Effect.provide(Harness.storeOf(prefix).pipe(Layer.provideMerge(Harness.client()))),
      Effect.ensuring(emptied(prefix))
    ))
})

describe("lost replies", () => {
  /** A client that drops some of the replies to scripts, after the server has done what they say. */
  const forgetful = (isDropped: (reply: unknown) => boolean) =>
    Effect.map(Redis.Redis, (redis) => ({
      ...redis,
      send: <A>(command: string, ...args: ReadonlyArray<string>) =>
        Effect.flatMap(redis.send<A>(command, ...args), (reply) =>
          command.startsWith("EVAL") && isDropped(reply)
            ? Effect.fail(new Redis.RedisError({ cause: new Error("Socket closed unexpectedly") }))
            : Effect.succeed(reply))
    }))

  /** The last part of an exchange's reply is what it claims. */
  const isClaiming = (reply: unknown) => Array.isArray(reply) && Array.isArray(reply[2]) && reply[2].length > 0

  /** How many of 500 jobs are done when nothing has moved for three leases. */
  const doneWith = (prefix: string, lua: ReturnType<typeof scripts>) =>
    Effect.gen(function*() {
      let calls = 0
      let claims = 0
      // Of replies at large all may be such as strand nothing: of stats, of settlements.
      const redis = yield* forgetful((reply) => isClaiming(reply) ? ++claims % 5 === 0 : ++calls % 10 === 0)
      const client = new Client(redis, `{${prefix}}`, lua, yield* Effect.scope)
      const store = yield* make(client, { ...usualSettings, identity: prefix })
      return yield* Effect.gen(function*() {
        yield* Task.enqueueMany(Array.from({ length: 500 }, (_, n) => ({ n })))
        yield* Layer.build(worker(() => Effect.sleep("1 millis"), { lease: "1 second", pollInterval: "100 millis" }))
        let seen = -1
        let movedAt = performance.now()
        const isOver = Effect.map(Effect.orElseSucceed(completed, () => seen), (now) => {
          if (now !== seen) movedAt = performance.now()
          seen = now
          return now === 500 || performance.now() - movedAt > 3000
        })
        yield* Harness.until("an end", isOver, 25)
        return yield* Effect.eventually(completed)
      }).pipe(Effect.provideService(JobStore.JobStore, store))
    }).pipe(Effect.scoped, Effect.provide(Harness.client()), Effect.ensuring(emptied(prefix)))

  it.live("strand nothing (P14), without anybody being killed", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* doneWith(Harness.prefixOf("lost"), scripts()), 500)
    }), 30_000)

  it.live("strand jobs where claims are not reconciled: what the fact above is worth", () =>
    Effect.gen(function*() {
      const all = scripts()
      const line = "if not known[row.id] and row.at <= before then"
      assert.include(all.renew, line)
      assert.isBelow(
        yield* doneWith(Harness.prefixOf("stranded"), { ...all, renew: all.renew.replace(line, "if false then") }),
        500
      )
    }), 30_000)

  it.live("of an enqueue are asked for again: it is there once, and says Inserted", () =>
    Effect.gen(function*() {
      const prefix = Harness.prefixOf("again")
      let calls = 0
      const redis = yield* forgetful(() => ++calls === 1)
      const client = new Client(redis, `{${prefix}}`, scripts(), yield* Effect.scope)
      const store = yield* make(client, { ...usualSettings, identity: prefix })
      const handle = yield* Effect.provideService(Task.enqueue({ n: 1 }), JobStore.JobStore, store)
      assert.strictEqual(handle.outcome, "Inserted")
      assert.deepStrictEqual((yield* store.stats).queues.map(({ counts }) => counts.ready), [1])
      yield* Harness.empty(prefix)
    }).pipe(Effect.scoped, Effect.provide(Harness.client())))

  const kept = { age: 60_000, count: Infinity }
  const unkept = { completed: { age: 0, count: 0 }, cancelled: kept, dead: kept }
  const kinds: Readonly<Record<string, Partial<JobStore.NewRecord>>> = {
    "a plain record": {},
    "a record with a key": { concurrency: { key: "k", limit: 1 } },
    "a unique record": { unique: { key: "u", until: "finished", onConflict: "keep" } }
  }
  /** Of the first call that stores what may run: it runs to its end, something else happens, and then the reply is lost. */
  const meanwhile = Effect.fnUntraced(function*(
    happens: (other: JobStore.Shape) => Effect.Effect<unknown, unknown> = () => Effect.void
  ) {
    const prefix = Harness.prefixOf("meanwhile")
    const redis = yield* Redis.Redis
    const scope = yield* Effect.scope
    const of = (send: Redis.Redis["Service"]["send"]) =>
      make(new Client({ ...redis, send }, `{${prefix}}`, scripts(), scope), { ...usualSettings, identity: prefix })
    const other = yield* of(redis.send)
    const demand = [{ queue: "default", slots: 9, share: 9 }]
    const by = { worker: "w", lease: 60_000, settlements: [], demand, total: 9 }
    /** The payloads of what has run. */
    const runs = Effect.gen(function*() {
      const { claimed } = yield* other.exchange(by)
      const settlements = claimed.map(({ fence, id }) => ({
        id,
        fence,
        outcome: { _tag: "Complete", result: undefined } as const,
        finishedAfter: 1
      }))
      yield* other.exchange({ ...by, settlements, demand: [], total: 0 })
      yield* other.maintain
      return claimed.map(({ payload }) => payload)
    })
    const ran: Array<string> = []
    const store = yield* of(<A>(command: string, ...args: ReadonlyArray<string>) =>
      Effect.tap(
        redis.send<A>(command, ...args),
        () =>
          ran.length > 0 || !command.startsWith("EVAL")
            ? Effect.void
            : Effect.flatMap(Effect.orDie(runs), (payloads) => {
              ran.push(...payloads)
              return payloads.length === 0
                ? Effect.void
                : Effect.andThen(
                  Effect.orDie(happens(other)),
                  Effect.fail(new Redis.RedisError({ cause: new Error("Socket closed unexpectedly") }))
                )
            })
      )
    )
    return { other, prefix, ran, runs, store }
  })

  for (const [name, given] of Object.entries(kinds)) {
    it.live(`of an enqueue of ${name}, which has run meanwhile and is kept no more, store it no second time`, () =>
      Effect.gen(function*() {
        const { prefix, ran, runs, store } = yield* meanwhile()
        const record = Suite.record({ retention: unkept, ...given })
        assert.deepStrictEqual(yield* store.enqueue({ records: [record] }), [{ id: record.id, outcome: "Inserted" }])
        assert.deepStrictEqual(ran, ["null"])
        assert.isUndefined(yield* store.get(record.id))
        assert.deepStrictEqual(yield* runs, [])
        yield* Harness.empty(prefix)
      }).pipe(Effect.scoped, Effect.provide(Harness.client())))
  }

  for (const onConflict of ["replace", "reschedule"] as const) {
    it.live(`of an enqueue whose ${onConflict} has changed a record that has run meanwhile, store it no second time`, () =>
      Effect.gen(function*() {
        const { other, prefix, ran, runs, store } = yield* meanwhile()
        const unique = { key: "u", until: "finished", onConflict } as const
        const holder = Suite.record({ payload: "0", delay: 60_000, unique })
        yield* other.enqueue({ records: [holder] })
        const record = Suite.record({ payload: "1", unique })
        assert.deepStrictEqual(yield* store.enqueue({ records: [record] }), [{ id: holder.id, outcome: "Replaced" }])
        assert.deepStrictEqual(ran, [onConflict === "replace" ? "1" : "0"])
        assert.isUndefined(yield* store.get(record.id))
        assert.deepStrictEqual(yield* runs, [])
        yield* Harness.empty(prefix)
      }).pipe(Effect.scoped, Effect.provide(Harness.client())))
  }

  it.live("of an enqueue that cancels others, which has stored a record, cancel nothing that came meanwhile", () =>
    Effect.gen(function*() {
      const listens = Suite.record({ queue: "listens", cancelOn: ["on"] })
      const { other, prefix, ran, store } = yield* meanwhile((other) => other.enqueue({ records: [listens] }))
      const record = Suite.record()
      const answers = yield* store.enqueue({ records: [record], cancels: [{ on: "on", reason: "r" }] })
      assert.deepStrictEqual(answers, [{ id: record.id, outcome: "Inserted" }])
      assert.lengthOf(ran, 1)
      assert.strictEqual((yield* other.get(listens.id))?.state, "ready")
      yield* Harness.empty(prefix)
    }).pipe(Effect.scoped, Effect.provide(Harness.client())))
})

describe("a call that is made again under its id", () => {
  const at = <A, E>(theme: string, run: (store: JobStore.Shape) => Effect.Effect<A, E, JobStore.JobStore>) => {
    const prefix = Harness.prefixOf(`twice_${theme}`)
    return Effect.flatMap(JobStore.JobStore, run).pipe(
      Effect.provide(Harness.storeOf(prefix).pipe(Layer.provideMerge(Harness.client()))),
      Effect.ensuring(emptied(prefix))
    )
  }
  for (const onConflict of ["replace", "reschedule"] as const) {
    const unique = { key: "u", until: "finished", onConflict } as const
    const holder = Suite.record({ payload: "0", delay: 60_000, unique })
    const record = Suite.record({ payload: "1", unique })
    const answer = { id: holder.id, outcome: "Replaced" } as const

    it.live(`is stored no second time when its ${onConflict} has changed a record that has run meanwhile`, () =>
      at(`ran_${onConflict}`, (store) =>
        Effect.gen(function*() {
          yield* store.enqueue({ records: [holder] })
          assert.deepStrictEqual(yield* store.enqueue({ records: [record] }), [answer])
          yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.complete)
          assert.deepStrictEqual(yield* store.enqueue({ records: [record] }), [answer])
          // Nor does who has the key by now refuse a batch of which it is.
          yield* store.enqueue({ records: [Suite.record({ unique, flowId: "f", delay: 60_000 })] })
          const batch = yield* store.enqueue({ records: [record, Suite.record({ queue: "other" })] })
          assert.deepStrictEqual([batch[0], batch[1]!.outcome], [answer, "Inserted"])
          assert.isUndefined(yield* store.get(record.id))
          assert.deepStrictEqual(yield* Suite.claim("w", 9), [])
        })))

    it.live(`does no second ${onConflict} of a record that has been changed again meanwhile`, () =>
      at(`newer_${onConflict}`, (store) =>
        Effect.gen(function*() {
          yield* store.enqueue({ records: [holder] })
          assert.deepStrictEqual(yield* store.enqueue({ records: [{ ...record, delay: 30_000 }] }), [answer])
          const newer = Suite.record({ payload: "2", delay: 50_000, unique })
          assert.deepStrictEqual(yield* store.enqueue({ records: [newer] }), [answer])
          const before = yield* store.get(holder.id)
          assert.deepStrictEqual(yield* store.enqueue({ records: [{ ...record, delay: 30_000 }] }), [answer])
          assert.deepStrictEqual(yield* store.get(holder.id), before)
        })))
  }
})
