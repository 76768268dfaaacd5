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
import type * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Codec from "./internal/codec.ts"
import * as D from "./internal/definition.ts"
import * as internal from "./internal/enqueue.ts"
import { keyOf, type Registered, SettledValue } from "./internal/handler.ts"
import * as Payload from "./internal/payload.ts"
import * as Propagate from "./internal/propagate.ts"
import { pointers } from "./internal/sensitive.ts"
import { JobContext } from "./JobContext.ts"
import { AwaitInHandler, EnqueueError, JobGone } from "./JobError.ts"
import type { JobCancelled, JobDead, JobStoreError } from "./JobError.ts"
import * as JobHandle from "./JobHandle.ts"
import type { Failure, JobId, JobRecord, Sensitive } from "./JobRecord.ts"
import type { JobStore } from "./JobStore.ts"
import { Transactional } from "./Transactional.ts"

/**
 * @category type ids
 * @since 0.1.0
 */
export const TypeId: unique symbol = Symbol.for("capstan/Job")

/**
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

// ------------------------------------------------------------------------------------------------- options of calls

/**
 * Options of one enqueue.
 *
 * @category options
 * @since 0.1.0
 */
export interface EnqueueOptions {
  /**
   * Runs not before this long from now, by the store's clock.
   *
   * @default 0
   */
  readonly delay?: Duration.Input | undefined
  /** Runs not before this instant: a `DateTime`, a `Date`, epoch milliseconds or ISO text. Excludes `delay`. */
  readonly runAt?: DateTime.DateTime.Input | undefined
  /**
   * `"low"` is -10, `"normal"` 0, `"high"` 10; an integer from -100 to 100 goes between. Higher first; first in, first
   * out within one.
   *
   * @default the job's
   */
  readonly priority?: "low" | "normal" | "high" | number | undefined
  /**
   * While a record of this job with this key is kept, in whatever state, the call answers `Existing` with its id.
   */
  readonly idempotencyKey?: string | undefined
  /** `false` leaves the job's unique key out for this record. */
  readonly unique?: false | undefined
  /** Labels to find the record by, added to those of the job. */
  readonly tags?: ReadonlyArray<string> | undefined
  /** Text that travels with the record; the handler reads it from `JobContext.headers`. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/**
 * Options of `enqueueMany`: as of one, with a key per payload.
 *
 * @category options
 * @since 0.1.0
 */
export interface EnqueueManyOptions<in Payload> extends Omit<EnqueueOptions, "idempotencyKey"> {
  readonly idempotencyKey?: ((payload: Payload, index: number) => string) | undefined
}

// ------------------------------------------------------------------------------------------- options of declarations

type TagOf<E> = E extends { readonly _tag: infer T extends string } ? T : never

/**
 * What a failure with one declared error leads to.
 *
 * - `"retry"`: by the job's `retry`
 * - `"dead"`: no further attempt
 * - `{ retry }`: by a schedule of its own, over the failures with this tag alone
 * - `{ snooze }`: again after the duration, without charging an attempt (such as a 429 with `Retry-After`)
 *
 * @category options
 * @since 0.1.0
 */
export type OnError<E> =
  | "retry"
  | "dead"
  | { readonly retry: Schedule.Schedule<unknown, E> }
  | { readonly snooze: Duration.Input | ((error: E) => Duration.Input) }

/**
 * How long a finished record is kept: a duration, `"forever"`, or bounds by age and count of which the first one holds.
 *
 * @category options
 * @since 0.1.0
 */
export type Keep = D.KeepInput

/**
 * What decides the attempts of a job. Read from the worker's code when an attempt ends, so a deploy mends waiting
 * records.
 *
 * @category options
 * @since 0.1.0
 */
export interface RunOptions<E> {
  /**
   * After this many attempts a failed record is dead. `Infinity` leaves it to the schedules.
   *
   * @default 10
   */
  readonly maxAttempts?: number | undefined
  /**
   * A record that fails later than this after its first attempt began is dead, whatever its schedule says.
   *
   * @default no limit
   */
  readonly retryFor?: Duration.Input | undefined
  /**
   * Decides attempts that failed with a declared error. It is replayed over the recorded errors, with `Random` seeded by
   * the record's id, so its delays are exact across processes and restarts.
   *
   * @default exponential from 1 s, at most 5 min, jittered
   */
  readonly retry?: Schedule.Schedule<unknown, NoInfer<E>> | undefined
  /**
   * Decides attempts that failed otherwise: a defect, a timeout.
   *
   * @default exponential from 1 s, at most 5 min, jittered
   */
  readonly retryDefects?: Schedule.Schedule<unknown, Failure> | undefined
  /**
   * An attempt is interrupted after this long. `"infinite"` switches it off.
   *
   * @default 15 minutes
   */
  readonly timeout?: Duration.Input | "infinite" | undefined
  /**
   * Whether the attempt's span is linked to the enqueue (a trace of its own) or is its child.
   *
   * @default "link"
   */
  readonly trace?: "link" | "child" | undefined
  /**
   * What to do by the `_tag` of a declared error. A tag that is not given is retried.
   *
   * (`NoInfer` around its conditional type would turn the argument of `snooze` into `never`.)
   */
  readonly onError?: { readonly [T in TagOf<E>]?: OnError<Extract<E, { readonly _tag: T }>> } | undefined
}

/**
 * A key of which at most one record is live.
 *
 * @category options
 * @since 0.1.0
 */
export interface Unique<P> {
  readonly key: (payload: P) => string
  /**
   * When the key is free again: when its record starts, when it is finished, or this long after the enqueue. A dead or
   * cancelled record always frees its key, and so does one that is removed: keep completed records for as long as a window.
   *
   * With `"started"`, a record that a worker takes and gives back unstarted has the key again, unless another enqueue took
   * it meanwhile: then both run.
   *
   * @default "finished"
   */
  readonly until?: "started" | "finished" | { readonly window: Duration.Input } | undefined
  /**
   * What an enqueue does while another record holds the key.
   *
   * - `"keep"`: nothing
   * - `"replace"`: the waiting record gets the new payload and options; one that has begun gets a successor
   * - `"reschedule"`: the waiting record gets the new due instant
   * - `"runAfter"`: a record that has begun gets one successor, which runs when it is finished
   *
   * @default "keep"
   */
  readonly onConflict?: "keep" | "replace" | "reschedule" | "runAfter" | undefined
}

/**
 * At most `limit` records with the same key run at a time, over all workers.
 *
 * @category options
 * @since 0.1.0
 */
export interface Concurrency<P> {
  readonly key: (payload: P) => string
  readonly limit: number
}

type TypeOf<P> = P extends Schema.Top ? P["Type"] : P extends Schema.Struct.Fields ? Schema.Struct<P>["Type"] : never
type MakeIn<P> = P extends Schema.Top ? P["~type.make.in"]
  : P extends Schema.Struct.Fields ? Schema.Struct<P>["~type.make.in"]
  : never
type SchemaOf<P> = P extends Schema.Top ? P : P extends Schema.Struct.Fields ? Schema.Struct<P> : never

/**
 * An older version of a payload, lifted to `Out`.
 *
 * @category models
 * @since 0.1.0
 */
export interface PreviousVersion<out Out> extends D.Previous {
  readonly "~out": Out
}

/**
 * A Reference whose value travels with records.
 *
 * @category models
 * @since 0.1.0
 */
export interface Propagated {
  /** @internal */
  readonly "~propagation": Propagate.Propagation
}

/**
 * Options of a declaration.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<
  Payload extends Schema.Top | Schema.Struct.Fields,
  Success extends Schema.Top,
  Error extends Schema.Top,
  Progress extends Schema.Top,
  Queue extends string
> extends RunOptions<Error["Type"]> {
  /**
   * Fields, or a schema.
   *
   * @default Schema.Void
   */
  readonly payload?: Payload | undefined
  /** @default Schema.Void */
  readonly success?: Success | undefined
  /**
   * The errors that a handler may fail with, and an awaiter gets typed.
   *
   * @default Schema.Never
   */
  readonly error?: Error | undefined
  /**
   * What `X.progress` takes.
   *
   * @default Schema.Never
   */
  readonly progress?: Progress | undefined
  /**
   * The version of the payload's schema. Raise it with every change that older code or older records do not satisfy.
   *
   * @default 1
   */
  readonly version?: number | undefined
  /** The older versions, rising; each lifts to the next, the last one to this. */
  readonly previous?:
    | readonly [...ReadonlyArray<PreviousVersion<unknown>>, PreviousVersion<MakeIn<NoInfer<Payload>>>]
    | undefined
  /**
   * The lane that its records wait in.
   *
   * @default "default"
   */
  readonly queue?: Queue | undefined
  /** @default "normal" */
  readonly priority?: "low" | "normal" | "high" | number | undefined
  /** A record that has not started this long after it could is dead with reason `Expired`. */
  readonly startBefore?: Duration.Input | undefined
  readonly unique?: Unique<TypeOf<NoInfer<Payload>>> | undefined
  readonly concurrency?: Concurrency<TypeOf<NoInfer<Payload>>> | undefined
  /**
   * How long finished records are kept, by how they ended. Whoever awaits a record finds its result while it is kept: with
   * 0 it is removed as soon as it has ended, and an awaiter may be told that it is gone.
   *
   * @default completed 1 day, cancelled 7 days, dead 30 days
   */
  readonly retention?:
    | { readonly completed?: Keep | undefined; readonly cancelled?: Keep | undefined; readonly dead?: Keep | undefined }
    | undefined
  /**
   * The size that an encoded payload may have, in bytes of UTF-8.
   *
   * @default 262,144
   */
  readonly maxPayloadBytes?: number | undefined
  /** Labels of all its records. */
  readonly tags?: ReadonlyArray<string> | undefined
  /** References whose values travel from the enqueueing fiber to the handler, and on to its children. */
  readonly propagate?: ReadonlyArray<Propagated> | undefined
}

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

interface Given extends Omit<Options<Schema.Top, Schema.Top, Schema.Top, Schema.Top, string>, "payload" | "previous"> {
  readonly payload?: Schema.Top | Schema.Struct.Fields
  readonly previous?: ReadonlyArray<PreviousVersion<unknown>>
}

interface Schemas {
  readonly payloadSchema: Schema.Top
  readonly successSchema: Schema.Top
  readonly errorSchema: Schema.Top
  readonly progressSchema: Schema.Top
}

const define = (tag: string, schemas: Schemas, options: Given): D.Definition => {
  const { concurrency, priority, unique } = options
  const version = options.version ?? 1
  const until = unique?.until ?? "finished"
  let sensitive: Sensitive | undefined
  return {
    tag: D.name(tag, "tag", tag),
    version: D.integer(tag, "version", version, 1, 1_000_000),
    previous: previousOf(tag, version, options.previous ?? []),
    queue: D.name(tag, "queue", options.queue ?? "default"),
    priority: D.integer(
      tag,
      "priority",
      typeof priority === "string" ? internal.priorities[priority] : priority ?? 0,
      -100,
      100
    ),
    maxPayloadBytes: D.integer(
      tag,
      "maxPayloadBytes",
      options.maxPayloadBytes ?? D.defaultMaxPayloadBytes,
      1,
      Number.MAX_SAFE_INTEGER
    ),
    startBefore: options.startBefore === undefined ? undefined : D.millis(tag, "startBefore", options.startBefore),
    retention: D.retention(tag, options.retention),
    tags: options.tags ?? [],
    propagate: (options.propagate ?? []).map((propagated) => propagated["~propagation"]),
    sensitive: () =>
      sensitive ??= {
        payload: pointers(schemas.payloadSchema),
        result: pointers(schemas.successSchema),
        error: pointers(schemas.errorSchema),
        progress: pointers(schemas.progressSchema)
      },
    unique: unique === undefined ? undefined : {
      key: unique.key as (payload: never) => string,
      until: typeof until === "object" ? { windowMillis: D.millis(tag, "unique.until.window", until.window) } : until,
      onConflict: unique.onConflict ?? "keep"
    },
    concurrency: concurrency === undefined ? undefined : {
      key: concurrency.key as (payload: never) => string,
      limit: D.integer(tag, "concurrency.limit", concurrency.limit, 1, 1_000_000)
    },
    policy: D.runPolicy(tag, options as D.RunOptions),
    make: (payload) => schemas.payloadSchema.makeEffect(payload),
    isConstructed: Codec.isConstructed(schemas.payloadSchema),
    payload: Codec.make(schemas.payloadSchema),
    success: Codec.make(schemas.successSchema),
    error: Codec.make(schemas.errorSchema),
    progress: Codec.make(schemas.progressSchema)
  }
}

const previousOf = (
  tag: string,
  version: number,
  previous: ReadonlyArray<PreviousVersion<unknown>>
): ReadonlyArray<D.Previous> => {
  let last = 0
  for (const older of previous) {
    D.integer(tag, "previous", older.version, last + 1, version - 1)
    last = older.version
  }
  return previous
}

/** The function that a class extends: its statics are the job's operations. */
const declare = (job: D.Definition, schemas: Schemas, annotations: Context.Context<never>): Any => {
  const operations = {
    [TypeId]: job,
    _tag: job.tag,
    queue: job.queue,
    annotations,
    ...schemas,
    annotate: (key: Context.Key<unknown, unknown>, value: unknown) =>
      declare(job, schemas, Context.add(annotations, key, value) as Context.Context<never>),
    enqueue: (payload: unknown, options?: EnqueueOptions) =>
      internal.enqueueOne(job, payload, options, JobHandle.ofStored),
    enqueueMany: (payloads: Iterable<unknown>, options?: EnqueueManyOptions<never>) =>
      internal.enqueueMany(job, [...payloads], options),
    run: (payload: unknown, options?: EnqueueOptions) =>
      Effect.flatMap(
        refuseInHandler(job),
        () => Effect.flatten(internal.enqueueOne(job, payload, options, JobHandle.awaitStored))
      ),
    handle: (id: string) => JobHandle.make(job, id as JobId, "Existing"),
    progress: (value: unknown) => progress(job, value),
    commit: (effect: Effect.Effect<unknown, unknown, unknown>) => commit(job, effect),
    toLayer: (handler: Registered["run"] | Effect.Effect<Registered["run"], unknown, unknown>) =>
      toLayer(job, handler, [])
  }
  // Functions have a `name` of their own, which cannot be assigned.
  return Object.assign(function() {}, operations) as unknown as Any
}

const refuseInHandler = (job: D.Definition): Effect.Effect<void, EnqueueError> =>
  Effect.flatMap(Effect.context<never>(), (context) => {
    const attempt = Context.getOrUndefined(context, JobContext)
    return attempt === undefined
      ? Effect.void
      : Effect.fail(new EnqueueError({ reason: new AwaitInHandler({ job: job.tag, handler: attempt.job }) }))
  })

const progress = (job: D.Definition, value: unknown): Effect.Effect<void, never, JobContext> =>
  Effect.flatMap(JobContext, (attempt) => {
    if (attempt.job !== job.tag) {
      return Effect.die(new Error(`${job.tag}.progress was called in an attempt of ${attempt.job}`))
    }
    return Effect.map(
      Effect.orDie(job.progress.encode(value)),
      (json) => attempt.write({ _tag: "Progress", at: { id: attempt.id, fence: attempt.fence }, value: json ?? "null" })
    )
  })

const commit = (
  job: D.Definition,
  effect: Effect.Effect<unknown, unknown, unknown>
): Effect.Effect<SettledValue, unknown, unknown> =>
  Effect.gen(function*() {
    const attempt = yield* JobContext
    const transactional = yield* Transactional
    if (attempt.job !== job.tag) {
      return yield* Effect.die(new Error(`${job.tag}.commit was called in an attempt of ${attempt.job}`))
    }
    const value = yield* transactional.commit(
      { id: attempt.id, fence: attempt.fence },
      effect,
      (value) =>
        Effect.map(Effect.orDie(job.success.encode(value)), (result) => ({
          result,
          finishedAfter: attempt.elapsed()
        }))
    )
    return new SettledValue(value)
  })

/** @internal */
export const toLayer = (
  job: D.Definition,
  handler: Registered["run"] | Effect.Effect<Registered["run"], unknown, unknown>,
  middleware: Registered["middleware"]
): Layer.Layer<unknown, unknown, unknown> => {
  const key = keyOf(job.tag)
  return Layer.effect(
    key,
    Effect.gen(function*() {
      const run = Effect.isEffect(handler) ? yield* handler : handler
      return { run, middleware, context: (yield* Effect.context<unknown>()) as Context.Context<never> }
    })
  )
}

// ------------------------------------------------------------------------------------------------------- more makers

/**
 * An older version of a job's payload. `lift` makes of it what the next version is made from.
 *
 * @category constructors
 * @since 0.1.0
 */
export const version = <S extends Schema.Top, Out>(
  version: number,
  schema: S,
  lift: (payload: S["Type"]) => Out
): PreviousVersion<
  Out
> => ({ version, codec: Codec.make(schema), lift } satisfies D.Previous as D.Previous as PreviousVersion<Out>)

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
