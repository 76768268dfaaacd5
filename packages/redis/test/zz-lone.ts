import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Job } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { Session } from "node:inspector"
class Task extends Job.make("Task", { payload: { n: Schema.Number, pad: Schema.String } }) {}
const Store = RedisJobStore.layer().pipe(Layer.provideMerge(NodeRedis.layer({ url: "redis://127.0.0.1:7391" })))
const pad = "x".repeat(80)
const conc = Number(process.env.C ?? 1), n = Number(process.env.N ?? 20000)
const s = new Session()
s.connect()
const post = (m: string) => new Promise<any>((r) => s.post(m as never, (_: unknown, x: unknown) => r(x)))
const main = Effect.gen(function*() {
  const go = (k: number) =>
    Effect.forEach(Array.from({ length: k }), (_, n) => Task.enqueue({ n, pad }), { discard: true, concurrency: conc })
  yield* go(3000)
  yield* Effect.promise(() => post("Profiler.enable"))
  yield* Effect.promise(() => post("Profiler.start"))
  const t = performance.now()
  yield* go(n)
  console.log((n / (performance.now() - t)).toFixed(1), "k/s")
  const { profile: p } = yield* Effect.promise(() => post("Profiler.stop"))
  const byId = new Map<number, any>(p.nodes.map((n: any) => [n.id, n]))
  const self = new Map<string, number>()
  let total = 0
  p.samples.forEach((id: number, i: number) => {
    const n = byId.get(id)
    const k = n.callFrame.functionName + " " + n.callFrame.url.split("/").slice(-3).join("/") + ":" +
      n.callFrame.lineNumber
    const d = p.timeDeltas[i]
    total += d
    self.set(k, (self.get(k) ?? 0) + d)
  })
  console.log(
    [...self].sort((a, b) => b[1] - a[1]).slice(0, 40).map(([k, v]) => (v / n).toFixed(2) + "us " + k).join("\n")
  )
})
Effect.runPromise(Effect.provide(main, Store) as never).then(() => process.exit(0), (e) => {
  console.error(e)
  process.exit(1)
})
