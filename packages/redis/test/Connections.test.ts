/** How many connections a process has: as many with one job at a time as with hundreds, and with many partitions. */
import { RedisJobStore } from "@capstan/redis"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobWorker } from "capstan"
import { Effect, Latch, Layer, Schema, Stream } from "effect"
import * as Harness from "./harness.ts"

class Task extends Job.make("Task", { payload: { n: Schema.Number }, queue: "mail" }) {}
class Group extends JobGroup.make(Task) {}

/** Those that the server has by this name. */
const connections = (name: string) =>
  Effect.map(
    Effect.provide(Harness.send<string>("CLIENT", "LIST"), Harness.client()),
    (list) => list.split("\n").filter((line) => line.includes(` name=${name} `)).length
  )

/** Counts while jobs are enqueued and run, with all slots taken; then with somebody who reads events, too. */
const counted = (name: string, concurrency: number, options: RedisJobStore.Options) =>
  Effect.gen(function*() {
    const open = yield* Latch.make(false)
    let running = 0
    const handler = () => Effect.andThen(Effect.sync(() => running++), open.await)
    const worker = JobWorker.layer(Group, { concurrency }).pipe(Layer.provide(Group.toLayer({ Task: handler })))
    yield* Layer.build(worker)
    yield* Effect.forEach(
      Array.from({ length: concurrency * 2 }),
      (_, n) => Task.enqueue({ n }),
      { concurrency: "unbounded" }
    )
    yield* Harness.until("all slots are taken", Effect.sync(() => running === concurrency))
    const jobs = yield* Jobs.Jobs
    yield* jobs.stats
    // One for calls, one for wake-ups; of the latter nobody says when it is there.
    yield* Harness.until("it listens", Effect.map(connections(name), (many) => many >= 2))
    const working = yield* connections(name)
    const heard = yield* Latch.make(false)
    yield* Effect.forkScoped(Stream.runForEach(jobs.events, () => heard.open))
    yield* heard.await
    const reading = yield* connections(name)
    yield* open.open
    return { working, reading }
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Jobs.layer.pipe(
        Layer.provideMerge(RedisJobStore.layer({ prefix: Harness.prefixOf(name), ...options })),
        Layer.provide(Harness.client(name))
      )
    ),
    Effect.ensuring(Effect.orDie(Effect.provide(Harness.emptyAll(Harness.prefixOf(name)), Harness.client())))
  )

describe("connections", () => {
  const cases: ReadonlyArray<readonly [string, number, RedisJobStore.Options, number]> = [
    ["one job at a time", 1, {}, 2],
    ["two hundred at a time", 200, {}, 2],
    ["sixteen partitions", 50, { partitions: { mail: 16 } }, 2]
  ]
  for (const [i, [title, concurrency, options, expected]] of cases.entries()) {
    it.live(`${title}: one for calls, one for wake-ups, one more for who reads events`, () =>
      Effect.gen(function*() {
        const { reading, working } = yield* counted(`connections_${process.pid}_${i}`, concurrency, options)
        assert.deepStrictEqual([working, reading], [expected, expected + 1])
      }))
  }
})
