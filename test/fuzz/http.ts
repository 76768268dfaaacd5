/** Requests of the API, webhooks and signed URLs: paths, query strings, headers and bodies. */
import { Auth, JobsApi, JobsHttp, WaitpointUrl, Webhook, WebhookScheme } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Job, JobGroup, Jobs, JobSchedules, JobStore, Waitpoint } from "capstan"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpRouter } from "effect/http"
import { createHmac } from "node:crypto"
import type { Arbitrary } from "./arbitrary.ts"
import { isWrong, type Target } from "./fuzz.ts"

class Mail extends Job.make("Mail", { payload: { to: Schema.String } }) {}
class Approval extends Waitpoint.make("Approval", { success: Schema.Struct({ by: Schema.String }) }) {}

const secret = Redacted.make("a secret of the fuzz run, long enough for it")
const key = "whsec_" + Buffer.from(Redacted.value(secret)).toString("base64")
const known = "01890000-0000-7000-8000-000000000001"
const origin = "http://127.0.0.1"

const schemes = {
  github: WebhookScheme.github({ secret }),
  stripe: WebhookScheme.stripe({ secret }),
  standard: WebhookScheme.standard({ secret: Redacted.make(key) }),
  hmac: WebhookScheme.hmac({ secret, signature: "x-signature", id: "x-id", encoding: "base64" })
}

const decodeMail = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.Struct({ to: Schema.String })))

const hooks = Object.entries(schemes).map(([name, scheme]) =>
  Webhook.layer({
    path: `/hooks/${name}`,
    scheme,
    maxBytes: 10_000,
    handle: ({ text }) => Effect.flatMap(decodeMail(text), (payload) => Webhook.enqueue(Mail, payload))
  })
)

/** One request, answered in this process as a server would. */
export class Handler extends Context.Service<Handler, (request: Request) => Promise<Response>>()("fuzz/Handler") {}

export const layer: Layer.Layer<Handler, never, JobStore.JobStore> = Layer.effect(
  Handler,
  Effect.map(
    Effect.acquireRelease(
      Effect.map(JobStore.JobStore, (store) =>
        HttpRouter.toWebHandler(
          Layer.mergeAll(
            JobsHttp.layer({ groups: [JobGroup.make(Mail)] }),
            WaitpointUrl.layer(Approval, { path: "/approvals", secret, maxBytes: 1000 }),
            ...hooks
          ).pipe(
            Layer.provide(Auth.layerBearer([{ token: secret, principal: Auth.principal("fuzz", "admin") }])),
            Layer.provide(Layer.merge(Jobs.layer, JobSchedules.layer)),
            Layer.provideMerge(Layer.succeed(JobStore.JobStore, store)),
            Layer.provideMerge(NodeHttpServer.layerHttpServices)
          ),
          { disableLogger: true }
        )),
      ({ dispose }) => Effect.promise(dispose)
    ),
    ({ handler }) => (request: Request) => handler(request, Context.empty() as never)
  )
)

const routes = Object.values(JobsApi.JobsApi.groups).flatMap((group) =>
  Object.values(group.endpoints).map(({ method, path }) => ({ method, path }))
)

const body = (a: Arbitrary): string =>
  a.chance(0.2) ? a.text() : JSON.stringify(
    a.chance(0.3) ? a.json() : a.options({
      where: () =>
        a.options({
          ids: () => [a.like(known)],
          tag: () => a.text(),
          queue: () => a.text(),
          states: () => [a.pick(["dead", "ready", a.text()])],
          tags: () => [a.text()],
          search: () => a.text(),
          enqueuedBefore: () => a.number()
        }, "json"),
      reason: () => a.text(),
      id: () => a.like(known),
      payload: () => a.pick([JSON.stringify({ to: a.text() }), a.text()]),
      delay: () => a.number(),
      runAt: () => a.number(),
      priority: () => a.pick<unknown>(["high", a.number()]),
      name: () => a.text(),
      of: () => a.chance(0.5) ? { queue: a.text() } : { key: a.text() },
      settings: () => ({
        concurrency: a.number(),
        rate: { limit: a.number(), perMillis: a.number(), burst: a.number() }
      }),
      states: () => [a.text()]
    }, "json")
  ) ?? "null"

const query = (a: Arbitrary): string => {
  if (a.chance(0.3)) return `?${safe(a.text())}`
  const names = [
    "queue",
    "tag",
    "state",
    "states",
    "tags",
    "cursor",
    "limit",
    "order",
    "search",
    "ids",
    "action",
    "after",
    "maxText",
    "deadReason",
    "errorTag",
    "enqueuedAfter"
  ]
  return "?" +
    Array.from(
      { length: a.below(4) },
      () =>
        `${a.pick(names)}=${encodeURIComponent(wellFormed(a.pick([a.text(), String(a.number()), "ready", "cancel"])))}`
    ).join("&")
}

/** A server is given no text that has no UTF-8. */
const wellFormed = (text: string): string => text.toWellFormed().slice(0, 4000)

/** What a URL may hold of it as it is: a percent sign that encodes nothing is the sender's to send. */
const safe = (text: string): string => wellFormed(text).replaceAll(/[^\x21-\x7e]|[#?\\]/g, "~")

/** What a header may hold: others never come through the parser of HTTP. */
const headerValue = (text: string): string => text.replaceAll(/[^\x20-\x7e]/g, "~").slice(0, 4000).trim()

const ask = (request: () => Request) =>
  Effect.gen(function*() {
    const handler = yield* Handler
    const answer = yield* Effect.promise(async () => {
      const response = await handler(request())
      const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true
      if (isStream) await response.body?.cancel()
      return { status: response.status, text: isStream ? "" : await response.text() }
    })
    // What is refused is counted: requests that are all refused have reached nothing.
    if (answer.status >= 400 && answer.status < 500) return yield* Effect.fail({ _tag: "Refused" })
    if (answer.status >= 500) return yield* isWrong(`answered ${answer.status}: ${answer.text.slice(0, 500)}`)
  })

const hmac = (content: string, encoding: "hex" | "base64") =>
  createHmac("sha256", Redacted.value(secret)).update(content).digest(encoding)

/** Signed as its sender does, so that what is behind the signature is reached. */
const signed = (name: keyof typeof schemes, content: string): Record<string, string> => {
  const at = Math.floor(Date.now() / 1000)
  switch (name) {
    case "github":
      return { "x-github-delivery": "d", "x-hub-signature-256": `sha256=${hmac(content, "hex")}` }
    case "stripe":
      return { "stripe-signature": `t=${at},v1=${hmac(`${at}.${content}`, "hex")}` }
    case "standard":
      return {
        "webhook-id": "m",
        "webhook-timestamp": String(at),
        "webhook-signature": `v1,${hmac(`m.${at}.${content}`, "base64")}`
      }
    case "hmac":
      return { "x-id": "i", "x-signature": hmac(content, "base64") }
  }
}

export const targets: ReadonlyArray<Target<Handler>> = [
  {
    name: "a request of the API",
    errors: ["Refused"],
    call: (a, note) => {
      const route = a.pick(routes)
      const method = a.chance(0.9) ? route.method : a.pick(["PUT", "DELETE", "OPTIONS", "HEAD"])
      const path = route.path.replaceAll(
        /:\w+/g,
        () => a.chance(0.5) ? safe(a.text()).replaceAll("/", "%2F") : encodeURIComponent(wellFormed(a.like(known)))
      )
      const url = `${origin}/capstan/api${path}${a.chance(0.6) ? query(a) : ""}`
      const headers: Record<string, string> = {
        authorization: `Bearer ${a.chance(0.95) ? Redacted.value(secret) : headerValue(a.text())}`,
        ...method === "POST" ? { "content-type": "application/json", [JobsApi.changeHeader]: "1", origin } : {},
        ...a.chance(0.1) ? { "last-event-id": headerValue(a.text()), origin: headerValue(a.text()) } : {}
      }
      const content = method === "POST" ? body(a) : undefined
      note({ method, url, headers, content })
      return ask(() => new Request(url, { method, headers, ...content === undefined ? {} : { body: content } }))
    }
  },
  {
    name: "a webhook",
    errors: ["Refused"],
    call: (a, note) => {
      const name = a.pick(Object.keys(schemes) as Array<keyof typeof schemes>)
      const content = a.chance(0.3) ? JSON.stringify({ id: a.json(1), to: a.text() }) : body(a)
      const headers = signed(name, content)
      if (a.chance(0.6)) {
        const changed = a.pick(Object.keys(headers))
        headers[changed] = headerValue(a.chance(0.5) ? a.like(headers[changed]!) : a.text())
      }
      note({ name, headers, content })
      return ask(() => new Request(`${origin}/hooks/${name}`, { method: "POST", headers, body: content }))
    }
  },
  {
    name: "a signed URL",
    errors: ["Refused"],
    call: (a, note) =>
      Effect.gen(function*() {
        const token = yield* Approval.sign(a.chance(0.5) ? known : a.text(), { secret, expiresIn: "1 hour" })
        const url = `${origin}/approvals/${safe(a.like(token))}`
        const method = a.pick(["GET", "POST", "POST", "HEAD"])
        const content = a.chance(0.5) ? JSON.stringify({ by: a.text() }) : body(a)
        note({ url, method, content })
        yield* ask(() => new Request(url, { method, ...method === "POST" ? { body: content } : {} }))
      })
  }
]
