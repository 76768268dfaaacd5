/** A store of several partitions on a cluster of three masters: the suite, and workers through the loss of one of them. */
import { RedisJobStore } from "@capstan/redis"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Effect, Layer, ManagedRuntime, Schema } from "effect"
import { afterAll } from "vitest"
import * as Cluster from "./cluster.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

const prefix = "suite"
const many = 4
const servers = await Cluster.start()
const operator = ManagedRuntime.make(Layer.orDie(Cluster.client(servers, prefix)))

afterAll(() => operator.dispose().finally(() => servers.stop()))

const layer = Partitions.storeOf(prefix, {
  counts: Partitions.countsOf(many),
  many,
  clock: Harness.frozenClock,
  choose: Partitions.choosingFor(() => 2)
}).pipe(
  Layer.provideMerge(
    Layer.effectDiscard(Effect.andThen(Partitions.empty(prefix, many), Partitions.freeze(prefix, many)))
  ),
  Layer.provide(Cluster.client(servers, prefix)),
  Layer.orDie
)

// All facts are asked of partitions on one server, and of one partition on a cluster: both together are asked some.
Partitions.suite(
  "a partition of a store on a cluster",
  layer,
  (millis) => Effect.promise(() => operator.runPromise(Partitions.advance(prefix, many, millis))),
  3
)

class Task extends Job.make("Task", { payload: { n: Schema.Number }, queue: "mail" }) {}
class Group extends JobGroup.make(Task) {}

describe("partitions on a cluster", () => {
  it.live(
    "lie on all of its masters, and workers go on with the others while one is away",
    () =>
      Effect.gen(function*() {
        const store = RedisJobStore.layer({ prefix: "spread", partitions: { mail: 12 } }).pipe(
          Layer.provide(Cluster.client(servers, "spread"))
        )
        const ran = new Map<number, number>()
        // The worker does not die: a lease that a busy machine lets lapse would have some run twice.
        const worker = JobWorker.layer(Group, { concurrency: 20, lease: "30 seconds", pollInterval: "200 millis" })
          .pipe(
            Layer.provide(Group.toLayer({ Task: ({ n }) => Effect.sync(() => void ran.set(n, (ran.get(n) ?? 0) + 1)) }))
          )
        yield* Effect.gen(function*() {
          yield* Task.enqueueMany(Array.from({ length: 600 }, (_, n) => ({ n })))
          const masters = servers.nodes.slice(0, 3)
          const keys = yield* Effect.promise(() => Promise.all(masters.map((node) => node.command("DBSIZE"))))
          for (const size of keys) assert.isAbove(Number(size), 0)
          yield* Layer.build(worker)
          yield* Harness.until("all have run", Effect.sync(() => ran.size === 600), 20)
          assert.deepStrictEqual([...new Set(ran.values())], [1])

          // The replica takes over after some seconds; until then the records of the other masters run.
          const slot = yield* Effect.promise(() => servers.slotOf("{spread/1}"))
          const lost = yield* Effect.promise(() => servers.masterOf(slot))
          yield* Effect.promise(() => lost.crash())
          const stats = Effect.flatMap(JobStore.JobStore, ({ stats }) => stats)
          const acknowledged: Array<number> = []
          const enqueue = (n: number) =>
            Effect.tap(Task.enqueue({ n }), () => Effect.sync(() => void acknowledged.push(n))).pipe(
              Effect.timeoutOption("2 seconds"),
              Effect.ignore
            )
          const numbers = Array.from({ length: 60 }, (_, i) => 1000 + i)
          yield* Effect.forEach(numbers, enqueue, { concurrency: 20, discard: true })
          // Those of the other masters, as many as a busy machine takes in two seconds.
          assert.isAbove(acknowledged.length, 5)
          yield* Harness.until(
            "what the other nodes took runs",
            Effect.sync(() => acknowledged.every((n) => ran.has(n))),
            20
          )
          yield* Harness.until(
            "all is done when the replica has taken over",
            Effect.map(Effect.orElseSucceed(stats, () => undefined), (found) =>
              found !== undefined &&
              found.queues.every(({ counts }) => counts.ready + counts.running + counts.scheduled === 0)),
            60
          )
          assert.deepStrictEqual(acknowledged.filter((n) => ran.get(n) !== 1), [])
        }).pipe(Effect.scoped, Effect.provide(Jobs.layer.pipe(Layer.provideMerge(Layer.orDie(store)))))
      }),
    120_000
  )
})
