/**
 * What a flow costs: `node scripts/node.mjs scratchpad/flows.ts memory` (or `pg`, `redis`), on a throwaway server.
 *
 * For each size a flow of so many leaves under one node: how long its start takes, and the time from the first leaf to the end.
 */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import { NodeRedis } from "@effect/platform-node"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Flow, Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Clock, Console, Effect, Layer, Redacted, Schema } from "effect"
import { durableRedis, startPostgres, startRedis } from "../scripts/servers/index.ts"

class Leaf extends Job.make("Leaf", { payload: { n: Schema.Number }, success: Schema.Number }) {}
class Root extends Job.make("Root", { success: Schema.Number }) {}
class Group extends JobGroup.make(Leaf, Root) {}
class Wide extends Flow.make("Wide").list("leaves", Leaf).node("root", Root, { after: { leaves: "fail" } }) {}

const handlers = Group.toLayer({
  Leaf: ({ n }) => Effect.succeed(n),
  Root: () => Effect.map(Wide.results("root"), ({ leaves }) => leaves.reduce((sum, n) => sum + n, 0))
})

const timed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const from = yield* Clock.monotonicTimeNanos
    const value = yield* effect
    return [value, Number((yield* Clock.monotonicTimeNanos) - from) / 1e6] as const
  })

const measure = Effect.gen(function*() {
  const worker = Layer.build(JobWorker.layer(Group, { concurrency: 100 }).pipe(Layer.provide(handlers)))
  for (const size of [10, 10, 1000, 10_000]) {
    const leaves = Array.from({ length: size }, (_, n) => ({ n }))
    const rounds = Math.max(1, 1000 / size)
    const [flows, started] = yield* timed(Effect.forEach(Array.from({ length: rounds }), () => Wide.start({ leaves })))
    const [, drained] = yield* timed(Effect.scoped(Effect.gen(function*() {
      yield* worker
      for (const flow of flows) {
        const { root } = yield* flow.await
        if (root !== size * (size - 1) / 2) {
          return yield* Effect.die(new Error(`the sum of ${size} leaves is not ${root}`))
        }
      }
    })))
    const each = (millis: number) => `${(millis * 1000 / size / rounds).toFixed(1)} us a leaf`
    yield* Console.log(
      `${rounds} x ${size} leaves: started in ${started.toFixed(0)} ms (${each(started)}), ` +
        `drained in ${drained.toFixed(0)} ms (${each(drained)})`
    )
  }
})

const kind = process.argv[2] ?? "memory"
await using server = kind === "pg"
  ? await startPostgres()
  : kind === "redis"
  ? await startRedis({ settings: durableRedis() })
  : undefined
const store: Layer.Layer<JobStore.JobStore, unknown> = kind === "pg"
  ? Layer.provide(PgJobStore.layer(), PgClient.layer({ url: Redacted.make(server!.url), maxConnections: 10 }))
  : kind === "redis"
  ? Layer.provide(RedisJobStore.layer(), NodeRedis.layer({ url: server!.url }))
  : JobStore.layerMemory()

await Effect.runPromise(Effect.provide(measure, store))
