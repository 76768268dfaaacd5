/**
 * Signed webhooks in, idempotent enqueue out: a route that believes a delivery by its signature, enqueues, and answers so
 * that the sender sends again when, and only when, that is needed.
 *
 * Delivered twice, a delivery is one record: its id is the record's idempotency key.
 *
 * @since 0.1.0
 */
import type { Job, JobError, JobHandle } from "capstan"
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import type * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type { Delivery, Rejected, Scheme } from "./WebhookScheme.ts"

/**
 * A delivery that is the sender's.
 *
 * @category models
 * @since 0.1.0
 */
export class Event extends Context.Service<Event, {
  readonly id: string
  readonly headers: Delivery["headers"]
  /** The body as it was signed. */
  readonly text: string
}>()("@capstan/http/Webhook/Event") {}

/**
 * What became of a delivery. `enqueue` and `ignored` make it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly id: string | undefined
  readonly outcome: JobHandle.Outcome | "Ignored"
}

/**
 * Enqueues a job for the delivery that is handled, once however often it comes.
 *
 * @category handling
 * @since 0.1.0
 */
export const enqueue = <P, E, R>(
  job: {
    readonly enqueue: (
      payload: P,
      options?: Job.EnqueueOptions
    ) => Effect.Effect<{ readonly id: string; readonly outcome: JobHandle.Outcome }, E, R>
  },
  payload: P,
  options?: Omit<Job.EnqueueOptions, "idempotencyKey">
): Effect.Effect<Answer, E, R | Event> =>
  Effect.flatMap(Event, (event) =>
    Effect.map(
      job.enqueue(payload, { ...options, idempotencyKey: event.id }),
      ({ id, outcome }): Answer => ({ id, outcome })
    ))

/**
 * Nothing is to be done for it, and the sender need not send it again.
 *
 * @category handling
 * @since 0.1.0
 */
export const ignored: Effect.Effect<Answer> = Effect.succeed({ id: undefined, outcome: "Ignored" })

/**
 * How a webhook is taken.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options<R> {
  /** Where the route is, from the root of the server. */
  readonly path: `/${string}`
  /** How its sender signs, with the secret: one of `WebhookScheme`. What is not signed so is answered 401. */
  readonly scheme: Scheme
  /** What is enqueued for it. */
  readonly handle: (
    event: Event["Service"]
  ) => Effect.Effect<Answer, JobError.EnqueueError | JobError.JobStoreError | Schema.SchemaError, R>
  /**
   * A longer body is refused with 413.
   *
   * @default 1 MiB
   */
  readonly maxBytes?: number | undefined
}

/**
 * The route, for `POST`.
 *
 * **Details**
 *
 * | answer | when | what the sender does |
 * |---|---|---|
 * | 202 `{ id, outcome }` | it was enqueued | |
 * | 200 `{ id, outcome }` | it was enqueued before, or is ignored | |
 * | 401 | its signature is missing, wrong or of another time | |
 * | 400, 413 | it is signed, and cannot be read or enqueued | |
 * | 503 | the store is away, or nobody knows | sends again |
 *
 * **Example**
 *
 * ```ts
 * const StripeHook = Webhook.layer({
 *   path: "/webhooks/stripe",
 *   scheme: WebhookScheme.stripe({ secret }),
 *   handle: ({ text }) =>
 *     Effect.flatMap(decodeEvent(text), (event) =>
 *       event.type === "invoice.paid" ? Webhook.enqueue(MarkPaid, { invoice: event.data.object.id }) : Webhook.ignored)
 * })
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R>(
  options: Options<R>
): Layer.Layer<never, never, HttpRouter.HttpRouter | Exclude<R, Event>> => {
  const maxBytes = ByteSize.fromInputUnsafe(options.maxBytes ?? 1024 * 1024)
  const take = (request: HttpServerRequest.HttpServerRequest) =>
    Effect.gen(function*() {
      const body = new Uint8Array(
        yield* Effect.provideService(request.arrayBuffer, HttpIncomingMessage.MaxBodySize, maxBytes)
      )
      const { id } = yield* options.scheme.verify({ headers: request.headers, body })
      const event = { id, headers: request.headers, text: new TextDecoder().decode(body) }
      return answered(yield* Effect.provideService(options.handle(event), Event, event))
    }).pipe(
      Effect.catchTag("Rejected", (error) => refused(401, error)),
      Effect.catchTag("HttpServerError", () => Effect.succeed(HttpServerResponse.empty({ status: 413 }))),
      Effect.catchTag(["EnqueueError", "SchemaError"], (error) => refused(400, error)),
      // Nothing was stored, or nobody knows: sent again it is enqueued once.
      Effect.catchTag("JobStoreError", (error) => refused(503, error))
    )
  return HttpRouter.use((router) =>
    Effect.contextWith((context: Context.Context<Exclude<R, Event>>) =>
      router.add(
        "POST",
        options.path,
        // What is left of a type parameter after all of it is excluded, the compiler does not see to be nothing.
        (request) =>
          Effect.provideContext(take(request), context) as Effect.Effect<HttpServerResponse.HttpServerResponse>
      )
    )
  )
}

const answered = ({ id, outcome }: Answer): HttpServerResponse.HttpServerResponse =>
  HttpServerResponse.jsonUnsafe({ ...id === undefined ? {} : { id }, outcome }, {
    status: outcome === "Inserted" ? 202 : 200
  })

const refused = (
  status: number,
  error: Rejected | JobError.EnqueueError | JobError.JobStoreError | Schema.SchemaError
): Effect.Effect<HttpServerResponse.HttpServerResponse> =>
  Effect.succeed(HttpServerResponse.jsonUnsafe({ _tag: error._tag, detail: error.message }, { status }))
