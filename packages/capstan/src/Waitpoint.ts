/**
 * A point at which a record waits for something outside: a person's decision, a webhook, a payment.
 *
 * It is completed from anywhere, by the record's id, by a signed token or by an event (`completeOn` of a job), at most once: the
 * first completion wins and is kept, also when it comes before the record waits. While it waits, a record holds neither a
 * worker nor a slot.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { issueOf } from "./internal/codec.ts"
import { name as checkName } from "./internal/definition.ts"
import * as Checkpoint from "./internal/steps/checkpoint.ts"
import type { Steps } from "./internal/steps/steps.ts"
import { timedOut } from "./internal/steps/telemetry.ts"
import { deadline } from "./internal/steps/timer.ts"
import * as Token from "./internal/steps/token.ts"
import { JobContext } from "./JobContext.ts"
import { InvalidToken, type JobStoreError, StepError, UnreadableStep, WaitpointTimedOut } from "./JobError.ts"
import type { JobId } from "./JobRecord.ts"
import { JobStore } from "./JobStore.ts"

/**
 * How a completion found the record: waiting for it, so that it goes on (`Completed`); not there yet, so that it finds it
 * (`Kept`); completed before, or timed out (`TooLate`); or not at all: it has ended, or never was (`NotFound`).
 *
 * @category models
 * @since 0.1.0
 */
export type Completion = "Completed" | "Kept" | "TooLate" | "NotFound"

/**
 * What signs and checks the tokens of waitpoints: at least 32 characters of randomness, the same in every process.
 *
 * @category models
 * @since 0.1.0
 */
export type Secret = Redacted.Redacted<string>

/**
 * A declared waitpoint. Extend it as a class, so that editors show its name:
 *
 * ```ts
 * class Approval extends Waitpoint.make("Approval", { success: Schema.Struct({ by: Schema.String }) }) {}
 * ```
 *
 * @category models
 * @since 0.1.0
 */
export interface Waitpoint<in out Name extends string, out Success extends Schema.Top> {
  new(_: never): {}
  readonly waitpoint: Name
  readonly successSchema: Success

  /**
   * In a handler: what it is completed with. It ends the attempt until then; nothing is held, and no attempt is charged. It
   * counts as a step with this name.
   */
  readonly await: Effect.Effect<Success["Type"], JobStoreError, JobContext | Success["DecodingServices"]>

  /**
   * The same, for no longer than this from when the record first came here. Once it has timed out it stays so, whoever
   * completes it later.
   */
  awaitFor(
    duration: Duration.Input
  ): Effect.Effect<Success["Type"], WaitpointTimedOut | JobStoreError, JobContext | Success["DecodingServices"]>

  /** Completes the waitpoint of a record. On Postgres it joins the caller's transaction. */
  complete(
    id: string,
    value: Success["Type"]
  ): Effect.Effect<Completion, JobStoreError | Schema.SchemaError, JobStore | Success["EncodingServices"]>

  /** In a handler: a token that completes the waitpoint of this record, for a link that somebody is sent. */
  token(options: {
    readonly secret: Secret
    /** By this program's clock; finite. */
    readonly expiresIn: Duration.Input
  }): Effect.Effect<string, never, JobContext>

  /** A token for the waitpoint of any record. */
  sign(id: string, options: { readonly secret: Secret; readonly expiresIn: Duration.Input }): Effect.Effect<string>

  /** The id of the record that a token is for. The signature is compared in constant time. */
  verify(token: string, options: { readonly secret: Secret }): Effect.Effect<JobId, InvalidToken>

  /**
   * Completes the waitpoint that a token is for. A token works once, as the waitpoint does: the next one who brings it, or
   * another token for the same waitpoint, is told `TooLate`.
   */
  completeByToken(
    token: string,
    value: Success["Type"],
    options: { readonly secret: Secret }
  ): Effect.Effect<
    Completion,
    InvalidToken | JobStoreError | Schema.SchemaError,
    JobStore | Success["EncodingServices"]
  >
}

/**
 * Declares a waitpoint.
 *
 * **Details**
 *
 * The name is what it is found by in the store, one among the names of the steps of a handler. It is in every token, so a
 * token for one waitpoint completes no other.
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const Name extends string, Success extends Schema.Top = Schema.Void>(
  name: Name,
  options?: {
    /**
     * The schema of what completes it.
     *
     * @default Schema.Void
     */
    readonly success?: Success | undefined
  }
): Waitpoint<Name, Success> => {
  checkName("waitpoint", "name", name)
  const success: Schema.Top = options?.success ?? Schema.Void
  const one = new One(name, success)
  const statics = {
    waitpoint: name,
    successSchema: success,
    await: one.wait(undefined),
    awaitFor: (duration: Duration.Input) => one.wait(duration),
    complete: one.complete,
    token: one.token,
    sign: one.sign,
    verify: one.verify,
    completeByToken: one.completeByToken
  }
  // What the generic signature promises is checked where it is used.
  return Object.assign(function() {}, statics) as unknown as Waitpoint<Name, Success>
}

interface Signing {
  readonly secret: Secret
  readonly expiresIn: Duration.Input
}

/** A waitpoint without its types. */
class One {
  private readonly name: string
  private readonly success: Schema.Top

  constructor(name: string, success: Schema.Top) {
    this.name = name
    this.success = success
  }

  wait(duration: Duration.Input | undefined): Effect.Effect<unknown, WaitpointTimedOut | JobStoreError, JobContext> {
    const { name } = this
    return Effect.gen({ self: this }, function*() {
      const { steps } = yield* JobContext
      const found = yield* steps.ask(name, "signal", "timeout")
      if (found !== undefined) return yield* this.read(steps, found)
      yield* steps.stopHere
      const until = duration === undefined ? undefined : yield* deadline(steps, name, duration)
      if (until !== undefined && steps.record.storeNow >= until) return yield* this.giveUp(steps)
      return yield* steps.wait(name, { _tag: "Signal", waitpoint: name, until })
    })
  }

  /** Who completes it in this moment may be first: what is kept decides. */
  private giveUp(steps: Steps): Effect.Effect<unknown, WaitpointTimedOut | JobStoreError> {
    return Effect.gen({ self: this }, function*() {
      yield* steps.keep(this.name, { kind: "timeout" })
      yield* steps.readAll
      const kept = yield* steps.find(this.name)
      if (kept?.kind === "timeout") yield* timedOut(steps.record, "waitpoint")
      return yield* this.read(steps, kept!)
    })
  }

  private read(
    { record: { id, job } }: Steps,
    found: Checkpoint.Checkpoint
  ): Effect.Effect<unknown, WaitpointTimedOut> {
    const { name } = this
    if (found.kind === "timeout") return Effect.fail(new WaitpointTimedOut({ id, waitpoint: name }))
    return Effect.catch(
      Checkpoint.codecOf(this.success).decode(found.value),
      (error) =>
        Effect.die(
          new StepError({
            reason: new UnreadableStep({ job, step: name, version: found.version, issue: issueOf(error) })
          })
        )
    )
  }

  readonly complete = (
    id: string,
    value: unknown
  ): Effect.Effect<Completion, JobStoreError | Schema.SchemaError, JobStore> =>
    Effect.gen({ self: this }, function*() {
      const text = yield* Checkpoint.signalOf(this.success, value)
      const store = yield* JobStore
      return answers[yield* store.signal({ id: id as JobId, waitpoint: this.name, value: text })]
    })

  readonly token = (options: Signing): Effect.Effect<string, never, JobContext> =>
    Effect.flatMap(JobContext, ({ id }) => this.sign(id, options))

  readonly sign = (id: string, { expiresIn, secret }: Signing): Effect.Effect<string> =>
    Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const millis = Duration.toMillis(Duration.fromInputUnsafe(expiresIn))
      // A token has no number for "never": it would be malformed.
      if (!(millis >= 0 && millis < Infinity)) {
        return Effect.die(
          new Error(`waitpoint ${this.name}: expiresIn must be a finite duration from 0, it is ${millis} ms`)
        )
      }
      const expiresAt = Math.ceil(now + millis)
      return Token.sign(Redacted.value(secret), { id, waitpoint: this.name, expiresAt })
    })

  readonly verify = (token: string, { secret }: Pick<Signing, "secret">): Effect.Effect<JobId, InvalidToken> =>
    Effect.gen({ self: this }, function*() {
      const { name: waitpoint } = this
      const invalid = (reason: InvalidToken["reason"]) => new InvalidToken({ waitpoint, reason })
      const claim = yield* Token.verify(Redacted.value(secret), token)
      if (typeof claim === "string") return yield* invalid(claim)
      if (claim.waitpoint !== waitpoint) return yield* invalid("OtherWaitpoint")
      if ((yield* Clock.currentTimeMillis) >= claim.expiresAt) return yield* invalid("Expired")
      return claim.id as JobId
    })

  readonly completeByToken = (token: string, value: unknown, options: Pick<Signing, "secret">) =>
    Effect.flatMap(this.verify(token, options), (id) => this.complete(id, value))
}

const answers = { Delivered: "Completed", Early: "Kept", Existing: "TooLate", NotFound: "NotFound" } as const
