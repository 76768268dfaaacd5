/**
 * Which connection commands go out on: the client's shared one, unless that has fallen silent.
 *
 * A connection that is half-open takes what it is sent and answers nothing, for the quarter of an hour that the system sends
 * it again or for ever; no client of Redis notices, and all commands wait behind each other on it. So where the shared one
 * owes answers and gives none, a connection of its own is asked: when that answers, the server is there, and commands go on
 * there until the shared one speaks again. A server that is busy, paused or away answers on neither.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { Redis } from "effect/persistence/Redis"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"

type Send = Redis["Service"]["send"]

/** The connection beside the shared one. */
export interface Detour {
  readonly send: Send
  readonly scope: Scope.Closeable
}

/** How long a connection may take to come up, and what still waits on one that is given up. */
const patience = "10 seconds"
/** How long one that is up may take to answer: one from a pool may be as silent as the other. */
const ping = "1 second"
/** The shared one may speak again at the same instant as the server does on the other. */
const grace = "250 millis"

export class Line {
  /** Sends on the connection that is in use. */
  send: Send
  /** The one beside the shared one, while that is in use. */
  detour: Detour | undefined
  private readonly redis: Redis["Service"]
  private readonly scope: Scope.Scope
  private isLooking = false

  constructor(redis: Redis["Service"], scope: Scope.Scope) {
    this.redis = redis
    this.scope = scope
    this.send = redis.send
  }

  /** The shared connection owes answers and is silent. Says whether it `speaks` all the same or commands go on elsewhere. */
  suspect(told: (speaks: boolean) => void): void {
    if (this.isLooking || this.detour !== undefined) return
    this.isLooking = true
    Effect.runFork(Effect.forkIn(
      // Where no connection is to be had the server is away: who is silent for longer looks again.
      Effect.ensuring(Effect.ignore(this.look(told)), Effect.sync(() => this.isLooking = false)),
      this.scope
    ))
  }

  /** Gives the connection beside the shared one up. What still waits on it has no answer. */
  readonly leave = (detour: Detour): Effect.Effect<void> =>
    Effect.andThen(Effect.sync(() => this.takeShared(detour)), Scope.close(detour.scope, Exit.void))

  private readonly look = (told: (speaks: boolean) => void) =>
    Effect.gen({ self: this }, function*() {
      // Also the first answer of the connection that a client puts in the place of a lost one.
      const speaks = yield* Effect.forkIn(
        Effect.retry(this.redis.send("PING"), Schedule.spaced("1 second")),
        this.scope
      )
      const detour = yield* Effect.onError(this.open, () => Fiber.interrupt(speaks))
      if (Option.isSome(yield* Effect.timeoutOption(Fiber.await(speaks), grace))) {
        told(true)
        return yield* Scope.close(detour.scope, Exit.void)
      }
      yield* Effect.logWarning("the connection is silent and the server is not: going on with another connection")
      this.detour = detour
      this.send = detour.send
      told(false)
      yield* Effect.forkIn(Effect.andThen(Fiber.await(speaks), this.comeBack(detour)), this.scope)
    })

  private readonly open = Effect.suspend(() =>
    Effect.flatMap(Scope.fork(this.scope), (scope) =>
      Scope.provide(this.redis.reserve, scope).pipe(
        Effect.timeout(patience),
        Effect.tap(({ send }) => Effect.timeout(send("PING"), ping)),
        Effect.map(({ send }): Detour => ({ send, scope })),
        Effect.onError(() => Scope.close(scope, Exit.void))
      ))
  ).pipe(Effect.retry({ times: 2 }))

  private readonly comeBack = (detour: Detour): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (this.detour !== detour) return Effect.void
      this.takeShared(detour)
      return Effect.andThen(Effect.sleep(patience), this.leave(detour))
    })

  private takeShared(detour: Detour): void {
    if (this.detour !== detour) return
    this.detour = undefined
    this.send = this.redis.send
  }
}
