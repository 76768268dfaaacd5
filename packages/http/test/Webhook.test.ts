/**
 * Webhooks with good, bad, old and replayed signatures. They are made here by another implementation of HMAC than the one
 * that checks them, and two are examples that the senders' documentation prints.
 *
 * The algorithms: docs.github.com, "Validating webhook deliveries"; docs.stripe.com, "Verify webhook signatures manually";
 * standardwebhooks.com, and docs.svix.com, "Verifying webhooks manually".
 */
import { Webhook, WebhookScheme } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, Jobs, JobStore } from "capstan"
import { Clock, Context, Effect, Layer, Redacted, Schema } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { TestClock } from "effect/testing"
import { createHmac } from "node:crypto"
import { createServer } from "node:http"

class Handle extends Job.make("Handle", { payload: { kind: Schema.String } }) {}

const Body = Schema.fromJsonString(Schema.Struct({ kind: Schema.String }))

const secret = "whsec_" + Buffer.from("a key of this test, long enough").toString("base64")
const secrets = [Redacted.make("whsec_" + Buffer.from("the one before it").toString("base64")), Redacted.make(secret)]
const body = JSON.stringify({ id: "evt_1", kind: "paid" })

const mac = (key: string | Buffer, content: string, encoding: "hex" | "base64") =>
  createHmac("sha256", key).update(content).digest(encoding)

interface Signing {
  readonly body?: string
  readonly key?: string
  readonly seconds: number
}

/** Each scheme, and how its sender signs. */
const senders = {
  github: {
    scheme: WebhookScheme.github({ secret: secrets }),
    sign: ({ body: content = body, key = secret }: Signing) => ({
      "x-github-delivery": "d-1",
      "x-hub-signature-256": `sha256=${mac(key, content, "hex")}`
    }),
    signature: "x-hub-signature-256",
    isDated: false
  },
  stripe: {
    scheme: WebhookScheme.stripe({ secret: secrets }),
    sign: ({ body: content = body, key = secret, seconds }: Signing) => ({
      "stripe-signature": `t=${seconds},v0=00,v1=${mac("another key", "x", "hex")},v1=${
        mac(key, `${seconds}.${content}`, "hex")
      }`
    }),
    signature: "stripe-signature",
    isDated: true
  },
  standard: {
    scheme: WebhookScheme.standard({ secret: secrets }),
    sign: ({ body: content = body, key = secret, seconds }: Signing) => ({
      "webhook-id": "msg_1",
      "webhook-timestamp": `${seconds}`,
      "webhook-signature": `v1a,AAAA v1,${
        mac(Buffer.from(key.slice(6), "base64"), `msg_1.${seconds}.${content}`, "base64")
      }`
    }),
    signature: "webhook-signature",
    isDated: true
  },
  svix: {
    scheme: WebhookScheme.standard({ secret: secrets }),
    sign: ({ body: content = body, key = secret, seconds }: Signing) => ({
      "svix-id": "msg_1",
      "svix-timestamp": `${seconds}`,
      "svix-signature": `v1,${mac(Buffer.from(key.slice(6), "base64"), `msg_1.${seconds}.${content}`, "base64")}`
    }),
    signature: "svix-signature",
    isDated: true
  },
  hmac: {
    scheme: WebhookScheme.hmac({ secret: secrets, signature: "X-Signature", id: "X-Id", encoding: "base64" }),
    sign: ({ body: content = body, key = secret }: Signing) => ({
      "x-id": "h-1",
      "x-signature": mac(key, content, "base64")
    }),
    signature: "x-signature",
    isDated: false
  }
}

/** The route on a port of its own. */
const serve = (scheme: WebhookScheme.Scheme, store: Layer.Layer<JobStore.JobStore> = JobStore.layerMemory()) =>
  Effect.gen(function*() {
    const routes = Webhook.layer({
      path: "/hook",
      scheme,
      maxBytes: 1000,
      handle: ({ text }) =>
        Effect.flatMap(
          Schema.decodeUnknownEffect(Body)(text),
          ({ kind }) => kind === "noise" ? Webhook.ignored : Webhook.enqueue(Handle, { kind }, { tags: [kind] })
        )
    })
    const context = yield* Layer.build(
      HttpRouter.serve(routes, { disableListenLog: true, disableLogger: true }).pipe(
        Layer.provideMerge(
          Layer.orDie(NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 }))
        ),
        Layer.provideMerge(Jobs.layer),
        Layer.provideMerge(store)
      )
    )
    const url = `${HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)}/hook`
    const jobs = Context.get(context, Jobs.Jobs)
    return {
      records: Effect.map(jobs.query({}), ({ records }) => records),
      deliver: (headers: Record<string, string>, content: string | Uint8Array<ArrayBuffer> = body) =>
        Effect.promise(async (signal) => {
          const response = await fetch(url, { method: "POST", headers, body: content, signal })
          const text = await response.text()
          const answer: any = text === "" ? undefined : JSON.parse(text)
          return { status: response.status, body: answer }
        })
    }
  })

const nowSeconds = Effect.map(Clock.currentTimeMillis, (now) => Math.floor(now / 1000))

describe.each(Object.entries(senders))("%s", (_, { isDated, scheme, sign, signature }) => {
  it.live("a good delivery is enqueued, and replayed it is the same record", () =>
    Effect.gen(function*() {
      const { deliver, records } = yield* serve(scheme)
      const headers = sign({ seconds: yield* nowSeconds })
      const first = yield* deliver(headers)
      assert.deepInclude(first, { status: 202 })
      assert.strictEqual(first.body.outcome, "Inserted")
      const again = yield* deliver(headers)
      assert.deepStrictEqual(again, { status: 200, body: { id: first.body.id, outcome: "Existing" } })
      const stored = yield* records
      assert.deepStrictEqual(stored.map(({ payload, tags }) => [payload, tags]), [["{\"kind\":\"paid\"}", ["paid"]]])
    }).pipe(Effect.scoped))

  it.live("the secret before is taken too, and no other", () =>
    Effect.gen(function*() {
      const { deliver, records } = yield* serve(scheme)
      const seconds = yield* nowSeconds
      assert.strictEqual((yield* deliver(sign({ seconds, key: Redacted.value(secrets[0]!) }))).status, 202)
      const other = "whsec_" + Buffer.from("somebody else's").toString("base64")
      const { body, status } = yield* deliver(sign({ seconds, key: other }))
      assert.deepStrictEqual([status, body._tag], [401, "Rejected"])
      assert.strictEqual((yield* records).length, 1)
    }).pipe(Effect.scoped))

  it.live("a body that was changed, and a signature that is no signature, are refused", () =>
    Effect.gen(function*() {
      const { deliver, records } = yield* serve(scheme)
      const good: Record<string, string> = sign({ seconds: yield* nowSeconds })
      assert.strictEqual((yield* deliver(good, body.replace("paid", "free"))).status, 401)
      assert.strictEqual((yield* deliver(good, `${body} `)).status, 401)
      for (const wrong of ["", "nonsense", "sha256=", "v1,", "t=1", "t=1,v1=", good[signature]!.slice(0, -3)]) {
        assert.strictEqual((yield* deliver({ ...good, [signature]: wrong })).status, 401, wrong)
      }
      for (const name of Object.keys(good)) {
        const { [name]: left, ...headers } = good
        assert.strictEqual((yield* deliver(headers)).status, 401, `without ${name}: ${left}`)
      }
      assert.deepStrictEqual(yield* records, [])
    }).pipe(Effect.scoped))

  it.live("an old delivery is refused where the sender signs its instant", () =>
    Effect.gen(function*() {
      const { deliver } = yield* serve(scheme)
      const now = yield* nowSeconds
      const statuses = yield* Effect.forEach(
        [now - 290, now - 310, now + 310],
        (seconds) => Effect.map(deliver(sign({ seconds })), ({ status }) => status)
      )
      assert.deepStrictEqual(statuses, isDated ? [202, 401, 401] : [202, 200, 200])
    }).pipe(Effect.scoped))
})

describe("examples that are printed elsewhere", () => {
  const bytes = (text: string) => new TextEncoder().encode(text)

  it.effect("GitHub's", () =>
    Effect.gen(function*() {
      const { verify } = WebhookScheme.github({ secret: Redacted.make("It's a Secret to Everybody") })
      const headers = {
        "x-github-delivery": "1",
        "x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
      }
      assert.deepStrictEqual(yield* verify({ headers, body: bytes("Hello, World!") }), { id: "1" })
      assert.strictEqual((yield* Effect.flip(verify({ headers, body: bytes("Hello, World") }))).reason, "Wrong")
    }))

  it.effect("Svix's", () =>
    Effect.gen(function*() {
      yield* TestClock.setTime(1_614_265_330_000)
      const { verify } = WebhookScheme.standard({ secret: Redacted.make("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw") })
      const delivery = {
        headers: {
          "svix-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
          "svix-timestamp": "1614265330",
          "svix-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        },
        body: bytes(`{"test": 2432232314}`)
      }
      assert.deepStrictEqual(yield* verify(delivery), { id: "msg_p5jXN8AQM9LWM0D4loKWxJek" })
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* verify(delivery), { id: "msg_p5jXN8AQM9LWM0D4loKWxJek" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(verify(delivery))).reason, "TooOld")
    }))
})

describe("the raw body", () => {
  // A mark of the byte order, and bytes that are no UTF-8: read as text, both are lost.
  const bytes = Buffer.concat([
    Buffer.from([0xef, 0xbb, 0xbf]),
    Buffer.from(`{"id":"evt_1","kind":"`),
    Buffer.from([0xff, 0xfe]),
    Buffer.from(`"}`)
  ])
  const digest = (encoding: "hex" | "base64", key: string | Buffer, before = "") =>
    createHmac("sha256", key).update(before).update(bytes).digest(encoding)
  const key = Buffer.from(secret.slice(6), "base64")

  it.effect.each(
    [
      [senders.github.scheme, { "x-github-delivery": "1", "x-hub-signature-256": `sha256=${digest("hex", secret)}` }],
      [senders.stripe.scheme, { "stripe-signature": `t=0,v1=${digest("hex", secret, "0.")}` }],
      [senders.standard.scheme, {
        "webhook-id": "evt_1",
        "webhook-timestamp": "0",
        "webhook-signature": `v1,${digest("base64", key, "evt_1.0.")}`
      }],
      [senders.hmac.scheme, { "x-id": "1", "x-signature": digest("base64", secret) }]
    ] as const
  )("is what is signed, byte by byte", ([scheme, headers]) =>
    Effect.gen(function*() {
      const { id } = yield* scheme.verify({ headers, body: bytes })
      assert.include(["1", "evt_1"], id)
      const asText = new TextEncoder().encode(new TextDecoder().decode(bytes))
      assert.strictEqual((yield* Effect.flip(scheme.verify({ headers, body: asText }))).reason, "Wrong")
    }))

  it.live("reaches the scheme as it came", () =>
    Effect.gen(function*() {
      const { deliver } = yield* serve(senders.github.scheme)
      const headers = { "x-github-delivery": "1", "x-hub-signature-256": `sha256=${digest("hex", secret)}` }
      assert.strictEqual((yield* deliver(headers, new Uint8Array(bytes))).status, 202)
    }).pipe(Effect.scoped))
})

describe("an answer", () => {
  const { scheme, sign } = senders.github

  const answer = (content: string, store?: Layer.Layer<JobStore.JobStore>) =>
    Effect.gen(function*() {
      const { deliver } = yield* serve(scheme, store)
      return yield* deliver(sign({ body: content, seconds: 0 }), content)
    }).pipe(Effect.scoped)

  it.live("is 503 while the store is away, so that the sender sends again", () =>
    Effect.gen(function*() {
      const store = Layer.effect(
        JobStore.JobStore,
        Effect.map(JobStore.JobStore, (store) => ({
          ...store,
          enqueue: () =>
            Effect.fail(
              new JobError.JobStoreError({
                reason: new JobError.OutcomeUnknown({ operation: "enqueue", detail: "connection reset" })
              })
            )
        }))
      ).pipe(Layer.provide(JobStore.layerMemory()))
      const { body: given, status } = yield* answer(body, store)
      assert.deepStrictEqual([status, given._tag], [503, "JobStoreError"])
    }))

  it.live("is 200 for what is ignored, 400 for what cannot be read, 413 for what is too long", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* answer(JSON.stringify({ kind: "noise" })), {
        status: 200,
        body: { outcome: "Ignored" }
      })
      assert.strictEqual((yield* answer("{")).status, 400)
      assert.strictEqual((yield* answer(JSON.stringify({ kind: "x".repeat(2000) }))).status, 413)
    }))
})

it.each(
  [
    ["no secret", () => WebhookScheme.github({ secret: [] }), /needs the secret/],
    ["an empty one", () => WebhookScheme.stripe({ secret: Redacted.make("") }), /needs the secret/],
    ["no base64", () => WebhookScheme.standard({ secret: Redacted.make("whsec_%") }), /is base64 after whsec_/],
    ["no tolerance", () => WebhookScheme.stripe({ secret: Redacted.make("s"), tolerance: 0 }), /above 0/]
  ] as const
)("a scheme with %s is refused at construction", (_, make, message) => {
  assert.throws(make, message)
})
