/**
 * How senders sign what they send: Stripe, GitHub, Standard Webhooks (and Svix), or a scheme of your own.
 *
 * Signatures are of the raw body and compared in constant time. A scheme takes several secrets, for the time in which a
 * sender changes one for another.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Base64 from "effect/encoding/Base64"
import * as Hex from "effect/encoding/Hex"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"

/**
 * What came, as it came.
 *
 * @category models
 * @since 0.1.0
 */
export interface Delivery {
  /** By lower-case name. */
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Uint8Array
}

/**
 * The delivery is not taken: its signature is missing, wrong, or of another time.
 *
 * @category errors
 * @since 0.1.0
 */
export class Rejected extends Schema.TaggedError<Rejected>()("Rejected", {
  reason: Schema.Literals(["Missing", "Wrong", "TooOld"]),
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/**
 * Says who a delivery is, once it is certain that it comes from the sender.
 *
 * @category models
 * @since 0.1.0
 */
export interface Scheme {
  /** The same for every time that the sender sends it. */
  readonly verify: (delivery: Delivery) => Effect.Effect<{ readonly id: string }, Rejected>
}

/**
 * One secret, or some while it is changed: the new one and the old one.
 *
 * @category models
 * @since 0.1.0
 */
export type Secrets = Redacted.Redacted | ReadonlyArray<Redacted.Redacted>

/**
 * GitHub: `X-Hub-Signature-256`, as "Validating webhook deliveries" of its documentation has it.
 *
 * **Gotchas**
 *
 * GitHub signs the body alone: neither an instant nor the delivery's id. Who has a delivery may send it again under another
 * id; where that must do nothing, make what the job does idempotent by something in the body.
 *
 * @category schemes
 * @since 0.1.0
 */
export const github = (options: {
  /** The secret of the webhook as text, or the new one and the old one while it is changed. */
  readonly secret: Secrets
}): Scheme => {
  const isSigned = signer(options.secret, textKey)
  return {
    verify: Effect.fnUntraced(function*({ body, headers }) {
      const signature = yield* header(headers, "x-hub-signature-256")
      const id = yield* header(headers, "x-github-delivery")
      yield* isSigned(body, hexOf(signature.replace(/^sha256=/, "")))
      return { id }
    })
  }
}

/**
 * Stripe: `Stripe-Signature`, as "Verify webhook signatures manually" of its documentation has it. The id is that of the
 * event, which is signed.
 *
 * @category schemes
 * @since 0.1.0
 */
export const stripe = (options: {
  /** The secret of the endpoint, `whsec_…`, or the new one and the old one while it is changed. */
  readonly secret: Secrets
  /**
   * How far its instant may be from now.
   *
   * @default 5 minutes
   */
  readonly tolerance?: Duration.Input | undefined
}): Scheme => {
  const isSigned = signer(options.secret, textKey)
  const tolerance = toleranceOf(options.tolerance)
  return {
    verify: Effect.fnUntraced(function*({ body, headers }) {
      const parts = (yield* header(headers, "stripe-signature")).split(",").map((part) => part.trim().split("="))
      const at = parts.find(([name]) => name === "t")?.[1]
      // Other versions are for tests, or of another time: they prove nothing.
      const signatures = parts.flatMap(([name, value]) => name === "v1" && value !== undefined ? hexOf(value) : [])
      if (at === undefined) return yield* missing("the instant in stripe-signature")
      yield* isSigned(joined(`${at}.`, body), signatures)
      yield* isOfNow(at, tolerance)
      const id = idOf(body)
      return id === undefined ? yield* missing("the id of the event") : { id }
    })
  }
}

/**
 * Standard Webhooks, and Svix, from whose headers it comes: `webhook-id`, `webhook-timestamp` and `webhook-signature`, or the
 * same with `svix-`. The secret begins with `whsec_`; one that is no base64 throws.
 *
 * @category schemes
 * @since 0.1.0
 */
export const standard = (options: {
  /** With `whsec_` and base64 as the sender shows it, or the new one and the old one while it is changed. */
  readonly secret: Secrets
  /**
   * How far its instant may be from now.
   *
   * @default 5 minutes
   */
  readonly tolerance?: Duration.Input | undefined
}): Scheme => {
  const isSigned = signer(options.secret, base64Key)
  const tolerance = toleranceOf(options.tolerance)
  return {
    verify: Effect.fnUntraced(function*({ body, headers }) {
      const prefix = headers["webhook-id"] === undefined && headers["svix-id"] !== undefined ? "svix" : "webhook"
      const id = yield* header(headers, `${prefix}-id`)
      const at = yield* header(headers, `${prefix}-timestamp`)
      const list = (yield* header(headers, `${prefix}-signature`)).split(" ")
      const signatures = list.flatMap((one) => one.startsWith("v1,") ? bytesOr(Base64.decode(one.slice(3))) : [])
      yield* isSigned(joined(`${id}.${at}.`, body), signatures)
      yield* isOfNow(at, tolerance)
      return { id }
    })
  }
}

/**
 * An HMAC-SHA-256 of the body in a header: what many others do.
 *
 * **Gotchas**
 *
 * The body alone is signed: neither an instant nor the delivery's id. Who has a delivery may send it again, at any time, under
 * another id; where that must do nothing, make what the job does idempotent by something in the body.
 *
 * @category schemes
 * @since 0.1.0
 */
export const hmac = (options: {
  /** The key of the HMAC as text, or the new one and the old one while it is changed. */
  readonly secret: Secrets
  /** The header of the signature. */
  readonly signature: string
  /**
   * How the signature is written in its header.
   *
   * @default "hex"
   */
  readonly encoding?: "hex" | "base64" | undefined
  /** The header of the delivery's id, which the sender keeps when it sends again. */
  readonly id: string
}): Scheme => {
  const isSigned = signer(options.secret, textKey)
  return {
    verify: Effect.fnUntraced(function*({ body, headers }) {
      const signature = yield* header(headers, options.signature.toLowerCase())
      const id = yield* header(headers, options.id.toLowerCase())
      yield* isSigned(body, options.encoding === "base64" ? bytesOr(Base64.decode(signature)) : hexOf(signature))
      return { id }
    })
  }
}

const text = new TextEncoder()

const textKey = (secret: string): Uint8Array => text.encode(secret)

const base64Key = (secret: string): Uint8Array => {
  const [bytes] = bytesOr(Base64.decode(secret.replace(/^whsec_/, "")))
  if (bytes === undefined) throw new Error("a secret of Standard Webhooks is base64 after whsec_: this one is not")
  return bytes
}

/** Fails unless one of the signatures is by one of the secrets. */
const signer = (secrets: Secrets, keyOf: (secret: string) => Uint8Array) => {
  const keys = (Redacted.isRedacted(secrets) ? [secrets] : secrets).map((secret) => keyOf(Redacted.value(secret)))
  if (keys.length === 0 || keys.some((key) => key.length === 0)) {
    throw new Error("a webhook needs the secret by which its sender signs, and this one is empty")
  }
  return (content: Uint8Array, signatures: ReadonlyArray<Uint8Array>): Effect.Effect<void, Rejected> =>
    Effect.gen(function*() {
      const mac = yield* Mac.Mac
      for (const bytes of keys) {
        const key = yield* Mac.key(Mac.hmacSha256, bytes)
        for (const signature of signatures) if (yield* mac.verify(key, signature, content)) return
      }
      return yield* new Rejected({ reason: "Wrong", detail: "the signature is not by the secret of this webhook" })
    }).pipe(Effect.catchTag("CryptoError", Effect.die), Effect.provide(webCrypto))
}

const webCrypto = Mac.layerWebCrypto.pipe(Layer.provide(SecureRandom.layerWebCrypto))

const missing = (what: string) => Effect.fail(new Rejected({ reason: "Missing", detail: `${what} is missing` }))

const header = (headers: Delivery["headers"], name: string): Effect.Effect<string, Rejected> => {
  const value = headers[name]
  return value === undefined || value === "" ? missing(`the header ${name}`) : Effect.succeed(value)
}

const toleranceOf = (tolerance: Duration.Input = "5 minutes"): number => {
  const millis = Duration.toMillis(Duration.fromInputUnsafe(tolerance))
  if (millis > 0) return millis
  throw new Error(`the tolerance of a webhook is a duration above 0, it is ${millis} ms`)
}

/** After the signature: what is not signed is not spoken about. */
const isOfNow = (seconds: string, tolerance: number): Effect.Effect<void, Rejected> =>
  Effect.flatMap(
    Clock.currentTimeMillis,
    (now) =>
      /^\d+$/.test(seconds) && Math.abs(now - Number(seconds) * 1000) <= tolerance
        ? Effect.void
        : Effect.fail(new Rejected({ reason: "TooOld", detail: `it is of ${seconds}, too far from now` }))
  )

const bytesOr = (decoded: Result.Result<Uint8Array, unknown>): ReadonlyArray<Uint8Array> =>
  Result.isSuccess(decoded) ? [decoded.success] : []

const hexOf = (hex: string): ReadonlyArray<Uint8Array> => bytesOr(Hex.decode(hex))

const joined = (start: string, body: Uint8Array): Uint8Array => {
  const before = text.encode(start)
  const all = new Uint8Array(before.length + body.length)
  all.set(before)
  all.set(body, before.length)
  return all
}

const Identified = Schema.fromJsonString(Schema.Struct({ id: Schema.NonEmptyString }))
const decodeId = Schema.decodeUnknownResult(Identified)

const idOf = (body: Uint8Array): string | undefined => {
  const decoded = decodeId(new TextDecoder().decode(body))
  return Result.isSuccess(decoded) ? decoded.success.id : undefined
}
