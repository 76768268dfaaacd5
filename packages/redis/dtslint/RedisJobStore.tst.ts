/**
 * What the types of the store on Redis promise: it runs on any client layer, and what commits business data and jobs in one
 * transaction does not compile on it.
 */
import { RedisJobStore } from "@capstan/redis"
import * as RedisCluster from "@capstan/redis/RedisCluster"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Job, type JobError, JobGroup, type JobStore, JobWorker, type Transactional } from "capstan"
import { Effect, Layer, Schema } from "effect"
import type { Redis, RedisError } from "effect/persistence/Redis"
import { describe, expect, test } from "tstyche"

class Charge extends Job.make("Charge", { payload: Schema.String, success: Schema.String }) {}
const Group = JobGroup.make(Charge)

const run = (worker: Layer.Layer<JobWorker.JobWorker, JobError.JobStoreError | RedisError>) => Layer.launch(worker)

describe("the layer", () => {
  test("is a store and nothing else, over the service of Redis", () => {
    expect(RedisJobStore.layer).type.toBeCallableWith({ insideSqlTransaction: "afterCommit" })
    expect(RedisJobStore.layer()).type.toBe<Layer.Layer<JobStore.JobStore, JobError.JobStoreError, Redis>>()
  })

  test("takes the client of one server and that of a cluster", () => {
    const one = RedisJobStore.layer().pipe(Layer.provide(NodeRedis.layer({ url: "redis://localhost:6379" })))
    const cluster = RedisJobStore.layer().pipe(Layer.provide(RedisCluster.layer({ rootNodes: [] })))
    expect<Layer.Services<typeof one>>().type.toBe<never>()
    expect<Layer.Services<typeof cluster>>().type.toBe<never>()
  })
})

describe("a worker on it", () => {
  const store = RedisJobStore.layer().pipe(Layer.provide(NodeRedis.layer({ url: "redis://localhost:6379" })))

  test("runs what needs a store alone", () => {
    const worker = JobWorker.layer(Group).pipe(
      Layer.provide(Charge.toLayer(() => Effect.succeed("receipt"))),
      Layer.provide(store)
    )
    expect(run).type.toBeCallableWith(worker)
  })

  test("does not run a handler that commits", () => {
    const worker = JobWorker.layer(Group).pipe(
      Layer.provide(Charge.toLayer(() => Charge.commit(Effect.succeed("receipt")))),
      Layer.provide(store)
    )
    expect<Layer.Services<typeof worker>>().type.toBe<Transactional.Transactional>()
    expect(run).type.not.toBeCallableWith(worker)
  })
})
