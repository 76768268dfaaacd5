/**
 * Webhooks for many tenants: a backlog of one holds up nobody, and nobody's server gets more than it can take.
 *
 * `node scripts/node.mjs examples/tenant-fanout/src/main.ts`
 */
import { Job, Jobs, JobStore } from "capstan"
import { Console, Effect, Layer, Schedule } from "effect"
import { Deliver, InvoicePaid, perTenant } from "./jobs.ts"
import { listen, type Receivers } from "./receivers.ts"
import { workerLive } from "./worker.ts"

const publish = (tenant: string, count: number) =>
  Effect.forEach(
    Array.from({ length: count }, (_, n) => `${tenant}-${n + 1}`),
    (invoice) => InvoicePaid.publish({ tenant, invoice }, { idempotencyKey: invoice }),
    { discard: true }
  )

const isIdle = Effect.flatMap(
  Jobs.Jobs,
  (jobs) =>
    Effect.map(
      jobs.stats,
      ({ queues }) =>
        queues.every(({ counts }) => counts.ready + counts.running + counts.scheduled + counts.blocked === 0)
    )
)

const awaitIdle = Effect.repeat(isIdle, { schedule: Schedule.spaced("20 millis"), until: (idle) => idle })

/** When deliveries of each tenant started, by the clock of the store: the one that counts. */
const starts = Effect.gen(function*() {
  const { records } = yield* (yield* Jobs.Jobs).query({ tag: Deliver._tag, limit: 1000 })
  const found = new Map<string, Array<number>>()
  for (const record of records) {
    const { tenant } = yield* Job.decodePayload(Deliver, record)
    found.set(tenant, [...found.get(tenant) ?? [], ...record.attempts.map(({ startedAt }) => startedAt)])
  }
  return found
})

/** The most of them within any second. */
const busiest = (at: ReadonlyArray<number>): number =>
  Math.max(...at.map((from) => at.filter((when) => when >= from && when < from + 1000).length))

const told = (receivers: Receivers, started: ReadonlyMap<string, ReadonlyArray<number>>) => {
  const of = (tenant: string) => receivers.of(tenant)
  const { burst, concurrency, limit } = { ...perTenant, ...perTenant.rate }
  const most = limit + burst - 1
  const isKept = [...receivers.seen].every(([tenant, { most: running }]) =>
    running <= concurrency && busiest(started.get(tenant)!) <= most
  )
  const last = Math.max(...of("small").at)
  const left = of("big").at.filter((when) => when > last).length
  return [
    `big: ${of("big").delivered} delivered`,
    `small: ${of("small").delivered} delivered, ${left > 40 ? "long before big was through" : `big had ${left} left`}`,
    `busy: ${of("busy").delivered} delivered after it had said stop ${of("busy").refused} time`,
    `down: ${of("down").delivered} delivered, ${
      of("down").refused < 10 ? "and few calls while it was down" : "and many calls"
    }`,
    `limits: ${isKept ? "kept" : "not kept"}`
  ]
}

const program = Effect.gen(function*() {
  const receivers = yield* listen
  const tenants = ["big", "small", "busy", "down"]
  const endpoints = Object.fromEntries(
    tenants.map((tenant) => [tenant, ["billing", "audit"].map((endpoint) => receivers.url(tenant, endpoint))])
  )
  const run = Effect.gen(function*() {
    yield* publish("big", 50)
    for (const tenant of ["small", "busy", "down"]) yield* publish(tenant, 3)
    // What is published again is known by its key.
    yield* publish("small", 3)
    yield* awaitIdle
    return yield* starts
  })
  const live = workerLive(endpoints).pipe(Layer.provideMerge(Jobs.layer), Layer.provideMerge(JobStore.layerMemory()))
  const started = yield* Effect.provide(run, live)
  for (const line of told(receivers, started)) yield* Console.log(line)
})

await Effect.runPromise(Effect.scoped(program))
