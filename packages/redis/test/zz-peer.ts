import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Deferred, Effect, Layer, Schema } from "effect"
import { PersistedQueue, Redis } from "effect/persistence"
const url = process.env.URL ?? "redis://127.0.0.1:7391"
const Client = NodeRedis.layer({ url })
const Store = PersistedQueue.layer.pipe(Layer.provide(PersistedQueue.layerStoreRedis({})), Layer.provideMerge(Client))
const N = Number(process.env.N ?? 100000)
const conc = Number(process.env.C ?? 100)
const cpu = Effect.gen(function*() {
  const redis = yield* Redis.Redis
  const info = yield* redis.send<string>("INFO", "cpu")
  const get = (k: string) => Number(new RegExp(`${k}:([0-9.]+)`).exec(info)![1])
  return (get("used_cpu_sys") + get("used_cpu_user")) * 1e6
})
const pad = "x".repeat(80)
const timed = <A, E, R>(name: string, n: number, e: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const c0 = yield* cpu
    const p0 = process.cpuUsage()
    const t0 = performance.now()
    const a = yield* e
    const t = performance.now() - t0
    const c = (yield* cpu) - c0
    const p = process.cpuUsage(p0)
    console.log(
      `PQ ${name}: ${(n / t).toFixed(1)} k/s, server ${(c / n).toFixed(2)} us, process ${
        ((p.user + p.system) / n).toFixed(2)
      } us a job`
    )
    return a
  })
const main = Effect.gen(function*() {
  const redis = yield* Redis.Redis
  yield* redis.send("FLUSHALL")
  const queue = yield* PersistedQueue.make({
    name: "q",
    schema: Schema.Struct({ n: Schema.Number, pad: Schema.String })
  })
  if (process.env.ONE !== undefined) {
    yield* timed(
      "one at a time",
      5000,
      Effect.forEach(Array.from({ length: 5000 }), (_, n) => queue.offer({ n, pad }), { discard: true })
    )
    yield* timed(
      "100 in flight",
      50000,
      Effect.forEach(Array.from({ length: 50000 }), (_, n) => queue.offer({ n, pad }), {
        discard: true,
        concurrency: 100
      })
    )
    yield* redis.send("FLUSHALL")
  }
  yield* timed(
    "bulk",
    N,
    Effect.forEach(Array.from({ length: N }), (_, n) => queue.offer({ n, pad }), { discard: true, concurrency: 1000 })
  )
  let done = 0
  const all = yield* Deferred.make<void>()
  yield* timed(
    "drain",
    N,
    Effect.scoped(Effect.gen(function*() {
      for (let i = 0; i < conc; i++) {
        yield* Effect.forkScoped(Effect.forever(queue.take(() =>
          Effect.sync(() => {
            if (++done === N) Deferred.doneUnsafe(all, Effect.void)
          })
        )))
      }
      yield* Deferred.await(all)
    }))
  )
})
Effect.runPromise(Effect.scoped(Effect.provide(main, Store)) as never).then(() => process.exit(0), (e) => {
  console.error(e)
  process.exit(1)
})
