/** Moves the waiting jobs of a queue of BullMQ to the store on the same Redis. */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Effect, Layer } from "effect"
import process from "node:process"
import { Queue } from "./client/index.ts"
import { routes } from "./jobs.ts"
import * as BullMQ from "./src/bullmq.ts"
import { program } from "./src/program.ts"

const url = process.env.REDIS_URL ?? "redis://localhost:6379"
const Live = RedisJobStore.layer().pipe(Layer.provide(NodeRedis.layer({ url })))

const mail = Effect.acquireRelease(
  Effect.sync(() => new Queue("mail", { connection: { url } })),
  (queue) => Effect.promise(() => queue.close())
)

program(Effect.map(mail, (queue) => BullMQ.source(queue)), routes).pipe(
  Effect.scoped,
  Effect.provide([Live, NodeServices.layer]),
  NodeRuntime.runMain
)
