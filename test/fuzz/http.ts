/** Requests of the API, webhooks and signed URLs: paths, query strings, headers and bodies. */
import { Auth, JobsApi, JobsHttp, WaitpointUrl, Webhook, WebhookScheme } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Job, JobGroup, Jobs, JobSchedules, JobStore, Waitpoint } from "capstan"
import { Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpRouter } from "effect/http"
import { createHmac } from "node:crypto"
import * as H from "../../packages/testing/src/internal/suite/harness.ts"
import type { Arbitrary } from "./arbitrary.ts"
import { isWrong, type Target } from "./fuzz.ts"

class Mail extends Job.make("Mail", { payload: { to: Schema.String } }) {}
class Approval extends Waitpoint.make("Approval", { success: Schema.Struct({ by: Schema.String }) }) {}
class Other extends Waitpoint.make("Other") {}
class Ask extends Job.make("Ask", { queue: "approvals" }) {}

const secret = Redacted.make("a secret of the fuzz run, long enough for it")
const foreign = Redacted.make("a secret of somebody else, as long as that")
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

const answer = (request: () => Request) =>
  Effect.gen(function*() {
    const handler = yield* Handler
    const answer = yield* Effect.promise(async () => {
      const response = await handler(request())
      const isStream = response.headers.get("content-type")?.startsWith("text/event-stream") === true
      if (isStream) await response.body?.cancel()
      return { status: response.status, text: isStream ? "" : await response.text() }
    })
    if (answer.status >= 500) return yield* isWrong(`answered ${answer.status}: ${answer.text.slice(0, 500)}`)
    return answer
  })

/** What is refused is counted: requests that are all refused have reached nothing. */
const refused = Effect.fail({ _tag: "Refused" })

const ask = (request: () => Request) =>
  Effect.flatMap(answer(request), ({ status }) => status >= 400 ? refused : Effect.void)

/** A record that waits for its approval. */
const waiting = Effect.gen(function*() {
  const { id } = yield* Ask.enqueue()
  const attempt = yield* H.claimOne("fuzz", "approvals")
  if (attempt.id !== id) return yield* isWrong(`${attempt.id} waited no more`)
  yield* H.settle("fuzz", attempt, { _tag: "WaitFor", waitpoint: Approval.waitpoint })
  return id
})

/** Texts in the place of a token that complete nothing, and the statuses that say why. */
const bad = (a: Arbitrary, id: string, good: string) => {
  const signed = (by: typeof Approval | typeof Other, of: string, how = secret, expiresIn = 3_600_000) =>
    by.sign(of, { secret: how, expiresIn })
  /** The last character of each half holds bits that count for nothing. */
  const changed = () => {
    const [of = "", mac = ""] = good.split(".")
    const at = a.below(of.length + mac.length - 2)
    const i = at < of.length - 1 ? at : at + 2
    return `${good.slice(0, i)}${good[i] === "A" ? "B" : "A"}${good.slice(i + 1)}`
  }
  const kinds: ReadonlyArray<readonly [kind: string, token: Effect.Effect<string>, ...ReadonlyArray<number>]> = [
    ["of another secret", signed(Approval, id, foreign), 401],
    ["for another waitpoint", signed(Other, id), 403],
    ["for a record that is none", signed(Approval, a.pick([known, a.text()])), 410],
    ["old", signed(Approval, id, secret, 0), 410],
    ["truncated", Effect.succeed(good.slice(0, a.below(good.length))), 400, 401],
    ["changed", Effect.succeed(changed()), 400, 401],
    ["any text", Effect.succeed(wellFormed(a.text())), 400, 401]
  ]
  return a.pick(kinds)
}

/**
 * What is not signed for it completes nothing, the first value that is does, and is told from then on that it is too late. Answers
 * whether that value was taken.
 */
const useUrl = (a: Arbitrary, note: (input: unknown) => void) =>
  Effect.gen(function*() {
    const id = yield* waiting
    const good = yield* Approval.sign(id, { secret, expiresIn: "1 hour" })
    const url = (token: string) => `${origin}/approvals?sig=${encodeURIComponent(token)}`
    const post = (token: string, content: string) =>
      answer(() => new Request(url(token), { method: "POST", body: content }))
    const [kind, token, ...expected] = bad(a, id, good)
    const content = a.chance(0.5) ? JSON.stringify({ by: a.text() }) : body(a)
    const text = yield* token
    note({ kind, text, content })
    const check = (
      what: string,
      { status, text }: { readonly status: number; readonly text: string },
      ...of: ReadonlyArray<number>
    ) => of.includes(status) ? Effect.void : isWrong(`${what}: answered ${status}: ${text.slice(0, 500)}`)
    const kept = Effect.map(H.get(id), ({ checkpoints }) => checkpoints?.[Approval.waitpoint])
    const waits = Effect.flatMap(H.get(id), ({ checkpoints, state }) =>
      state === "blocked" && checkpoints?.[Approval.waitpoint] === undefined
        ? Effect.void
        : isWrong("it waits no more"))

    yield* check(kind, yield* post(text, `{"by":"eve"}`), ...expected)
    yield* check(
      "opened",
      yield* answer(() =>
        new Request(url(good), { method: a.pick(["GET", "HEAD"]) })
      ),
      405
    )
    yield* waits
    const first = yield* post(good, content)
    yield* check("the value", first, 200, 400, 413)
    const isTaken = first.status === 200
    if (!isTaken) {
      yield* waits
      yield* check("a value", yield* post(good, `{"by":"ada"}`), 200)
    }
    const value = yield* kept
    const another = yield* Approval.sign(id, { secret, expiresIn: "2 hours" })
    for (const token of [good, another]) yield* check("once more", yield* post(token, `{"by":"eve"}`), 409)
    if (value === undefined || (yield* kept) !== value) return yield* isWrong("another value is kept")
    yield* H.settle("fuzz", yield* H.claimOne("fuzz", "approvals"), H.complete)
    yield* check("after the end", yield* post(good, `{"by":"eve"}`), 410)
    return isTaken
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

export const targets: ReadonlyArray<Target<Handler | JobStore.JobStore>> = [
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
    call: (a, note) => Effect.flatMap(useUrl(a, note), (isTaken) => isTaken ? Effect.void : refused)
  }
]
