/**
 * The attempts of one batch: one run of the handler, and an end of each record's own.
 *
 * Guarantee: each record ends by its own exit, as if it had run alone. One that the handler leaves out has failed; one whose
 * payload does not decode never reaches the handler, and takes nothing from the others. When the handler itself fails, that is
 * how all end that it was given.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import * as Log from "../log.ts"
import { decode } from "../payload.ts"
import { remoteSpan } from "../tracing.ts"
import type { Attempt } from "./attempt.ts"
import { type Member, type MemberExits, memberOf, omitted } from "./member.ts"
import { inProcessSpan } from "./processSpan.ts"
import { type Answer, encodeAnswer, unreadable } from "./runner.ts"

export class Batch {
  readonly attempts: ReadonlyArray<Attempt>
  readonly scope = Scope.makeUnsafe()
  /** How many have not ended yet: with the last one its slot is free. */
  left: number
  private fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** When all of it was told to stop, by the monotonic clock. */
  stoppedAt = Infinity
  private readonly exits = new Map<Attempt, Exit.Exit<Answer, unknown>>()

  constructor(attempts: ReadonlyArray<Attempt>) {
    this.attempts = attempts
    this.left = attempts.length
    for (const attempt of attempts) attempt.batch = this
  }

  /** Tells how each record has ended, once the handler has. */
  start(ended: (attempt: Attempt, exit: Exit.Exit<Answer, unknown>) => void): void {
    const fiber = Effect.runForkWith(this.context)(this.body)
    this.fiber = fiber
    // As it started, nobody could.
    if (this.stoppedAt < Infinity) fiber.interruptUnsafe()
    fiber.addObserver((exit) => {
      for (const attempt of this.attempts) ended(attempt, this.exitOf(attempt, exit))
    })
  }

  /** Runs in the fiber of who asks, and answers how each record has ended. */
  get performed(): Effect.Effect<ReadonlyArray<Exit.Exit<Answer, unknown>>> {
    return Effect.map(
      Effect.exit(Effect.provideContext(this.body, this.context)),
      (exit) => this.attempts.map((attempt) => this.exitOf(attempt, exit))
    )
  }

  /** One of it was told to stop: its fiber is interrupted when nobody is left that wants what it does. */
  stopped(at: number): void {
    if (this.stoppedAt < Infinity || !this.attempts.every((attempt) => attempt.over || attempt.isStopped)) return
    this.stoppedAt = at
    this.fiber?.interruptUnsafe()
  }

  private exitOf(attempt: Attempt, exit: Exit.Exit<unknown, unknown>): Exit.Exit<Answer, unknown> {
    return this.exits.get(attempt) ?? (Exit.isFailure(exit) ? Exit.failCause(exit.cause) : omitted(attempt.job))
  }

  private get context(): Context.Context<never> {
    const { claimed, runnable } = this.attempts[0]!
    const context = Context.add(runnable.context, References.CurrentLogAnnotations, {
      ...runnable.annotations,
      "capstan.job": claimed.tag,
      "capstan.batch.size": this.attempts.length
    })
    return Context.add(context, Scope.Scope, this.scope) as Context.Context<never>
  }

  private get body(): Effect.Effect<void, unknown> {
    const work = Effect.onExit(Effect.suspend(() => this.run), (exit) => {
      const closing = Scope.closeUnsafe(this.scope, exit)
      if (closing === undefined) return Effect.void
      for (const [attempt, own] of this.exits) if (Exit.isSuccess(own)) attempt.answered = own
      return closing
    })
    return this.attempts[0]!.runnable.traced ? inSpan(this.attempts, work) : work
  }

  private get run(): Effect.Effect<void, unknown> {
    const { attempts, exits } = this
    const { definition, handler } = attempts[0]!.runnable
    return Effect.gen(function*() {
      const members = new Map<Member, Attempt>()
      for (const attempt of attempts) {
        const payload = yield* Effect.exit(decode(definition, attempt.claimed))
        if (Exit.isSuccess(payload)) members.set(memberOf(attempt, payload.value), attempt)
        else exits.set(attempt, Exit.fail(unreadable(definition, attempt.claimed, Cause.squash(payload.cause))))
      }
      if (members.size === 0) return
      // Its types are those of its job alone: the members' payloads were decoded by that job's schema.
      const answers = (yield* handler.run([...members.keys()] as never)) as MemberExits
      for (const [member, exit] of answers) {
        const attempt = members.get(member)
        if (attempt === undefined) {
          yield* Log.error(`the handler of ${definition.tag} answered for a record that is not of its batch`)
        } else {
          exits.set(attempt, yield* Effect.exit(Effect.flatMap(exit, (value) => encodeAnswer(attempt, value))))
        }
      }
    })
  }
}

/** One span for the batch, linked to the enqueue of each record: it has no parent of its own. */
const inSpan = <A, E>(attempts: ReadonlyArray<Attempt>, work: Effect.Effect<A, E>): Effect.Effect<A, E> => {
  const links = attempts.flatMap(({ claimed }) => {
    const producer = remoteSpan(claimed.headers)
    return producer === undefined ? [] : [{ span: producer, attributes: { "messaging.message.id": claimed.id } }]
  })
  const attributes = { "messaging.batch.message_count": attempts.length }
  return inProcessSpan(attempts, { root: true, links, attributes }, work)
}
