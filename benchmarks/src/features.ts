/**
 * Systems of jobs that have keys, belong to flows, or come from schedules: what no peer here has in one store, so that the
 * scenarios of these compare ours with ours.
 */
import { Flow, Job, JobGroup, JobLimit, Jobs, JobSchedule, JobStore, JobWorker } from "capstan"
import { Context, Effect, Exit, Layer, ManagedRuntime, Schema, Scope } from "effect"
import { HttpClient, HttpClientResponse } from "effect/http"
import { OtlpSerialization, OtlpTracer } from "effect/observability"
import { type LayerOf, makeOn, payload } from "./capstan.ts"
import { type MakeSystem, text } from "./system.ts"

/** Each answers a system, or what makes one, for the database of one pass. */
export interface Features {
  /** Each job has one of a thousand concurrency keys, of which fifty may run at a time. */
  readonly keyed: MakeSystem
  /** Jobs whose worker has a tracer. */
  readonly traced: MakeSystem
  /** Jobs without a key, in a queue in which so many others wait, each for a key of which nothing may start. */
  readonly behind: (waiting: number) => MakeSystem
  /** Jobs that are the leaves of flows: each `leaves + 1` are one flow, the last of which waits for the others. */
  readonly flows: (leaves: number) => MakeSystem
  /** Jobs that take turns: the first `big` are one tenant's, each other one is another's. */
  readonly fair: (big: number) => MakeSystem
  /** Runs a worker and so many schedules of one second each, all of the same instants; `run` is given the planned instant, in epoch milliseconds. */
  readonly ticking: (given: Ticking) => Promise<() => Promise<void>>
}

export interface Ticking {
  readonly url: string
  readonly schedules: number
  readonly run: (planned: number) => void
}

/** A collector that takes what it is sent, without the network. */
const collector = Layer.succeed(
  HttpClient.HttpClient,
  HttpClient.make((request) => Effect.succeed(HttpClientResponse.fromWeb(request, new Response("{}"))))
)
/** Effect's own exporter: each attempt has a span, linked to that of its enqueue, and all are encoded and sent. */
const tracing: Layer.Layer<never> = Layer.effectDiscard(Effect.void).pipe(
  Layer.provideMerge(OtlpTracer.layer({ url: "http://localhost/v1/traces", resource: { serviceName: "bench" } })),
  Layer.provide(Layer.merge(OtlpSerialization.layerJson, collector))
)

/** How many keys the jobs of `keyed` have. */
const keys = 1000
/** What is stored in one call, where a system is made with records in it. */
const portion = 1000

const Keyed = Job.make("Work", { payload, concurrency: { key: ({ n }) => `${n % keys}`, limit: 50 } })

const Shut = JobLimit.make("shut", { concurrency: 0 })
const Waiting = Job.make("Waiting", { payload, limit: { by: Shut, key: ({ n }) => `${n}` } })

const Turns = JobLimit.make("turns", { order: "fair" })
/** Who a job belongs to is told by its number. */
const turning = (big: number) =>
  Job.make("Work", { payload, limit: { by: Turns, key: ({ n }) => (n < big ? "big" : `small-${n}`) } })

const Leaf = Job.make("Leaf", { payload: { n: Schema.Number } })
const Sink = Job.make("Sink", { payload: { n: Schema.Number } })
class Tree extends Flow.make("Tree").list("leaves", Leaf).node("sink", Sink, { after: { leaves: "fail" } }) {}

const Tick = Job.make("Tick", { payload: { planned: Schema.Number } })

/**
 * Says what a limit holds before its first record comes, as it is where a worker has run before. Until one has, each record has the
 * limit that it carries, and the place of its age.
 */
const say = (key: string, options: JobLimit.KeyOptions) =>
  Effect.gen(function*() {
    const jobs = yield* Jobs.Jobs
    yield* jobs.setLimit({ key }, options)
  }).pipe(Effect.provide(Jobs.layer))

const wait = (count: number) =>
  Effect.gen(function*() {
    yield* say("shut", { concurrency: 0 })
    for (let from = 0; from < count; from += portion) {
      const many = Math.min(portion, count - from)
      yield* Waiting.enqueueMany(Array.from({ length: many }, (_, i) => ({ n: from + i, text })))
    }
  })

const flowsOn = (layerOf: LayerOf, leaves: number): MakeSystem => async ({ run, url }) => {
  const group = JobGroup.make(Leaf, Sink)
  const runtime = ManagedRuntime.make(layerOf(url))
  const scope = Effect.runSync(Scope.make())
  const on = Effect.runPromiseWith(Context.make(JobStore.JobStore, await runtime.runPromise(JobStore.JobStore)))
  const note = ({ n }: { readonly n: number }) => Effect.sync(() => run(n))
  const handlers = group.toLayer({ Leaf: note, Sink: note })
  const size = leaves + 1
  const start = (from: number) =>
    Tree.start({ leaves: Array.from({ length: leaves }, (_, i) => ({ n: from + i })), sink: { n: from + leaves } })
  return {
    enqueue: (from, count, inFlight) =>
      on(
        Effect.forEach(Array.from({ length: count / size }, (_, i) => from + i * size), start, {
          concurrency: inFlight,
          discard: true
        })
      ),
    start: (concurrency) =>
      on(Effect.asVoid(Layer.buildWithScope(
        Layer.fresh(Layer.provide(JobWorker.layer(group, { concurrency }), handlers)),
        scope
      ))),
    canHaveTwoWorkers: false,
    close: () => on(Scope.close(scope, Exit.void)).then(() => runtime.dispose())
  }
}

const tickingOn = (layerOf: LayerOf) => async ({ run, schedules, url }: Ticking): Promise<() => Promise<void>> => {
  const group = JobGroup.make(Tick)
  const handlers = group.toLayer({ Tick: ({ planned }) => Effect.sync(() => run(planned)) })
  const all = Array.from({ length: schedules }, (_, i) =>
    JobSchedule.make(`tick-${i}`, Tick, {
      every: "1 second",
      payload: ({ at }) => ({ planned: at })
    }))
  const runtime = ManagedRuntime.make(
    Layer.mergeAll(
      Layer.provide(JobWorker.layer(group, { concurrency: 100 }), handlers),
      JobSchedule.layerAll(...all)
    ).pipe(Layer.provide(layerOf(url)))
  )
  await runtime.runPromise(Effect.void)
  return () => runtime.dispose()
}

export const featuresOn = (layerOf: LayerOf): Features => ({
  keyed: makeOn(layerOf, Keyed),
  traced: makeOn(layerOf, undefined, undefined, tracing),
  behind: (waiting) => makeOn(layerOf, undefined, wait(waiting)),
  flows: (leaves) => flowsOn(layerOf, leaves),
  fair: (big) => makeOn(layerOf, turning(big), say("turns", { order: "fair" })),
  ticking: tickingOn(layerOf)
})
