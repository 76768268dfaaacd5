/**
 * Waitpoints that are completed by a signed URL: a link for a person, or a callback for another service.
 *
 * The token in it is all that the caller needs, so whoever has the URL can use it, once, until it expires. To open it completes
 * nothing: mail scanners and previews follow links. A `POST` with the value does.
 *
 * @since 0.1.0
 */
import type { JobError, JobStore, Waitpoint } from "capstan"
import * as ByteSize from "effect/ByteSize"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { dataHeaders, linkHeaders, secured } from "./internal/mount.ts"

/**
 * How a waitpoint's URL is taken.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R = never> {
  /** Each waitpoint has a path of its own. */
  readonly path: `/${string}`
  /** The one that signed the tokens, at least 32 characters: a shorter one throws. Compared in constant time. */
  readonly secret: Waitpoint.Secret
  /**
   * A longer body is refused with 413.
   *
   * @default 64 KiB
   */
  readonly maxBytes?: number | undefined
  /**
   * What a browser gets that opens the URL: your page, which asks, and sends the `POST`. Nothing was checked yet: the waitpoint's
   * `verify` tells whether the token holds.
   *
   * @default 405
   */
  readonly page?: ((token: string) => Effect.Effect<HttpServerResponse.HttpServerResponse, never, R>) | undefined
}

/**
 * Makes URLs of tokens: `base` is where the route is for those who call it, as in `https://shop.example.com/approvals`. One that
 * is no http URL throws.
 *
 * **Example**
 *
 * ```ts
 * const linkOf = WaitpointUrl.at("https://shop.example.com/approvals")
 *
 * const link = Effect.map(Approval.token({ secret, expiresIn: "7 days" }), linkOf)
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const at = (base: string): (token: string) => string => {
  if (!/^https?:$/.test(URL.parse(base)?.protocol ?? "")) {
    throw new Error(
      `a waitpoint's URL begins as https://shop.example.com/approvals does, it is ${JSON.stringify(base)}`
    )
  }
  return (token) => {
    const url = new URL(base)
    url.searchParams.set(parameter, token)
    return url.href
  }
}

/**
 * The route: `POST` with the value as JSON, as the waitpoint's `success` has it, and `GET` for a page of yours. A waitpoint without
 * `success` needs no body, and reads none.
 *
 * **Details**
 *
 * | answer | when | what the sender does |
 * |---|---|---|
 * | 200 `{ outcome }` | it is completed: `Completed`, or `Kept` where the record is not there yet | |
 * | 400 `InvalidToken` | the token is missing or none: `Malformed` | |
 * | 401 `InvalidToken` | another secret signed it: `Forged` | |
 * | 403 `InvalidToken` | it is for another waitpoint: `OtherWaitpoint` | |
 * | 410 `InvalidToken` | it has expired: `Expired` | |
 * | 400 `SchemaError`, 413 | the token holds, and the body is not what the waitpoint takes | may send another one |
 * | 409 `TooLate` | it was completed before, or has timed out: what came first stays | is done |
 * | 410 `NotFound` | the record has ended, or was removed | is done |
 * | 503 `JobStoreError` | the store is away, or nobody knows | sends again |
 *
 * Who sends again after an answer that was lost is told 409, or 410 once the record has ended.
 *
 * **Example**
 *
 * ```ts
 * const Approvals = WaitpointUrl.layer(Approval, { path: "/approvals", secret })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <Name extends string, Success extends Schema.Top, R = never>(
  waitpoint: Waitpoint.Waitpoint<Name, Success>,
  options: Options<R>
): Layer.Layer<
  never,
  never,
  HttpRouter.HttpRouter | JobStore.JobStore | Success["DecodingServices"] | Success["EncodingServices"] | R
> => {
  const { page, path, secret } = options
  if (Redacted.value(secret).length < shortest) {
    throw new Error(`the secret of a waitpoint's URL has less than ${shortest} characters: make a longer one`)
  }
  const maxBytes = ByteSize.fromInputUnsafe(options.maxBytes ?? 64 * 1024)
  const decode = decoderOf(waitpoint.successSchema)
  const take = (request: HttpServerRequest.HttpServerRequest) =>
    Effect.gen(function*() {
      // First the token: what nobody signed is not read.
      const id = yield* waitpoint.verify(tokenOf(request), { secret })
      const body = Effect.provideService(request.text, HttpIncomingMessage.MaxBodySize, maxBytes)
      return answered(yield* waitpoint.complete(id, yield* decode(body)))
    }).pipe(
      Effect.catchTag("InvalidToken", (error) => refused(invalid[error.reason], error)),
      Effect.catchTag("SchemaError", (error) => refused(400, error)),
      Effect.catchTag("HttpServerError", () => Effect.succeed(HttpServerResponse.empty({ status: 413 }))),
      // A waitpoint is completed once, however often it is tried.
      Effect.catchTag("JobStoreError", (error) => refused(503, error))
    )
  type Services = JobStore.JobStore | Success["DecodingServices"] | Success["EncodingServices"] | R
  const route = (
    method: "GET" | "POST",
    handler: (
      request: HttpServerRequest.HttpServerRequest
    ) => Effect.Effect<HttpServerResponse.HttpServerResponse, never, Services>
  ) =>
    HttpRouter.use((router) =>
      Effect.contextWith((context: Context.Context<Services>) =>
        router.add(method, path, (request) => Effect.provideContext(handler(request), context))
      )
    )
  return Layer.merge(
    Layer.provide(route("POST", take), secured(dataHeaders)),
    page === undefined
      ? Layer.provide(route("GET", () => Effect.succeed(postOnly)), secured(dataHeaders))
      : Layer.provide(route("GET", (request) => page(tokenOf(request))), secured(linkHeaders))
  )
}

/** One of the names whose values OpenTelemetry, and so Effect's spans, leave out of `url.full`. */
const parameter = "sig"

/** As the waitpoint has it, which would only say so when the first one comes. */
const shortest = 32

const tokenOf = ({ url }: HttpServerRequest.HttpServerRequest): string =>
  new URLSearchParams(url.slice(url.indexOf("?") + 1)).get(parameter) ?? ""

/** What holds no value is not read at all. */
const decoderOf = <Success extends Schema.Top>(success: Success) => {
  const decode = Schema.decodeUnknownEffect(Schema.fromJsonString(Schema.toCodecJson(success)))
  return <E>(
    body: Effect.Effect<string, E>
  ): Effect.Effect<Success["Type"], E | Schema.SchemaError, Success["DecodingServices"]> =>
    success.ast._tag === "Void" ? Effect.void : Effect.flatMap(body, (text) => decode(text))
}

const invalid = { Malformed: 400, Forged: 401, OtherWaitpoint: 403, Expired: 410 } as const

const answered = (outcome: Waitpoint.Completion): HttpServerResponse.HttpServerResponse => {
  switch (outcome) {
    case "TooLate":
      return told(409, outcome, "it was completed before, or has timed out: what came first stays")
    case "NotFound":
      return told(410, outcome, "what waited for it has ended")
    default:
      return HttpServerResponse.jsonUnsafe({ outcome })
  }
}

const refused = (status: number, error: JobError.InvalidToken | JobError.JobStoreError | Schema.SchemaError) =>
  Effect.succeed(
    told(status, error._tag, error.message, error._tag === "InvalidToken" ? { reason: error.reason } : undefined)
  )

const told = (status: number, tag: string, detail: string, more?: { readonly reason: string }) =>
  HttpServerResponse.jsonUnsafe({ _tag: tag, ...more, detail }, { status })

const postOnly = HttpServerResponse.jsonUnsafe(
  { _tag: "MethodNotAllowed", detail: "to open the link completes nothing: send a POST with the value as JSON" },
  { status: 405, headers: { allow: "POST" } }
)
