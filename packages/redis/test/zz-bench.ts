import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Job, JobGroup, JobRecord, JobStore, JobWorker } from "capstan"
import { Deferred, Effect, Layer, Schema } from "effect"
import { Redis } from "effect/persistence"
class Task extends Job.make("Task", { payload: { n: Schema.Number, pad: Schema.String } }) {}
const url = process.env.URL ?? "redis://127.0.0.1:7391"
const Client = NodeRedis.layer({ url })
const Store = RedisJobStore.layer().pipe(Layer.provideMerge(Client))
const N = Number(process.env.N ?? 100000)
const conc = Number(process.env.C ?? 100)
const cpu = Effect.gen(function*() {
  const redis = yield* Redis.Redis
  const info = yield* redis.send<string>("INFO", "cpu")
  const get = (k: string) => Number(new RegExp(`${k}:([0-9.]+)`).exec(info)![1])
  return (get("used_cpu_sys") + get("used_cpu_user")) * 1e6
})
const mem = Effect.gen(function*() {
  const redis = yield* Redis.Redis
  return Number(/used_memory:(\d+)/.exec(yield* redis.send<string>("INFO", "memory"))![1])
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
      `${name}: ${(n / t).toFixed(1)} k/s, server ${(c / n).toFixed(2)} us, process ${
        ((p.user + p.system) / n).toFixed(2)
      } us a job`
    )
    return a
  })
const main = Effect.gen(function*() {
  const redis = yield* Redis.Redis
  const store = yield* JobStore.JobStore
  yield* redis.send("FLUSHALL")
  yield* Task.enqueue({ n: 0, pad })
  yield* redis.send("FLUSHALL")
  if (process.env.ONE !== undefined) {
    yield* timed(
      "one at a time",
      5000,
      Effect.forEach(Array.from({ length: 5000 }), (_, n) => Task.enqueue({ n, pad }), { discard: true })
    )
    yield* timed(
      "100 in flight",
      50000,
      Effect.forEach(Array.from({ length: 50000 }), (_, n) => Task.enqueue({ n, pad }), {
        discard: true,
        concurrency: 100
      })
    )
    yield* redis.send("FLUSHALL")
  }
  const m0 = yield* mem
  yield* timed(
    "bulk",
    N,
    Effect.gen(function*() {
      for (let i = 0; i < N; i += 1000) {
        yield* Task.enqueueMany(Array.from({ length: 1000 }, (_, k) => ({ n: i + k, pad })))
      }
    })
  )
  console.log("bytes a waiting job", ((yield* mem) - m0) / N)
  let done = 0
  const all = yield* Deferred.make<void>()
  const Live = JobWorker.layer(JobGroup.make(Task), { concurrency: conc }).pipe(
    Layer.provide(
      JobGroup.make(Task).toLayer({
        Task: () =>
          Effect.sync(() => {
            if (++done === N) Deferred.doneUnsafe(all, Effect.void)
          })
      })
    )
  )
  yield* timed("drain", N, Effect.scoped(Effect.andThen(Layer.build(Live), Deferred.await(all))))
  console.log("bytes a completed job", ((yield* mem) - m0) / N, JSON.stringify((yield* store.stats).queues))
  const info = yield* redis.send<string>("INFO", "commandstats")
  if (process.env.V) {
    console.log(
      info.split("\r\n").filter((l) => /usec/.test(l)).map((l) => l.replace("cmdstat_", "")).sort((a, b) =>
        Number(/usec=(\d+)/.exec(b)![1]) - Number(/usec=(\d+)/.exec(a)![1])
      ).slice(0, 16).join("\n")
    )
  }
})
void JobRecord
Effect.runPromise(Effect.provide(main, Store) as never).then(() => process.exit(0), (e) => {
  console.error(e)
  process.exit(1)
})
