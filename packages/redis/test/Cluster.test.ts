/** The store on a cluster: a slot that moves under load, and the loss of a master. */
import { RedisJobStore } from "@capstan/redis"
import { assert, describe, it } from "@effect/vitest"
import { Job, type JobError, JobGroup, Jobs, JobWorker } from "capstan"
import { type Duration, Effect, Exit, Fiber, Latch, Layer, Queue, Schema } from "effect"
import * as RedisService from "effect/persistence/Redis"
import { afterAll, beforeAll } from "vitest"
import type { Redis } from "../../../scripts/servers/index.ts"
import { untilTrue } from "../../../scripts/servers/until.ts"
import * as Cluster from "./cluster.ts"
import * as Harness from "./harness.ts"

class Task extends Job.make("Task", { payload: { n: Schema.Number } }) {}
class Group extends JobGroup.make(Task) {}

let servers: Cluster.Servers

/** Servers for the tests of one block. */
const servedBy = (start: () => Promise<Cluster.Servers>): void => {
  beforeAll(async () => {
    servers = await start()
  }, 60_000)
  afterAll(() => servers.stop())
}

const storeOf = (prefix: string, options: RedisJobStore.Options = {}) =>
  Layer.orDie(RedisJobStore.layer({ ...options, prefix }).pipe(Layer.provide(Cluster.client(servers, prefix))))

/** Enqueues one job after another in so many fibers until told to stop; answers which were acknowledged, and how many not. */
const producing = (fibers: number) =>
  Effect.gen(function*() {
    const stopped = Latch.makeUnsafe(false)
    const acknowledged: Array<number> = []
    let others = 0
    let next = 0
    const produce = Effect.gen(function*() {
      while (!stopped.isOpen()) {
        const n = next++
        const exit = yield* Effect.exit(Task.enqueue({ n }))
        if (Exit.isSuccess(exit)) acknowledged.push(n)
        else others++
        yield* Effect.sleep("2 millis")
      }
    })
    const running = yield* Effect.forEach(Array.from({ length: fibers }), () => Effect.forkScoped(produce))
    const stop = Effect.andThen(Effect.sync(() => stopped.openUnsafe()), Fiber.awaitAll(running))
    return { acknowledged, others: () => others, stop }
  })

const working = (ran: Map<number, number>, lease: Duration.Input = "2 seconds") =>
  JobWorker.layer(Group, { concurrency: 20, lease, pollInterval: "200 millis" }).pipe(
    Layer.provide(Group.toLayer({ Task: ({ n }) => Effect.sync(() => void ran.set(n, (ran.get(n) ?? 0) + 1)) }))
  )

const idle = Effect.map(
  Effect.flatMap(Jobs.Jobs, ({ stats }) => stats),
  ({ queues }) => queues.every(({ counts }) => counts.ready + counts.running + counts.scheduled === 0)
).pipe(Effect.orElseSucceed(() => false))

/** The replica that follows this master. After a restart it takes a moment until there is one. */
const replicaOf = async (master: Redis): Promise<Redis> => {
  let found: Redis | undefined
  await untilTrue("a replica follows its master", async () => {
    const roles = await Promise.all(servers.nodes.map((node) => node.command("ROLE")))
    found = servers.nodes.find((_, i) => String(roles[i]).startsWith(`slave,127.0.0.1,${master.port},connected,`))
    return found !== undefined
  })
  return found!
}

describe("of which no node is lost", () => {
  servedBy(Cluster.start)

  describe("the client", () => {
    it.live("sends everything to the node that serves the store, also on connections of its own", () =>
      Effect.gen(function*() {
        const prefix = "nodes"
        const master = yield* Effect.promise(() => servers.slotOf(`{${prefix}}`).then(servers.masterOf))
        const id = yield* Effect.promise(() => master.command("CLUSTER", "MYID"))
        yield* Effect.gen(function*() {
          const redis = yield* RedisService.Redis
          const own = yield* redis.reserve
          assert.deepStrictEqual([yield* redis.send("CLUSTER", "MYID"), yield* own.send("CLUSTER", "MYID")], [id, id])
          const heard = yield* redis.subscribe("channel")
          yield* own.send("PUBLISH", "channel", "hello")
          assert.deepStrictEqual(yield* Queue.take(heard), { channel: "channel", message: "hello" })
        }).pipe(Effect.scoped, Effect.provide(Cluster.client(servers, prefix)))
      }))
  })

  describe("a slot that moves", () => {
    it.live(
      "takes its store along: what is called meanwhile waits, and all that was acknowledged runs once",
      () =>
        Effect.gen(function*() {
          const prefix = "moves"
          const slot = yield* Effect.promise(() => servers.slotOf(`{${prefix}}`))
          yield* Effect.gen(function*() {
            const ran = new Map<number, number>()
            // Nobody dies: a lease that a busy machine lets lapse would have some run twice.
            yield* Layer.build(working(ran, "30 seconds"))
            const producers = yield* producing(10)
            yield* Harness.until("jobs run", Effect.sync(() => ran.size > 100), 20)
            for (const _ of ["there", "and back"]) {
              const from = yield* Effect.promise(() => servers.masterOf(slot))
              const to = servers.nodes.slice(0, 3).find((node) => node !== from)!
              const done = ran.size
              yield* Effect.promise(() => servers.moveSlot(slot, to))
              assert.strictEqual(yield* Effect.promise(() => servers.masterOf(slot)), to)
              yield* Harness.until("jobs run again", Effect.sync(() => ran.size > done + 100), 20)
            }
            yield* producers.stop
            yield* Harness.until("all jobs have run", idle, 20)
            assert.deepStrictEqual(producers.acknowledged.filter((n) => ran.get(n) !== 1), [])
          }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provideMerge(storeOf(prefix)))))
        }),
      90_000
    )
  })

  describe("who only enqueues, and waits for a replica each time,", () => {
    /** Nothing else goes out meanwhile by which this client would learn where its slot is. */
    const goesOn = (prefix: string, moved: (slot: number) => Promise<void>) =>
      Effect.gen(function*() {
        const slot = yield* Effect.promise(() => servers.slotOf(`{${prefix}}`))
        const from = yield* Effect.promise(() => servers.masterOf(slot))
        const failures: Array<JobError.JobStoreError> = []
        let enqueued = 0
        const enqueue = Effect.match(Task.enqueue({ n: 1 }), {
          onFailure: (error) => failures.push(error as JobError.JobStoreError),
          onSuccess: () => enqueued++
        })
        yield* Effect.forkScoped(Effect.forever(enqueue))
        yield* Harness.until("one is enqueued", Effect.sync(() => enqueued > 0))
        yield* Effect.promise(() => moved(slot))
        yield* Effect.promise(() => untilTrue("another one serves", async () => await servers.masterOf(slot) !== from))
        const before = enqueued
        yield* Harness.until("enqueues go on", Effect.sync(() => enqueued > before + 20), 20)
        // What fails meanwhile may be tried again.
        assert.deepStrictEqual(failures.filter(({ isTransient }) => !isTransient), [])
      }).pipe(Effect.scoped, Effect.provide(storeOf(prefix, { durability: "replicated" })))

    it.live("goes on where the slot has moved to", () =>
      goesOn("moves-enqueues", async (slot) => {
        const from = await servers.masterOf(slot)
        await servers.moveSlot(slot, servers.nodes.slice(0, 3).find((node) => node !== from)!)
      }), 60_000)

    it.live("goes on where an operator has made the replica the master", () =>
      goesOn("takes-over", async (slot) => {
        const replica = await replicaOf(await servers.masterOf(slot))
        await replica.command("CLUSTER", "FAILOVER", "TAKEOVER")
      }), 60_000)
  })
})

describe("the loss of a master", () => {
  servedBy(Cluster.startFragile)

  it.live("is over for a worker when the replica has taken over: it goes on by itself", () =>
    Effect.gen(function*() {
      const prefix = "goes-on"
      const slot = yield* Effect.promise(() => servers.slotOf(`{${prefix}}`))
      yield* Effect.gen(function*() {
        const ran = new Map<number, number>()
        yield* Layer.build(working(ran))
        const producers = yield* producing(10)
        yield* Harness.until("jobs run", Effect.sync(() => ran.size > 100), 20)
        const master = yield* Effect.promise(() => servers.masterOf(slot))
        yield* Effect.promise(() => master.crash())
        yield* Effect.promise(() =>
          untilTrue("the replica serves", async () => await servers.masterOf(slot) !== master)
        )
        const done = ran.size
        yield* Harness.until("jobs run again", Effect.sync(() => ran.size > done + 100), 75)
        yield* producers.stop
        yield* Harness.until("all jobs have run", idle, 30)
        yield* Effect.promise(() => master.restart())
      }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provideMerge(storeOf(prefix)))))
    }), 120_000)

  /**
   * What was acknowledged and is not there when the replica has taken over. The replica hears nothing of the last half
   * second: replication is asynchronous, and this is what that means.
   */
  const lostWith = (prefix: string, options: RedisJobStore.Options) =>
    Effect.gen(function*() {
      const slot = yield* Effect.promise(() => servers.slotOf(`{${prefix}}`))
      const master = yield* Effect.promise(() => servers.masterOf(slot))
      const replica = yield* Effect.promise(() => replicaOf(master))
      const producers = yield* producing(20)
      yield* Harness.until("jobs are acknowledged", Effect.sync(() => producers.acknowledged.length > 200), 20)

      const lastKnown = producers.acknowledged.length
      // A password where none is asked for is refused: the replica cannot come back.
      yield* Effect.promise(() => replica.command("CONFIG", "SET", "masterauth", "wrong"))
      yield* Effect.promise(() => master.command("CLIENT", "KILL", "TYPE", "replica"))
      yield* Effect.sleep("500 millis")
      yield* Effect.promise(() => master.crash())
      yield* Effect.promise(() => untilTrue("the replica serves", async () => await servers.masterOf(slot) !== master))
      // It follows now: what is to be replicated needs a replica.
      yield* Effect.promise(() => master.restart())
      const before = producers.acknowledged.length
      yield* Harness.until("enqueues go on", Effect.sync(() => producers.acknowledged.length > before + 200), 75)
      yield* producers.stop

      const ran = new Map<number, number>()
      yield* Layer.build(working(ran))
      yield* Harness.until("all jobs have run", idle, 30)
      const lost = producers.acknowledged.filter((n) => !ran.has(n))
      return {
        lost: lost.length,
        unheard: before - lastKnown,
        said: `durability ${options.durability ?? "server"}: ${producers.acknowledged.length} acknowledged, ` +
          `${lost.length} of them lost with the master, ${producers.others()} not acknowledged`
      }
    }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provideMerge(storeOf(prefix, options)))))

  it.live("loses nothing that a replica has acknowledged", ({ annotate }) =>
    Effect.gen(function*() {
      const { lost, said } = yield* lostWith("replicated", { durability: "replicated" })
      yield* Effect.promise(() => annotate(said))
      assert.strictEqual(lost, 0)
    }), 120_000)

  it.live(
    "loses of the others what no replica had heard of, and the store goes on",
    ({ annotate }) =>
      Effect.gen(function*() {
        const { lost, said, unheard } = yield* lostWith("unreplicated", {})
        yield* Effect.promise(() => annotate(said))
        assert.isAbove(lost, 0)
        assert.isAtMost(lost, unheard)
      }),
    120_000
  )
})
