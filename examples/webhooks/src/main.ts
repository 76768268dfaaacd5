/**
 * GitHub's published webhook examples, delivered over HTTP, become typed jobs that are retried, snoozed, dead and replayed.
 *
 * `npm run demo -- --seed 7 --store pg --otlp http://localhost:4318`, or `npm run demo -- --serve` for the dashboard.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { Jobs, JobSchedules, JobWorker } from "capstan"
import { Cause, Console, Effect, Exit, Fiber, Layer, Runtime, Schedule } from "effect"
import { FetchHttpClient } from "effect/http"
import * as Otlp from "effect/observability/Otlp"
import { parseArgs } from "node:util"
import { makeCollector } from "./collector.ts"
import { routes } from "./endpoint.ts"
import { carelessness, HandlersLive, ServiceAddress } from "./handlers.ts"
import { listen } from "./http.ts"
import { Webhooks } from "./jobs.ts"
import * as Ledger from "./ledger.ts"
import { show } from "./progress.ts"
import { callsTable, deadRecord, deliveriesTable, figures, jobsTable, replayed } from "./report.ts"
import { deliver, plan, type Sent } from "./sender.ts"
import { serve } from "./serve.ts"
import { makeService } from "./service.ts"
import { storeNamed } from "./stores.ts"
import { dim, green, red, title } from "./terminal.ts"
import { tree } from "./trace.ts"

const { values: options } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    store: { type: "string", default: "memory" },
    url: { type: "string" },
    otlp: { type: "string" },
    break: { type: "string" },
    serve: { type: "boolean", default: false },
    port: { type: "string", default: "0" }
  }
})
const seed = Number(options.seed)
if (!Number.isSafeInteger(seed)) exitWith(`--seed must be an integer, it is ${options.seed}`)
const store = storeNamed(options.store, options.url)
if (typeof store === "string") exitWith(store)
const careless = carelessness.find((name) => name === options.break)
if (careless !== options.break) exitWith(`--break ${options.break}: it can break ${carelessness.join(", ")}`)

const port = Number(options.port)
if (!Number.isInteger(port) || port < 0 || port > 65_535) exitWith(`--port must be a port, it is ${options.port}`)
if (options.serve && careless !== undefined) exitWith("--break goes with the demo that ends: leave out --serve")

function exitWith(message: string): never {
  console.error(message)
  process.exit(2)
}

const planned = plan(seed)
/** One payload never succeeds: the first release that is not forged. */
const rejected = planned.find(({ event, isForged }) => event === "release" && !isForged)!.id

const idle = Effect.gen(function*() {
  const { queues } = yield* (yield* Jobs.Jobs).stats
  return queues.every(({ counts }) => counts.blocked + counts.scheduled + counts.ready + counts.running === 0)
})
const awaitIdle = Effect.repeat(idle, { schedule: Schedule.spaced("20 millis"), until: (done) => done }).pipe(
  Effect.withTracerEnabled(false)
)

const service = makeService(seed, rejected)

/** The application, from the first delivery until everything has come to an end; answers what the ledgers hold. */
const work = Effect.gen(function*() {
  const sent: Array<Sent> = []
  const serviceUrl = yield* listen(service.routes)
  yield* Layer.build(
    JobWorker.layer(Webhooks, { concurrency: 32, queues: { reviews: { weight: 2 } } }).pipe(
      Layer.provide(HandlersLive),
      Layer.provide(Layer.succeed(ServiceAddress, { url: serviceUrl, careless }))
    )
  )
  const endpointUrl = yield* listen(routes)

  const deliveries = planned.length + planned.filter(({ isRepeated }) => isRepeated).length
  yield* Console.log(title(`${planned.length} webhooks, delivered to ${dim("/webhooks")} on loopback, seed ${seed}`))
  const view = yield* Effect.forkChild(show(sent, deliveries))
  yield* deliver(endpointUrl, planned, (answer) => sent.push(answer))
  yield* awaitIdle
  yield* Fiber.interrupt(view)

  const rows = yield* figures
  const calls = [...service.calls]
  yield* Console.log(title("Jobs"))
  yield* Console.log(jobsTable(rows))
  yield* Console.log(title("Deliveries"))
  yield* Console.log(deliveriesTable(sent))

  const jobs = yield* Jobs.Jobs
  const { records: dead } = yield* jobs.query({ states: ["dead"], order: "oldest" })
  for (const record of dead) {
    yield* Console.log(title("A dead record"))
    yield* Console.log(deadRecord(record))
    yield* service.mend
    yield* jobs.retry({ ids: [record.id] })
    yield* awaitIdle
    const again = yield* jobs.get(record.id)
    if (again._tag === "Some") yield* Console.log(replayed(again.value))
  }
  return { sent, figures: rows, calls, effects: service.effects }
}).pipe(Effect.scoped)

const program = Effect.gen(function*() {
  const collector = yield* makeCollector(options.otlp)
  const exporter = Otlp.layerJson({
    baseUrl: yield* listen(collector.routes),
    resource: { serviceName: "capstan-webhooks" }
  })
  // The exporter sends the last spans when it closes: from here on the collector has them all.
  const ledgers = yield* Effect.provide(work, exporter)

  // The most eventful record that came out well.
  const { records } = yield* (yield* Jobs.Jobs).query({ states: ["completed"], order: "oldest", limit: 1000 })
  const eventful = records.reduce((most, record) => record.attempts.length > most.attempts.length ? record : most)
  yield* Console.log(title(`The trace of ${eventful.tag} ${eventful.id}, as a collector received it`))
  for (const line of tree(collector.spans, eventful.id)) yield* Console.log(line)

  yield* Console.log(title("The ledgers of the sender and of the service"))
  yield* Console.log(callsTable(ledgers.calls))
  const verdict = Ledger.compare(ledgers)
  if (!Ledger.isClean(verdict)) {
    yield* Console.log(red(Ledger.describe(verdict)))
    return false
  }
  const accepted = ledgers.sent.filter(({ status }) => status === 202).length
  yield* Console.log(
    green(
      `\n  agree: ${accepted} deliveries accepted, ${ledgers.effects.length} effects, none lost, doubled or invented;\n` +
        `  the table of jobs counts what they count`
    )
  )
  yield* Console.log("")
  return true
})

const Live = Layer.merge(Jobs.layer, JobSchedules.layer).pipe(
  Layer.provideMerge(store),
  Layer.provideMerge(FetchHttpClient.layer)
)

/** Ctrl-C is what ended it, also when a connection fails that was in the middle of something. */
const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause) ? onExit(130) : Runtime.defaultTeardown(exit, onExit)

if (options.serve) NodeRuntime.runMain(Effect.provide(serve({ planned, service, seed, port }), Live), { teardown })
else {
  const checked = Effect.map(Effect.scoped(program).pipe(Effect.provide(Live)), (isClean) => {
    process.exitCode = isClean ? 0 : 1
  })
  NodeRuntime.runMain(checked, { teardown })
}
