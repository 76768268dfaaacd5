/**
 * A job: a Schema-typed unit of background work, declared once and enqueued from anywhere.
 *
 * A declaration knows nothing of workers: a program that only enqueues bundles only declarations. Delivery is at least
 * once: a handler may run again after it succeeded, when its worker died before it could say so. Make its effects
 * idempotent with `JobContext.idempotencyKey`, or commit them with the settlement (`X.commit`) on a store that can.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Codec from "./internal/codec.ts"
import { define, type Given, type Schemas } from "./internal/define.ts"
import type * as D from "./internal/definition.ts"
import * as internal from "./internal/enqueue.ts"
import type { Registered } from "./internal/handler.ts"
import * as operations from "./internal/operations.ts"
import * as Payload from "./internal/payload.ts"
import * as Propagate from "./internal/propagate.ts"
import { Request } from "./internal/request.ts"
import { pointers } from "./internal/sensitive.ts"
import type { JobContext } from "./JobContext.ts"
import { JobGone } from "./JobError.ts"
import type { EnqueueError, JobCancelled, JobDead, JobStoreError } from "./JobError.ts"
import * as JobHandle from "./JobHandle.ts"
import type {
  EnqueueManyOptions,
  EnqueueOptions,
  Options,
  PreviousVersion,
  Propagated,
  WithoutServices
} from "./JobOptions.ts"
import type { JobId, JobRecord } from "./JobRecord.ts"
import type { JobStore } from "./JobStore.ts"
import type { Transactional } from "./Transactional.ts"

/**
 * The property under which a job keeps what is not public of it.
 *
 * @category type ids
 * @since 0.1.0
 */
export const TypeId: unique symbol = Symbol.for("capstan/Job")

/**
 * The type of that property's name.
 *
 * @category type ids
 * @since 0.1.0
 */
export type TypeId = typeof TypeId

/**
 * A declared job. Extend it as a class, so that editors show its name:
 *
 * ```ts
 * class SendReceipt extends Job.make("SendReceipt", { payload: { orderId: Schema.String } }) {}
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface Job<
  in out Tag extends string,
  out Payload extends Schema.Top,
  out Success extends Schema.Top,
  out Error extends Schema.Top,
  out Progress extends Schema.Top,
  out Queue extends string
> {
  new(_: never): {}
  /** @internal */
  readonly [TypeId]: D.Definition
  readonly _tag: Tag
  readonly queue: Queue
  /** What a payload may have at most, as it is encoded, in bytes. */
  readonly maxPayloadBytes: number
  readonly payloadSchema: Payload
  readonly successSchema: Success
  readonly errorSchema: Error
  readonly progressSchema: Progress
  readonly annotations: Context.Context<never>

  /** Attaches a value that tools of your own can read from the declaration. */
  annotate<I, S>(key: Context.Key<I, S>, value: S): Job<Tag, Payload, Success, Error, Progress, Queue>

  /**
   * Stores a record of this job. Inside a handler it becomes a child of the attempt's record, and is refused with
   * `LeaseLost` when the attempt is stale.
   */
  enqueue(
    payload: Payload["~type.make.in"],
    options?: EnqueueOptions
  ): Effect.Effect<
    HandleOf<Success, Error, Progress>,
    EnqueueError | JobStoreError,
    JobStore | Payload["EncodingServices"]
  >

  /**
   * A record of this job for somebody else to store: what `onComplete` and `onFailure` of another job answer. Its payload needs
   * no services.
   */
  request(
    payload: WithoutServices<Payload["~type.make.in"], Payload["EncodingServices"]>,
    options?: EnqueueOptions
  ): Request

  /** Stores one record per payload, in chunks of 1,000 that are each stored whole. Answers in the order of the payloads. */
  enqueueMany(
    payloads: Iterable<Payload["~type.make.in"]>,
    options?: EnqueueManyOptions<Payload["Type"]>
  ): Effect.Effect<
    ReadonlyArray<{ readonly id: JobId; readonly outcome: JobHandle.Outcome }>,
    EnqueueError | JobStoreError,
    JobStore | Payload["EncodingServices"]
  >

  /**
   * Stores a record and waits for its result, wherever it runs. A declared error fails it typed. Interrupting the wait
   * does not cancel the record.
   */
  run(
    payload: Payload["~type.make.in"],
    options?: EnqueueOptions
  ): Effect.Effect<
    Success["Type"],
    Error["Type"] | EnqueueError | JobStoreError | JobDead | JobCancelled | JobGone,
    JobStore | Payload["EncodingServices"] | Success["DecodingServices"] | Error["DecodingServices"]
  >

  /** The typed handle of a record whose id was stored elsewhere. */
  handle(id: string): HandleOf<Success, Error, Progress>

  /** Tells whoever watches the record how far it is. Buffered: returns at once; of many values the last one counts. */
  progress(value: Progress["Type"]): Effect.Effect<void, never, JobContext | Progress["EncodingServices"]>

  /**
   * Ends the attempt in one transaction with what the effect writes: business rows, child records, result, completion.
   * Only stores that share the caller's database provide `Transactional`.
   */
  commit<E, R>(
    effect: Effect.Effect<Success["Type"], E, R>
  ): Effect.Effect<
    Settled<Success["Type"]>,
    E | JobStoreError,
    R | Transactional | JobContext | Success["EncodingServices"]
  >

  /** The layer that runs this job: from a handler, or from an effect that builds one. */
  toLayer<R, EX = never, RX = never>(
    handler:
      | ((payload: Payload["Type"]) => HandlerEffect<Success, Error, R>)
      | Effect.Effect<(payload: Payload["Type"]) => HandlerEffect<Success, Error, R>, EX, RX>
  ): Layer.Layer<
    Handler<Tag>,
    EX,
    | Exclude<R, JobContext | Scope.Scope>
    | Exclude<RX, Scope.Scope>
    | Payload["DecodingServices"]
    | Success["EncodingServices"]
    | Error["EncodingServices"]
    | Error["DecodingServices"]
  >
}

/**
 * Any job.
 *
 * @category models
 * @since 0.1.0
 */
export interface Any {
  /** @internal */
  readonly [TypeId]: D.Definition
  readonly _tag: string
  readonly queue: string
  /** What a payload may have at most, as it is encoded, in bytes. */
  readonly maxPayloadBytes: number
  readonly payloadSchema: Schema.Top
  readonly successSchema: Schema.Top
  readonly errorSchema: Schema.Top
  readonly progressSchema: Schema.Top
}

/**
 * The service by which a worker finds the handler of a job.
 *
 * @category models
 * @since 0.1.0
 */
export interface Handler<in out Tag extends string> {
  readonly _: unique symbol
  readonly tag: Tag
}

/**
 * The result of `commit`: the attempt has ended, in the caller's transaction. A handler may return it for its success.
 *
 * @category models
 * @since 0.1.0
 */
export interface Settled<out A> {
  readonly [SettledTypeId]: A
}

declare const SettledTypeId: unique symbol

/**
 * What a handler answers. It may always fail with `EnqueueError` and `JobStoreError` too: the job is retried.
 *
 * @category models
 * @since 0.1.0
 */
export type HandlerEffect<Success extends Schema.Top, Error extends Schema.Top, R> = Effect.Effect<
  Success["Type"] | Settled<Success["Type"]>,
  Error["Type"] | EnqueueError | JobStoreError,
  R
>

/**
 * The handle of a job's record.
 *
 * @category models
 * @since 0.1.0
 */
export type HandleOf<Success extends Schema.Top, Error extends Schema.Top, Progress extends Schema.Top> =
  JobHandle.JobHandle<
    Success["Type"],
    Error["Type"],
    Progress["Type"],
    Success["DecodingServices"] | Error["DecodingServices"],
    Progress["DecodingServices"]
  >

export type * from "./JobOptions.ts"

type SchemaOf<P> = P extends Schema.Top ? P : P extends Schema.Struct.Fields ? Schema.Struct<P> : never

/**
 * Declares a job.
 *
 * **Details**
 *
 * The tag names the job in the store: renaming it leaves its records without a handler (they are parked, not lost).
 * Invalid options throw here, when the module is loaded.
 *
 * **Example**
 *
 * ```ts
 * class ChargeCard extends Job.make("ChargeCard", {
 *   payload: { invoiceId: Schema.String, amount: Schema.Number },
 *   success: Schema.Struct({ receipt: Schema.String }),
 *   error: Schema.Union([CardDeclined, ProviderBusy]),
 *   onError: { CardDeclined: "dead", ProviderBusy: { snooze: (error) => error.retryAfter } }
 * }) {}
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <
  const Tag extends string,
  Payload extends Schema.Top | Schema.Struct.Fields = Schema.Void,
  Success extends Schema.Top = Schema.Void,
  Error extends Schema.Top = Schema.Never,
  Progress extends Schema.Top = Schema.Never,
  const Queue extends string = "default"
>(
  tag: Tag,
  options?: Options<Payload, Success, Error, Progress, Queue>
): Job<Tag, SchemaOf<Payload>, Success, Error, Progress, Queue> => {
  // What the generic signature has checked is read here without its types.
  const given = (options ?? {}) as unknown as Given
  const payloadSchema = given.payload === undefined
    ? Schema.Void
    : Schema.isSchema(given.payload)
    ? given.payload as Schema.Top
    : Schema.Struct(given.payload as Schema.Struct.Fields)
  const schemas = {
    payloadSchema,
    successSchema: given.success ?? Schema.Void,
    errorSchema: given.error ?? Schema.Never,
    progressSchema: given.progress ?? Schema.Never
  }
  return declare(define(tag, schemas, given), schemas, Context.empty()) as unknown as Job<
    Tag,
    SchemaOf<Payload>,
    Success,
    Error,
    Progress,
    Queue
  >
}

/** The function that a class extends: its statics are the job's operations. */
const declare = (job: D.Definition, schemas: Schemas, annotations: Context.Context<never>): Any => {
  const statics = {
    [TypeId]: job,
    _tag: job.tag,
    queue: job.queue,
    maxPayloadBytes: job.maxPayloadBytes,
    annotations,
    isBatch: job.batch !== undefined,
    ...schemas,
    annotate: (key: Context.Key<unknown, unknown>, value: unknown) =>
      declare(job, schemas, Context.add(annotations, key, value) as Context.Context<never>),
    enqueue: (payload: unknown, options?: EnqueueOptions) =>
      internal.enqueueOne(job, payload, options, JobHandle.ofStored),
    request: (payload: unknown, options?: EnqueueOptions) => new Request(job, payload, options),
    enqueueMany: (payloads: Iterable<unknown>, options?: EnqueueManyOptions<never>) =>
      internal.enqueueMany(job, [...payloads], options),
    run: (payload: unknown, options?: EnqueueOptions) =>
      Effect.flatMap(
        operations.refuseInHandler(job),
        () => Effect.flatten(internal.enqueueOne(job, payload, options, JobHandle.awaitStored))
      ),
    handle: (id: string) => JobHandle.make(job, id as JobId, "Existing"),
    progress: (value: unknown) => operations.progress(job, value),
    commit: (effect: Effect.Effect<unknown, unknown, unknown>) => operations.commit(job, effect),
    toLayer: (handler: Registered["run"] | Effect.Effect<Registered["run"], unknown, unknown>) =>
      operations.toLayer(job, handler, [])
  }
  // Functions have a `name` of their own, which cannot be assigned.
  return Object.assign(function() {}, statics) as unknown as Any
}

// ------------------------------------------------------------------------------------------------------- more makers

/**
 * An older version of a job's payload. `lift` makes of it what the next version is made from. Its schema takes no services to
 * decode: nobody who reads an old record is asked for them.
 *
 * @category constructors
 * @since 0.1.0
 */
export const version = <S extends Schema.Top & { readonly DecodingServices: never }, Out>(
  version: number,
  schema: S,
  lift: (payload: S["Type"]) => Out
): PreviousVersion<Out> =>
  ({
    version,
    codec: Codec.make(schema),
    sensitive: () => pointers(schema),
    lift
  }) satisfies D.Previous as D.Previous as PreviousVersion<Out>

/**
 * Lets the value of a Reference (a tenant, a request id) travel with the records of a job: from the fiber that enqueues
 * to the handler's, and on to the records that the handler enqueues.
 *
 * @category constructors
 * @since 0.1.0
 */
export const propagate = <A>(
  reference: Context.Reference<A>,
  schema: Schema.Codec<A, unknown, never, never>
): Propagated => ({
  "~propagation": {
    reference: reference as unknown as Context.Reference<never>,
    header: `${Propagate.prefix}${reference.key}`,
    codec: Codec.make(schema)
  }
})

/**
 * The typed payload of a record of this job, lifted from its own version.
 *
 * @category combinators
 * @since 0.1.0
 */
export const decodePayload = <J extends Any>(
  job: J,
  record: Pick<JobRecord, "id" | "payload" | "version">
): Effect.Effect<J["payloadSchema"]["Type"], JobGone, J["payloadSchema"]["DecodingServices"]> =>
  Effect.mapError(
    Payload.decode(job[TypeId], record),
    (issue) => new JobGone({ id: record.id, job: job._tag, reason: "Unreadable", detail: Codec.issueOf(issue) })
  )

/**
 * Runs an effect whose enqueues stand on their own, though it runs in a handler: no child of the attempt's record, and
 * not refused when the attempt is stale.
 *
 * @category combinators
 * @since 0.1.0
 */
export const detached = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.provideService(effect, internal.Detached, true)
