import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobWorker } from "capstan"
import { Effect, Layer, Queue, Schema } from "effect"
import { Redis } from "effect/persistence"
import { createHash } from "node:crypto"
import { scripts } from "../src/internal/scripts.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

class Task extends Job.make("Task", { payload: Schema.Number }) {}
const group = JobGroup.make(Task)

const exchange = createHash("sha1").update(scripts().exchange).digest("hex")

interface Line {
  exchanges: number
  underWay: number
}

/** The client without ears: what the server publishes is not heard. */
const deaf = (line: Line) =>
  Layer.effect(
    Redis.Redis,
    Effect.map(Redis.Redis, (redis) => ({
      ...redis,
      subscribe: () => Queue.unbounded<Redis.RedisMessage, Redis.RedisError>(),
      send: <A>(command: string, ...args: ReadonlyArray<string>) =>
        Effect.suspend(() => {
          if (args[0] === exchange) line.exchanges++
          line.underWay++
          return Effect.ensuring(redis.send<A>(command, ...args), Effect.sync(() => line.underWay--))
        })
    }))
  ).pipe(Layer.provide(Harness.client()))

const prefix = Harness.prefixOf("nearby")
const stores = {
  "of one partition": () => Harness.storeOf(prefix),
  "of three partitions": () => Partitions.storeOf(prefix, { counts: new Map([["default", 3]]), many: 3 })
}

describe.each(Object.entries(stores))("a worker of a store %s that sleeps in the process that enqueues", (_, store) => {
  it.live("looks right behind an enqueue, though it hears nothing of the server", () => {
    const line: Line = { exchanges: 0, underWay: 0 }
    const ran: Array<number> = []
    const worker = JobWorker.layer(group, { concurrency: 2, pollInterval: "1 hour" }).pipe(
      Layer.provide(Task.toLayer((n) => Effect.sync(() => void ran.push(n))))
    )
    const asleep = Harness.until(
      "the worker sleeps",
      Effect.map(Harness.send("HEXISTS", `{${prefix}}`, "zdefault"), (flag) => flag === 1 && line.underWay === 0)
    )
    const many = (n: number) => Task.enqueueMany(Array.from({ length: 200 }, () => n))
    return Effect.gen(function*() {
      // Scripts are loaded when they are first called.
      yield* Task.enqueue(0)
      yield* many(0)
      yield* Layer.build(Layer.fresh(worker))
      for (let n = 1; n <= 10; n++) {
        yield* asleep
        yield* n % 2 === 0 ? Task.enqueue(n) : many(n)
        yield* Harness.until(`enqueue ${n} is run`, Effect.sync(() => ran.includes(n)))
      }
    }).pipe(
      Effect.scoped,
      Effect.ensuring(Effect.orDie(Harness.emptyAll(prefix))),
      Effect.provide(store().pipe(Layer.provideMerge(deaf(line)), Layer.orDie))
    )
  })

  it.live("is asked for nothing where nobody sleeps", () => {
    const line: Line = { exchanges: 0, underWay: 0 }
    return Effect.gen(function*() {
      for (let n = 0; n < 10; n++) yield* Task.enqueue(n)
      assert.strictEqual(line.exchanges, 0)
    }).pipe(
      Effect.ensuring(Effect.orDie(Harness.emptyAll(prefix))),
      Effect.provide(store().pipe(Layer.provideMerge(deaf(line)), Layer.orDie))
    )
  })
})
