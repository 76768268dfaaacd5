/** A store with a worker, the dashboard over it on a port of loopback, and pages of a real browser that look at it. */
import { Dashboard } from "@capstan/dashboard"
import { Auth } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import axe from "axe-core"
import { Flow, Job, JobContext, JobError, JobGroup, JobLimit, Jobs, JobSchedules, JobStore, JobWorker } from "capstan"
import { Context, Effect, Exit, Layer, Logger, Redacted, Schema, Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import type { Browser, BrowserContextOptions, Page } from "playwright-core"
import { assert } from "vitest"
import { launch } from "./chromium.ts"

export class Declined extends Schema.TaggedError<Declined>()("Declined", { why: Schema.String }) {
  override get message() {
    return `the bank said: ${this.why}`
  }
}

export class Charge extends Job.make("Charge", {
  payload: { order: Schema.String, amount: Schema.Number, card: Schema.optionalKey(Schema.Redacted(Schema.String)) },
  success: Schema.Struct({ receipt: Schema.String }),
  error: Declined,
  queue: "billing",
  maxAttempts: 2,
  onError: { Declined: "dead" }
}) {}

export class Mail extends Job.make("Mail", {
  payload: { to: Schema.String, body: Schema.Unknown },
  queue: "mail",
  maxAttempts: 1
}) {}

const Accounts = JobLimit.make("accounts", { concurrency: 1 })

export class Sync extends Job.make("Sync", {
  payload: { account: Schema.String },
  queue: "sync",
  limit: { by: Accounts, key: ({ account }) => account }
}) {}

export class All extends JobGroup.make(Charge, Mail, Sync) {}

export class Order
  extends Flow.make("Order").list("mails", Mail).node("charge", Charge, { after: { mails: "fail" } })
{}

export interface World {
  readonly url: string
  readonly jobs: Jobs.Shape
  readonly run: <A, E>(
    effect: Effect.Effect<A, E, JobStore.JobStore | Jobs.Jobs | JobSchedules.JobSchedules>
  ) => Promise<A>
  /** A worker that does as its payloads say, until the returned effect is run. */
  readonly work: () => Promise<() => Promise<void>>
  /** Whether the store answers. */
  readonly setAway: (isAway: boolean) => void
  readonly close: () => Promise<void>
}

const handlers = All.toLayer({
  Charge: Effect.fnUntraced(function*({ amount, order }) {
    const { log } = yield* JobContext.JobContext
    yield* log(`charging ${amount} for ${order}`)
    return amount < 0 ? yield* new Declined({ why: "no funds" }) : { receipt: `R-${order}` }
  }),
  Mail: () => Effect.void,
  Sync: () => Effect.void
})

/** The memory store, which a test may take away. */
const withSwitch = (isAway: () => boolean) => {
  const guard = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | JobError.JobStoreError, R> =>
    Effect.suspend((): Effect.Effect<A, E | JobError.JobStoreError, R> =>
      isAway()
        ? Effect.fail(
          new JobError.JobStoreError({
            reason: new JobError.Unavailable({ operation: "stats", detail: "connection refused" })
          })
        )
        : effect
    )
  return Layer.effect(
    JobStore.JobStore,
    Effect.map(JobStore.JobStore, (store): JobStore.JobStore["Service"] => ({
      ...store,
      stats: guard(store.stats),
      query: (request) => guard(store.query(request)),
      get: (id) => guard(store.get(id)),
      control: (request) => guard(store.control(request))
    }))
  ).pipe(Layer.provide(JobStore.layerMemory()))
}

export const serve = async (
  { auth = Auth.none, prefix = "/ops/jobs" as const, store }: {
    readonly auth?: Layer.Layer<Auth.Auth>
    readonly prefix?: `/${string}`
    readonly store?: Layer.Layer<JobStore.JobStore>
  } = {}
): Promise<World> => {
  let isAway = false
  const scope = Effect.runSync(Scope.make())
  const services = Layer.mergeAll(Jobs.layer, JobSchedules.layer).pipe(
    Layer.provideMerge(store ?? withSwitch(() => isAway))
  )
  const served = HttpRouter.serve(Dashboard.layer({ prefix, groups: [All] }), {
    disableListenLog: true,
    disableLogger: true
  }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 })),
    Layer.provide(auth),
    Layer.provideMerge(services),
    Layer.provide(Logger.layer([]))
  )
  const context = await Effect.runPromise(Layer.buildWithScope(served, scope))
  const base = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
  return {
    url: `${base}${prefix === "/" ? "" : prefix}`,
    jobs: Context.get(context, Jobs.Jobs),
    run: (effect) => Effect.runPromise(Effect.provide(effect, context)),
    work: async () => {
      const own = Effect.runSync(Scope.make())
      await Effect.runPromise(
        Effect.provide(
          Layer.buildWithScope(
            JobWorker.layer(All, { shutdownGrace: 0 }).pipe(Layer.provide(handlers)),
            own
          ),
          context
        )
      )
      return () => Effect.runPromise(Scope.close(own, Exit.void))
    },
    setAway: (away) => {
      isAway = away
    },
    close: () => Effect.runPromise(Scope.close(scope, Exit.void))
  }
}

export type { Page } from "playwright-core"

/** A page, with what it complained about: a policy that was broken, an error that nobody caught. */
export interface Looked {
  readonly page: Page
  readonly complaints: Array<string>
  /** What it asked for and did not get, with the status; 0 where there was no answer. */
  readonly refused: Array<string>
  readonly close: () => Promise<void>
}

let browser: Promise<Browser> | undefined

export const closeBrowser = async () => {
  await (await browser)?.close()
  browser = undefined
}

export const look = async (world: World, path: string, options: BrowserContextOptions = {}): Promise<Looked> => {
  browser ??= launch()
  const context = await (await browser).newContext({
    viewport: { width: 1360, height: 860 },
    reducedMotion: "reduce",
    ...options
  })
  context.setDefaultTimeout(30_000)
  const page = await context.newPage()
  const complaints: Array<string> = []
  const refused: Array<string> = []
  page.on("response", (response) => {
    if (response.status() >= 400) refused.push(`${response.status()} ${response.url()}`)
  })
  page.on("requestfailed", (request) => {
    // What is under way when a page is left is given up.
    if (request.failure()?.errorText !== "net::ERR_ABORTED") refused.push(`0 ${request.url()}`)
  })
  page.on("pageerror", ({ message }) => complaints.push(message))
  page.on("console", (message) => {
    // What the server refuses is told by the page itself.
    if (message.type() === "error" && !message.text().startsWith("Failed to load resource")) {
      complaints.push(message.text())
    }
  })
  await page.goto(`${world.url}${path}`)
  return { page, complaints, refused, close: () => context.close() }
}

/** What axe finds on what is shown, one line each. */
export const violations = async (page: Page): Promise<ReadonlyArray<string>> => {
  // The policy runs no inline script, so it is put in by the browser's own protocol.
  await page.evaluate(axe.source)
  return page.evaluate(async () => {
    const { axe } = window as unknown as {
      readonly axe: { readonly run: (context: Document, options: object) => Promise<any> }
    }
    const { violations } = await axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
    })
    return violations.flatMap(({ id, nodes }: any) =>
      nodes.map(({ html, failureSummary }: any) => `${id}: ${html.slice(0, 160)} ${failureSummary.slice(0, 200)}`)
    )
  })
}

export const accessible = async (page: Page, what: string) => {
  assert.deepStrictEqual(await violations(page), [], what)
}

/** Some of everything: waiting, done, dead, blocked, of a flow, with secrets. */
export const filled = async (world: World) => {
  const stop = await world.work()
  const ids = await world.run(Effect.gen(function*() {
    const good = yield* Charge.enqueue({ order: "1001", amount: 5, card: Redacted.make("4242") }, { tags: ["vip"] })
    const bad = yield* Charge.enqueue({ order: "1002", amount: -1, card: Redacted.make("4242") })
    const worse = yield* Charge.enqueue({ order: "1003", amount: -2 })
    yield* good.await
    yield* Effect.flip(bad.await)
    yield* Effect.flip(worse.await)
    return { good: good.id, bad: bad.id }
  }))
  await stop()
  const waiting = await world.run(Effect.gen(function*() {
    const mails = yield* Mail.enqueueMany(
      Array.from({ length: 30 }, (_, i) => ({ to: `user${i}@example.com`, body: { n: i } }))
    )
    const later = yield* Mail.enqueue({ to: "later@example.com", body: null }, { delay: "1 hour" })
    yield* Sync.enqueueMany([{ account: "a" }, { account: "a" }, { account: "b" }])
    const flow = yield* Order.start({
      mails: [{ to: "x", body: 1 }, { to: "y", body: 2 }],
      charge: { order: "f", amount: 1 }
    })
    const schedules = yield* JobSchedules.JobSchedules
    yield* schedules.upsert("nightly", Mail, {
      cron: "30 2 * * *",
      timeZone: "Europe/Berlin",
      payload: { to: "ops", body: {} }
    })
    return { mail: mails[0]!.id, later: later.id, flow: flow.id }
  }))
  return { ...ids, ...waiting }
}

/** Every page, with a text that it shows when it is complete. */
export const pagesOf = (
  ids: Awaited<ReturnType<typeof filled>>
): ReadonlyArray<readonly [path: string, shows: string]> => [
  ["/", "Needs attention"],
  ["/records", "user29@example.com"],
  [`/records/${ids.bad}`, "the bank said: no funds"],
  ["/queues", "billing"],
  ["/queues/sync", "Keys of accounts"],
  ["/jobs", "Charge"],
  ["/flows", "Order"],
  [`/flows/${ids.flow}`, "mails"],
  ["/schedules", "At 02:30"],
  ["/workers", "No worker is there"],
  ["/errors", "Declined"],
  ["/dead", "Undecodable"],
  ["/metrics", "Store round trip, p95"],
  ["/audit", "Nobody has changed anything yet"],
  ["/settings", "nobody in particular"]
]
