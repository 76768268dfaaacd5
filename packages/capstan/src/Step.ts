/**
 * Steps: named parts of a handler whose results are kept, so that a record that runs again goes on where it was.
 *
 * A handler with steps is run from the top in every attempt. A step that is done answers what was kept, and its effect does
 * not run again; what stands between steps does. So names are what must stay the same from attempt to attempt and from
 * release to release, not the code. Delivery of what is not done yet is at least once, as everywhere: an effect that has
 * happened before its result was kept happens again, unless it commits with it (`Step.commit`).
 *
 * @since 0.1.0
 */
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { dual } from "effect/Function"
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Stream from "effect/Stream"
import * as Each from "./internal/steps/each.ts"
import * as Invoke from "./internal/steps/invoke.ts"
import * as Run from "./internal/steps/run.ts"
import * as Timer from "./internal/steps/timer.ts"
import { type Any, TypeId } from "./Job.ts"
import { JobContext } from "./JobContext.ts"
import { type EnqueueError, type InvokeTimedOut, type JobStoreError, NoSuchStep, StepError } from "./JobError.ts"
import type { Ended } from "./JobHandle.ts"
import type { EnqueueOptions, PreviousVersion } from "./JobOptions.ts"
import type { Transactional } from "./Transactional.ts"

/**
 * Options of a step with a result.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<Success extends Schema.Top> {
  /**
   * How the result is kept. Make it outside of the handler: it is compiled once.
   *
   * @default Schema.Void
   */
  readonly success?: Success | undefined
  /**
   * The version of `success`. Raise it with every change that older results do not satisfy.
   *
   * @default 1
   */
  readonly version?: number | undefined
  /**
   * The older versions, rising (`Job.version`); each lifts to the next, the last one to this.
   *
   * @default none
   */
  readonly upcast?:
    | readonly [...ReadonlyArray<PreviousVersion<unknown>>, PreviousVersion<NoInfer<Success>["Type"]>]
    | undefined
}

type SchemaServices<S extends Schema.Top> = S["EncodingServices"] | S["DecodingServices"]

/**
 * Runs an effect once for the record, and keeps its result.
 *
 * **Details**
 *
 * The name is a letter and up to 127 letters, digits and `. _ - / :`, another one for each step of an attempt. A failure is
 * not kept: it is the handler's, and the job's `retry` decides. The result is in the store when the step returns; a stale
 * attempt fails with `LeaseLost`. At most 1 MiB is kept.
 *
 * **Gotchas**
 *
 * A step inside of a step is kept by itself, and the outer one begins anew until it is done. What waits (`sleep`, `until`,
 * `invoke`, a waitpoint) may not stand in one, nor may a step with a compensation.
 *
 * **Example**
 *
 * ```ts
 * const receipt = yield* Step.run("charge", { success: Receipt }, charge(order))
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const run: {
  <Success extends Schema.Top, E, R>(
    name: string,
    options: Options<Success> & {
      /** How the result is kept: its schema, made outside of the handler. */
      readonly success: Success
    },
    effect: Effect.Effect<Success["Type"], E, R>
  ): Effect.Effect<Success["Type"], E | JobStoreError, R | JobContext | SchemaServices<Success>>
  <E, R>(
    name: string,
    effect: Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, E | JobStoreError, R | JobContext>
} = (name: string, ...rest: Rest): Effect.Effect<never> => untyped(Run.run, name, rest)

/**
 * Runs an effect once for the record, in one transaction with what keeps its result: business rows and child records are
 * there exactly when the step is done. Only stores that share the caller's database provide `Transactional`.
 *
 * **Gotchas**
 *
 * It opens a transaction of its own: call it outside of `withTransaction`.
 *
 * @category steps
 * @since 0.1.0
 */
export const commit: {
  <Success extends Schema.Top, E, R>(
    name: string,
    options: Options<Success> & {
      /** How the result is kept: its schema, made outside of the handler. */
      readonly success: Success
    },
    effect: Effect.Effect<Success["Type"], E, R>
  ): Effect.Effect<Success["Type"], E | JobStoreError, R | Transactional | JobContext | SchemaServices<Success>>
  <E, R>(
    name: string,
    effect: Effect.Effect<unknown, E, R>
  ): Effect.Effect<void, E | JobStoreError, R | Transactional | JobContext>
} = (name: string, ...rest: Rest): Effect.Effect<never> => untyped(Run.commit, name, rest)

type Untyped = Effect.Effect<unknown, unknown, unknown>
type Rest = readonly [effect: Untyped] | readonly [options: Run.Options, effect: Untyped]

/** Without options it has no result. What the signatures promise is checked where they are used. */
const untyped = (make: typeof Run.commit, name: string, rest: Rest): Effect.Effect<never> =>
  (rest.length === 1 ? make(name, {}, Effect.asVoid(rest[0])) : make(name, ...rest)) as unknown as Effect.Effect<never>

/**
 * Pauses the record for a duration. It ends the attempt: neither a worker nor a slot is held, for seconds or for months, and
 * no attempt is charged.
 *
 * **Details**
 *
 * The first attempt that comes here fixes the instant, by the store's clock. Steps that run beside it (`Effect.all`) end
 * first; what else runs beside it is interrupted.
 *
 * **Gotchas**
 *
 * `retryFor` of the job goes on counting.
 *
 * @category steps
 * @since 0.1.0
 */
export const sleep = (name: string, duration: Duration.Input): Effect.Effect<void, JobStoreError, JobContext> =>
  Timer.waitUntil(name, (steps) =>
    Effect.suspend(() => {
      const millis = Duration.toMillis(Duration.fromInputUnsafe(duration))
      return millis >= 0 && millis < Infinity
        ? Effect.succeed(steps.record.storeNow + millis)
        : Effect.die(new Error(`step ${name}: must be a finite duration from 0, it is ${millis} ms`))
    }))

/**
 * Pauses the record until an instant, as `sleep` does. One that has passed is no pause. The first attempt that comes here
 * fixes it.
 *
 * @category steps
 * @since 0.1.0
 */
export const until = (name: string, instant: DateTime.DateTime.Input): Effect.Effect<void, JobStoreError, JobContext> =>
  Timer.waitUntil(name, () =>
    Effect.suspend(() => {
      const parsed = DateTime.make(instant)
      return parsed._tag === "Some"
        ? Effect.succeed(DateTime.toEpochMillis(parsed.value))
        : Effect.die(new Error(`step ${name}: is no valid instant: ${String(instant)}`))
    }))

/**
 * What `each` goes through.
 *
 * @category options
 * @since 0.1.0
 */
export interface EachOptions<A, Cursor extends Schema.Top, E, R, E2, R2> {
  /** How the place of an item is kept. */
  readonly cursor: Cursor
  /** The items after the one with this cursor, in the same order each time; all of them for `None`. */
  readonly items: (after: Option.Option<Cursor["Type"]>) => Stream.Stream<A, E, R>
  /** The place of an item. */
  readonly cursorOf: (item: A) => Cursor["Type"]
  /** What is done with each, one after the other. */
  readonly run: (item: A) => Effect.Effect<unknown, E2, R2>
  /**
   * After how many items the place is kept. It is kept at a failure and at an interruption too, so only a worker that dies
   * repeats items: at most as many.
   *
   * @default 100
   */
  readonly every?: number | undefined
}

/**
 * Goes through many items, and on after the last one that is kept when the record runs again. Answers how many there were.
 *
 * One checkpoint is kept, however many items there are. What is done with an item is inside of this step: nothing of it may wait, or have
 * a compensation of its own.
 *
 * @category steps
 * @since 0.1.0
 */
export const each = <A, Cursor extends Schema.Top, E, R, E2, R2>(
  name: string,
  options: EachOptions<A, Cursor, E, R, E2, R2>
): Effect.Effect<number, E | E2 | JobStoreError, R | R2 | JobContext | SchemaServices<Cursor>> =>
  // What the generic signature has checked is read there without its types.
  Each.each(name, options as unknown as Each.Options) as Effect.Effect<
    number,
    E | E2 | JobStoreError,
    R | R2 | JobContext
  >

/**
 * Options of an invoked job.
 *
 * @category options
 * @since 0.1.0
 */
export interface InvokeOptions extends Omit<EnqueueOptions, "idempotencyKey" | "unique"> {
  /**
   * How long it is waited for, from when the record first comes to the step.
   *
   * @default no limit
   */
  readonly timeout?: Duration.Input | undefined
}

type InvokeError<J extends Any> = J["errorSchema"]["Type"] | Ended | EnqueueError | JobStoreError
type InvokeServices<J extends Any> =
  | JobContext
  | J["payloadSchema"]["EncodingServices"]
  | J["successSchema"]["DecodingServices"]
  | J["errorSchema"]["DecodingServices"]

/**
 * Lets another job run, and waits for its typed result without holding a slot.
 *
 * **Details**
 *
 * The record becomes a child of this one. How it ended is kept, a failure too: a handler that goes on after it finds the same
 * in every attempt. Several of them side by side (`Effect.all`) are stored together.
 *
 * With `timeout` it waits no longer than so long from when the record first came here, and fails with `InvokeTimedOut`. That stays, too.
 *
 * **Gotchas**
 *
 * An invoked record takes no unique key. To cancel this record does not cancel it, nor does a time-out: it goes on, and how it ends is
 * nobody's.
 *
 * **Example**
 *
 * ```ts
 * const receipt = yield* Step.invoke("charge", Charge, { orderId }, { timeout: "1 hour" }).pipe(
 *   Effect.catchTag("InvokeTimedOut", () => new Unpaid())
 * )
 * ```
 *
 * @category steps
 * @since 0.1.0
 */
export const invoke: {
  <J extends Any>(
    name: string,
    job: J,
    payload: J["payloadSchema"]["~type.make.in"],
    options: InvokeOptions & {
      /** How long it is waited for, from when the record first comes to the step; then `InvokeTimedOut`. */
      readonly timeout: Duration.Input
    }
  ): Effect.Effect<J["successSchema"]["Type"], InvokeError<J> | InvokeTimedOut, InvokeServices<J>>
  <J extends Any>(
    name: string,
    job: J,
    payload: J["payloadSchema"]["~type.make.in"],
    options?: InvokeOptions & {
      /**
       * Without one it never fails with `InvokeTimedOut`.
       *
       * @default no limit
       */
      readonly timeout?: undefined
    }
  ): Effect.Effect<J["successSchema"]["Type"], InvokeError<J>, InvokeServices<J>>
} = (
  name: string,
  job: Any,
  payload: unknown,
  options?: InvokeOptions
): Effect.Effect<never, never, JobContext> =>
  // What the signatures promise is checked where they are used.
  Invoke.invoke(name, job[TypeId], payload, options ?? {}) as Effect.Effect<never, never, JobContext>

/**
 * Says how to undo a step. When the record ends dead or cancelled, the steps that are done are undone, the last one first.
 *
 * **Details**
 *
 * The handler is run once more for it, over what is kept, and stops where nothing more is done. Each undoing is kept, is tried
 * again when it fails (25 times, up to five minutes apart) and goes on after a crash where it was; it may use steps of its
 * own. Only then the record is dead or cancelled, as it was to be. Somebody who retries it by hand begins it anew.
 *
 * **Gotchas**
 *
 * It is put on one step, which may not stand inside another one: `CompensationInStep`. An undoing may happen again, as everything: make it idempotent.
 *
 * A step that failed before this one, and that the handler went on after, fails again in that run and does not run. The error has its
 * tag, message and fields, and is no instance of its class: let the tag decide what follows.
 *
 * **Example**
 *
 * ```ts
 * yield* Step.run("charge", { success: Receipt }, charge(order)).pipe(
 *   Step.withCompensation((receipt) => refund(receipt))
 * )
 * ```
 *
 * @category compensation
 * @since 0.1.0
 */
export const withCompensation: {
  <A, E2, R2>(
    undo: (value: A) => Effect.Effect<unknown, E2, R2>
  ): <E, R>(step: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R | R2 | JobContext>
  <A, E, R, E2, R2>(
    step: Effect.Effect<A, E, R>,
    undo: (value: A) => Effect.Effect<unknown, E2, R2>
  ): Effect.Effect<A, E, R | R2 | JobContext>
} = dual(2, <A, E, R, E2, R2>(
  step: Effect.Effect<A, E, R>,
  undo: (value: A) => Effect.Effect<unknown, E2, R2>
): Effect.Effect<A, E, R | R2 | JobContext> =>
  Effect.gen(function*() {
    const { steps } = yield* JobContext
    const undoing: { name: string | undefined } = { name: undefined }
    const value = yield* Effect.provideService(step, Run.Undoing, undoing)
    if (undoing.name === undefined) {
      return yield* Effect.die(new StepError({ reason: new NoSuchStep({ job: steps.record.job }) }))
    }
    const context = yield* Effect.context<R2>()
    steps.canUndo(undoing.name, Effect.provideContext(Effect.suspend(() => undo(value)), context))
    return value
  }))
