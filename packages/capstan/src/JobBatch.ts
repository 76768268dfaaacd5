/**
 * Jobs whose handler takes many records at a time: bulk inserts, APIs that take a hundred at once.
 *
 * Each record stays a record of its own: enqueued, awaited, retried, cancelled and kept by itself, and ended by its own exit. One
 * that the handler leaves out has failed: nothing is assumed to be done.
 *
 * @since 0.1.0
 */
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Job from "./Job.ts"
import type { JobContext, Shape as JobContextShape } from "./JobContext.ts"
import type { EnqueueError, JobStoreError } from "./JobError.ts"
import type { Batch, Options } from "./JobOptions.ts"

/**
 * A record of a batch, as its handler sees it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Member<out Payload> {
  readonly payload: Payload
  /** The record's own attempt: its id, its attempt's number, its log. */
  readonly context: JobContextShape
  /**
   * Whether nobody wants its result any more: a cancel of this record was requested, its lease is lost, or the time of the batch
   * is over. The others of the batch go on.
   */
  readonly isStopped: Effect.Effect<boolean>
  /**
   * Runs an effect on behalf of this record: in its `JobContext`, so that what it enqueues are the record's children, and with
   * the references that travel with it.
   */
  readonly within: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, Exclude<R, JobContext>>
}

/**
 * How each member has ended: a `Map`, or pairs. Of two exits of one member the last one counts.
 *
 * @category models
 * @since 0.1.0
 */
export type Exits<Payload, Success, Error> = Iterable<readonly [Member<Payload>, Exit.Exit<Success, Error>]>

/**
 * What a handler of batches is: it gets from one to `size` members, whose payloads decode.
 *
 * When it fails itself, with a declared error or otherwise, that is the end of all of them; a timeout is, too.
 *
 * @category models
 * @since 0.1.0
 */
export type Handler<Payload extends Schema.Top, Success extends Schema.Top, Error extends Schema.Top, R> = (
  members: ReadonlyArray<Member<Payload["Type"]>>
) => Effect.Effect<
  Exits<
    Payload["Type"],
    Success["Type"] | Job.Settled<Success["Type"]>,
    Error["Type"] | EnqueueError | JobStoreError
  >,
  Error["Type"] | EnqueueError | JobStoreError,
  R
>

/**
 * A job whose records are handled in batches. It is enqueued and awaited like any other.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobBatch<
  Tag extends string,
  Payload extends Schema.Top,
  Success extends Schema.Top,
  Error extends Schema.Top,
  Progress extends Schema.Top,
  Queue extends string
> extends Omit<Job.Job<Tag, Payload, Success, Error, Progress, Queue>, "annotate" | "toLayer"> {
  new(_: never): {}
  readonly isBatch: true

  /** Attaches a value that tools of your own can read from the declaration. */
  annotate<I, S>(key: Context.Key<I, S>, value: S): JobBatch<Tag, Payload, Success, Error, Progress, Queue>

  /** The layer that runs this job: from a handler, or from an effect that builds one. */
  toLayer<R, EX = never, RX = never>(
    handler:
      | Handler<Payload, Success, Error, R>
      | Effect.Effect<Handler<Payload, Success, Error, R>, EX, RX>
  ): Layer.Layer<
    Job.Handler<Tag>,
    EX,
    | Exclude<R, Scope.Scope>
    | Exclude<RX, Scope.Scope>
    | Payload["DecodingServices"]
    | Success["EncodingServices"]
    | Error["EncodingServices"]
    | Error["DecodingServices"]
  >
}

type SchemaOf<P> = P extends Schema.Top ? P : P extends Schema.Struct.Fields ? Schema.Struct<P> : never
type TypeOf<P> = SchemaOf<P>["Type"]

/**
 * Declares a job whose records are handled in batches.
 *
 * **Details**
 *
 * A worker collects ready records by their key, until a batch is full or `within` is over; then the handler runs once for all of
 * it, in one slot of the pool and one span. What it says of a record is settled as if that had run alone: `retry`, `onError`,
 * `maxAttempts` and what follows are each record's own. `timeout` is that of the batch.
 *
 * A record that has crashed a worker, and one that is to be undone, runs by itself.
 *
 * **Gotchas**
 *
 * Give it a queue of its own: where other jobs share the queue, a worker claims no more records than it has free slots, and its
 * batches fill more slowly.
 *
 * **Example**
 *
 * ```ts
 * class IndexDocument extends JobBatch.make("IndexDocument", {
 *   payload: { tenant: Schema.String, id: Schema.String },
 *   error: Rejected,
 *   queue: "search",
 *   batch: { size: 100, within: "2 seconds", key: ({ tenant }) => tenant }
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
  options: Options<Payload, Success, Error, Progress, Queue> & {
    /** How many records the handler gets at a time, how long a worker collects them, and which come together. */
    readonly batch: Batch<TypeOf<NoInfer<Payload>>>
  }
): JobBatch<Tag, SchemaOf<Payload>, Success, Error, Progress, Queue> =>
  // `Job.make` reads the option, and does not offer it.
  Job.make(tag, options) as unknown as JobBatch<Tag, SchemaOf<Payload>, Success, Error, Progress, Queue>

/**
 * Runs an effect for each member, and answers how each has ended: for records that are prepared together and finished one by
 * one. A member that is cancelled meanwhile is interrupted, and the others go on.
 *
 * @category combinators
 * @since 0.1.0
 */
export const each = <Payload, A, E, R>(
  members: ReadonlyArray<Member<Payload>>,
  run: (payload: Payload, member: Member<Payload>) => Effect.Effect<A, E, R>,
  options?: {
    /**
     * How many members run at a time.
     *
     * @default 1
     */
    readonly concurrency?: number | "unbounded" | undefined
  }
): Effect.Effect<ReadonlyMap<Member<Payload>, Exit.Exit<A, E>>, never, Exclude<R, JobContext>> =>
  Effect.map(
    Effect.forEach(
      members,
      (member) => Effect.map(runOne(member, run), (exit) => [member, exit] as const),
      { concurrency: options?.concurrency ?? 1 }
    ),
    (exits) => new Map(exits)
  )

const runOne = <Payload, A, E, R>(
  member: Member<Payload>,
  run: (payload: Payload, member: Member<Payload>) => Effect.Effect<A, E, R>
): Effect.Effect<Exit.Exit<A, E>, never, Exclude<R, JobContext>> =>
  Effect.gen(function*() {
    if (yield* member.isStopped) return Exit.interrupt()
    const own = member.within(Effect.suspend(() => run(member.payload, member)))
    const fiber = yield* Effect.forkChild(own, { startImmediately: true })
    member.context.watch(fiber)
    return yield* Fiber.await(fiber)
  })
