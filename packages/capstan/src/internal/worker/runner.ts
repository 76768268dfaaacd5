/**
 * Runs one attempt: decode, handler, encode; and turns its exit into the outcome that is settled.
 *
 * Guarantee: an attempt always ends in exactly one outcome, unless its lease is lost (nothing is settled then) or it
 * committed its own completion. A handler that succeeds before an interruption reaches it has succeeded.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import { JobContext } from "../../JobContext.ts"
import { JobStoreError } from "../../JobError.ts"
import type { Claimed, NewFailure, Outcome } from "../../JobStore.ts"
import type { Codec } from "../codec.ts"
import type { Definition, RunPolicy } from "../definition.ts"
import { endedHeader } from "../ended.ts"
import { followDeath } from "../follow.ts"
import { EndSignal, type Registered, SettledValue } from "../handler.ts"
import { inTime } from "../inTime.ts"
import { decode, issueWithout, maskedAt } from "../payload.ts"
import { endMark } from "../steps/names.ts"
import { undoSteps } from "../steps/undo.ts"
import { remoteSpan } from "../tracing.ts"
import type { Attempt } from "./attempt.ts"
import { runAlone, withReferences } from "./member.ts"
import { inProcessSpan } from "./processSpan.ts"
import { decide, type Failed } from "./retry.ts"

/** A job of the worker's group, with everything that its attempts need found beforehand. */
export interface RunnableJob {
  readonly tag: string
  readonly definition: Definition
  readonly policy: RunPolicy
  readonly handler: Registered
  readonly context: Context.Context<never>
  /** Those of its context: what its handler logs has them too. */
  readonly annotations: Readonly<Record<string, unknown>>
  readonly error: Codec
  readonly traced: boolean
  /** What its worker has warned of: each is so for every record. */
  readonly warned: Set<string>
}

/** A payload that does not decode: no attempt can help. */
export class UnreadablePayload {
  readonly _tag = "UnreadablePayload"
  readonly issue: string

  constructor(issue: string) {
    this.issue = issue
  }
}

/** What an attempt answers: the encoded result, or that it committed its own completion. */
export type Answer = string | undefined | SettledValue

/** The context that an attempt's fiber starts with: the record for its logs, itself, and a scope of its own. */
export const contextOf = (attempt: Attempt): Context.Context<never> => {
  const context = Context.add(attempt.runnable.context, References.CurrentLogAnnotations, {
    ...attempt.runnable.annotations,
    "capstan.job": attempt.claimed.tag,
    "capstan.id": attempt.claimed.id,
    "capstan.attempt": attempt.claimed.attempt
  })
  return Context.add(Context.add(context, JobContext, attempt), Scope.Scope, attempt.scope) as Context.Context<never>
}

export const body = (attempt: Attempt): Effect.Effect<Answer, unknown> => {
  const { definition, handler, traced } = attempt.runnable
  // Suspended: what a handler throws while it builds its effect is a defect of the attempt, not of the worker.
  const run = Effect.suspend((): Effect.Effect<Answer, unknown> => {
    const told = attempt.claimed.headers[endedHeader]
    if (told !== undefined) return followDeath(attempt, told)
    const payload = Effect.mapErrorEager(
      decode(definition, attempt.claimed),
      (error) => unreadable(definition, attempt.claimed, error)
    )
    const answer = Effect.flatMapEager(
      payload,
      (value) => handler.middleware.length === 0 ? handle(attempt, value) : wrapped(attempt, value)
    )
    return Effect.flatMapEager(answer, (value) => encodeAnswer(attempt, value))
  })
  const work = Effect.onExit(run, (exit) => {
    const closing = Scope.closeUnsafe(attempt.scope, exit)
    if (closing === undefined) return Effect.void
    if (Exit.isSuccess(exit)) attempt.answered = exit
    return closing
  })
  const restored = definition.propagate.length === 0 ? work : withReferences(attempt, work)
  return traced ? inSpan(attempt, restored) : restored
}

const wrapped = (attempt: Attempt, payload: unknown): Effect.Effect<unknown, unknown> => {
  const { handler } = attempt.runnable
  const options = { job: { _tag: attempt.job, queue: attempt.queue }, payload, context: attempt }
  return handler.middleware.reduceRight(
    (inner, middleware) => middleware(inner, options),
    Effect.suspend(() => handle(attempt, payload))
  )
}

/** A record that is to end, and has steps to undo, runs its handler for that alone. */
const handle = (attempt: Attempt, payload: unknown): Effect.Effect<unknown, unknown> => {
  return attempt.claimed.checkpoints[endMark] === undefined
    ? runHandler(attempt, payload)
    : undoSteps(attempt.steps, Effect.suspend(() => runHandler(attempt, payload)))
}

/** A handler knows its job's types, and a runner those of no job: what is handed over was decoded by that job's schema. */
const runHandler = (attempt: Attempt, payload: unknown): Effect.Effect<unknown, unknown> => {
  const { definition, handler } = attempt.runnable
  return definition.batch === undefined
    ? handler.run(payload as never)
    : runAlone(attempt, payload, handler.run as never)
}

export const encodeAnswer = (attempt: Attempt, value: unknown): Effect.Effect<Answer> => {
  const encoded = encodeResult(attempt, value)
  return attempt.mayHaveSteps ? Effect.tap(encoded, () => attempt.steps.reportUnasked) : encoded
}

const encodeResult = (attempt: Attempt, value: unknown): Effect.Effect<Answer> => {
  if (value instanceof SettledValue) {
    attempt.isCommitted = true
    return Effect.succeed(value)
  }
  const { success, tag } = attempt.runnable.definition
  return Effect.catchEager(
    success.encode(value),
    (error) => Effect.die(new Error(`the result of ${tag} does not satisfy its success schema: ${error.message}`))
  )
}

/** What it says is stored, shown and sent: nothing that its job masks is in it. */
export const unreadable = (
  definition: Definition,
  { payload, version }: Pick<Claimed, "payload" | "version">,
  error: unknown
): UnreadablePayload => new UnreadablePayload(clip(issueWithout(error, payload, maskedAt(definition, version))))

/** The attempt's span: a new trace that is linked to the enqueue, or its child when the declaration asks. */
const inSpan = <A, E>(attempt: Attempt, work: Effect.Effect<A, E>): Effect.Effect<A, E> => {
  const { claimed, runnable } = attempt
  const producer = remoteSpan(claimed.headers)
  const placed = producer === undefined
    ? { root: true }
    : runnable.policy.trace === "child"
    ? { parent: producer }
    : { root: true, links: [{ span: producer, attributes: {} }] }
  const attributes = { "messaging.message.id": claimed.id, "capstan.attempt": claimed.attempt }
  return inProcessSpan([attempt], { ...placed, attributes }, work)
}

// ------------------------------------------------------------------------------------------------------------- exits

/** What an attempt ends with, at once or by its job's policy; `undefined` when nothing is to be settled. */
export type Decided = Outcome | undefined | Effect.Effect<Outcome | undefined>

export const outcomeOf = (
  attempt: Attempt,
  exit: Exit.Exit<Answer, unknown>,
  elapsed: number
): Decided => {
  if (Exit.isSuccess(exit)) return completed(exit)
  const endedAt = attempt.storeTimeAfter(elapsed)
  try {
    return failed(attempt, exit.cause, endedAt)
  } catch {
    // What a program throws may throw again when it is looked at.
    return other(attempt, "Defect", "Unreadable", "what the handler ended with cannot be read", endedAt)
  }
}

export const completed = ({ value }: Exit.Success<Answer, unknown>): Outcome | undefined =>
  value instanceof SettledValue ? undefined : { _tag: "Complete", result: value }

const failed = (attempt: Attempt, cause: Cause.Cause<unknown>, endedAt: number): Decided => {
  const [first] = cause.reasons
  // Where the interruption comes first, what failed after it is a finalizer.
  if (first === undefined || Cause.isInterruptReason(first)) return interrupted(attempt, endedAt)
  if (attempt.stop?._tag === "Lost") return undefined
  const error = cause.reasons.find(Cause.isFailReason)?.error
  const defect = cause.reasons.find(Cause.isDieReason)?.defect
  if (defect instanceof EndSignal) {
    attempt.children = defect.children
    return defect.outcome
  }
  if (error instanceof UnreadablePayload) {
    return {
      _tag: "Dead",
      reason: "InvalidPayload",
      failure: { kind: "Defect", tag: "InvalidPayload", message: error.issue }
    }
  }
  if (error instanceof JobStoreError && error.reason._tag === "LeaseLost") return undefined
  if (error instanceof JobStoreError) {
    return storeFailed(error) ?? other(attempt, "Defect", error._tag, error.message, endedAt)
  }
  if (error !== undefined) return declared(attempt, error, endedAt)
  return other(attempt, "Defect", nameOf(defect), messageOf(defect), endedAt)
}

const interrupted = (attempt: Attempt, endedAt: number): Decided => {
  const { answered, stop } = attempt
  if (answered !== undefined) return completed(answered)
  switch (stop?._tag) {
    case "Lost":
      return undefined
    case "Cancel":
      return { _tag: "Cancel", reason: stop.reason }
    case "Shutdown":
      return { _tag: "Release" }
    case "TimedOut":
      return timedOut(attempt, endedAt)
    default:
      return other(attempt, "Defect", "Interrupted", "the handler interrupted itself", endedAt)
  }
}

/** The store was away: that is not the job's fault, and charges no attempt. */
const storeFailed = (error: JobStoreError): Outcome | undefined => {
  if (!error.isTransient) return undefined
  return {
    _tag: "RetryAfter",
    delay: 1000,
    uncharged: true,
    failure: { kind: "Defect", tag: error.reason._tag, message: error.message }
  }
}

export const timedOut = (attempt: Attempt, endedAt: number): Effect.Effect<Outcome> =>
  other(
    attempt,
    "TimedOut",
    "TimedOut",
    `it ran for longer than its timeout of ${attempt.runnable.policy.timeout} ms`,
    endedAt
  )

const other = (
  attempt: Attempt,
  kind: "Defect" | "TimedOut",
  tag: string,
  message: string,
  endedAt: number
): Effect.Effect<Outcome> =>
  conclude(attempt, { failure: { kind, tag, message: clip(message) }, error: undefined, endedAt })

/** An error that does not encode, or not in time, was not declared: the types rule it out, a cast may let it through. */
const declared = (attempt: Attempt, error: unknown, endedAt: number): Effect.Effect<Outcome> =>
  Effect.matchCauseEffect(inTime(attempt.runnable.error.encode(error), Effect.die("late")), {
    onFailure: () => other(attempt, "Defect", tagOf(error) ?? nameOf(error), messageOf(error), endedAt),
    onSuccess: (json) => {
      const failure: NewFailure = {
        kind: "Declared",
        tag: tagOf(error),
        message: clip(messageOf(error)),
        error: clipError(json ?? "null")
      }
      return conclude(attempt, { failure, error, endedAt })
    }
  })

const conclude = (attempt: Attempt, result: Failed): Effect.Effect<Outcome> => {
  // Whoever asked to cancel it does not want it retried.
  if (attempt.stop?._tag === "Cancel") return Effect.succeed({ _tag: "Cancel", reason: attempt.stop.reason })
  return decide(attempt.runnable, attempt.claimed, result)
}

/** Of a failed attempt whose policy failed, and the default policy too. */
export const undecided = (cause: Cause.Cause<unknown>): Outcome => ({
  _tag: "Dead",
  reason: "Defect",
  failure: { kind: "Defect", tag: "Undecided", message: clip(`its policy failed: ${messageOf(Cause.squash(cause))}`) }
})

/** Characters of a failure's message, and bytes of its encoded error. */
export const maxMessage = 1000
export const maxError = 4096

/** Not every store takes NUL and halves of characters. */
export const plain = (text: string): string => text.replaceAll("\0", "").toWellFormed()

const clip = (message: string): string =>
  plain(message.length > maxMessage ? `${message.slice(0, maxMessage)}…` : message)

/** In bytes of UTF-8. A longer one is cut and no longer decodes: the record keeps what can be read of it. */
const clipError = (json: string): string => {
  if (json.length * 3 <= maxError) return json
  let bytes = 0
  for (let i = 0; i < json.length; i++) {
    const point = json.codePointAt(i)!
    bytes += point < 0x80 ? 1 : point < 0x800 ? 2 : point < 0x10000 ? 3 : 4
    if (bytes > maxError) return json.slice(0, i)
    if (point >= 0x10000) i++
  }
  return json
}

const tagOf = (error: unknown): string | undefined => textAt(error, "_tag")

const nameOf = (defect: unknown): string =>
  (defect instanceof Error ? textAt(defect, "name") : tagOf(defect)) ?? typeof defect

const messageOf = (error: unknown): string => {
  if (typeof error === "string") return error
  return (error instanceof Error ? textAt(error, "message") : undefined) ?? tagOf(error) ?? nameOf(error)
}

/** A property that is a text and says something. Its getter is the program's own, and may throw. */
const textAt = (error: unknown, key: "_tag" | "name" | "message"): string | undefined => {
  if (typeof error !== "object" || error === null) return undefined
  try {
    const text = (error as Partial<Record<typeof key, unknown>>)[key]
    return typeof text === "string" && text !== "" ? plain(text) : undefined
  } catch {
    return undefined
  }
}

export const makeRunnable = (
  definition: Definition,
  policy: RunPolicy,
  handler: Registered,
  base: Context.Context<never>
): RunnableJob => {
  // Flat: what an attempt adds to it stays a link, instead of a copy of the whole.
  const merged = Context.merge(base, handler.context)
  const context: Context.Context<never> = Context.makeUnsafe(merged.mapUnsafe)
  return {
    tag: definition.tag,
    definition,
    policy,
    handler,
    context,
    annotations: Context.get(context, References.CurrentLogAnnotations),
    error: definition.error,
    traced: context.mapUnsafe.has(Tracer.TracerKey),
    warned: new Set()
  }
}
