/**
 * The one way to the server: a script by its digest, its text where the server does not have it.
 *
 * A server loses scripts when it restarts, fails over or is flushed; the call that finds that out brings the text along.
 * Whatever gets no answer in time ends as `OutcomeUnknown`.
 */
import { JobError } from "capstan"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type { Redis, RedisError } from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import { isLost, isMissingScript, toStoreError } from "./errors.ts"
import { type Detour, Line } from "./line.ts"
import { makeReplicated } from "./replicated.ts"
import type { Scripts, Verb } from "./scripts.ts"

/** Seconds that a call may take, and up to one more. */
const patience = 10
/** Seconds without any answer after which the connection itself is in doubt. */
const silence = 1
const detail = `no reply within ${patience} seconds`

type On = "shared" | "own" | Detour

/** A call that is under way. */
interface Pending {
  readonly since: number
  /** The connection that it went out on. */
  readonly on: On
  readonly expire: () => void
}

/**
 * A key that never is there. A node of a cluster that has a part of a slot refuses what names it, before the script begins:
 * one that found some of its keys gone elsewhere would stop halfway.
 */
const noneOf = (key: string): string => `${key}:-`

/** What a store needs of a client: calls of scripts on the keys that begin with one. */
export type Calls = Pick<Client, "redis" | "key" | "send"> & {
  readonly call: <A>(
    operation: string,
    verb: Verb,
    args: ReadonlyArray<string>
  ) => Effect.Effect<A, JobError.JobStoreError>
  readonly replicated: <A>(verb: Verb, args: ReadonlyArray<string>) => Effect.Effect<A, JobError.JobStoreError>
}

export class Client {
  readonly redis: Redis["Service"]
  /** The key that all keys of the namespace begin with, in braces: its hash tag. */
  readonly key: string
  private readonly scripts: Scripts
  private readonly scope: Scope.Scope
  private readonly digests = new Map<Verb, string>()
  private readonly pending = new Set<Pending>()
  private readonly line: Line
  private seconds = 0
  /** Since when the shared connection owes an answer without having given one, also to those who wait no longer. */
  private owedSince: number | undefined
  private isWatching = false
  private onReplica: ReturnType<typeof makeReplicated> | undefined

  constructor(redis: Redis["Service"], key: string, scripts: Scripts, scope: Scope.Scope) {
    this.redis = redis
    this.scope = scope
    this.key = key
    this.scripts = scripts
    this.line = new Line(redis, scope)
  }

  readonly call = <A>(
    operation: string,
    verb: Verb,
    args: ReadonlyArray<string>,
    key: string = this.key
  ): Effect.Effect<A, JobError.JobStoreError> =>
    this.bounded(operation, Effect.suspend(() => this.run<A>(this.line.send, verb, args, key)))

  /** The same connection, for another partition of the store. */
  readonly at = (key: string): Calls => ({
    redis: this.redis,
    key,
    call: (operation, verb, args) => this.call(operation, verb, args, key),
    replicated: (verb, args) => this.replicated(verb, args, key),
    send: this.send
  })

  /** The same on a connection of its own, and a replica has it too. */
  readonly replicated = <A>(
    verb: Verb,
    args: ReadonlyArray<string>,
    key: string = this.key
  ): Effect.Effect<A, JobError.JobStoreError> => {
    const onReplica = this.onReplica ??= makeReplicated(this.redis, this.scope)
    return this.bounded("enqueue", onReplica((send) => this.run<A>(send, verb, args, key)), "own")
  }

  readonly send = <A>(
    operation: string,
    command: string,
    ...args: ReadonlyArray<string>
  ): Effect.Effect<A, JobError.JobStoreError> =>
    this.bounded(operation, Effect.suspend(() => this.line.send<A>(command, ...args)))

  private run<A>(
    send: Redis["Service"]["send"],
    verb: Verb,
    args: ReadonlyArray<string>,
    key: string
  ): Effect.Effect<A, RedisError> {
    const digest = this.digests.get(verb)
    if (digest === undefined) {
      return Effect.flatMap(send<string>("SCRIPT", "LOAD", this.scripts[verb]), (loaded) => {
        this.digests.set(verb, loaded)
        return this.run<A>(send, verb, args, key)
      })
    }
    return Effect.catchIf(
      send<A>("EVALSHA", digest, "2", key, noneOf(key), ...args),
      isMissingScript,
      () => send<A>("EVAL", this.scripts[verb], "2", key, noneOf(key), ...args)
    )
  }

  /**
   * Ends a call without an answer. One timer for all calls under way, not one for each: of a small call it was a fifth.
   */
  private bounded<A>(
    operation: string,
    call: Effect.Effect<A, RedisError | JobError.JobStoreError>,
    own?: "own"
  ): Effect.Effect<A, JobError.JobStoreError> {
    return Effect.withFiber((caller) =>
      Effect.callback<A, JobError.JobStoreError>((resume) => {
        const on = own ?? this.line.detour ?? "shared"
        const fiber = Effect.runForkWith(caller.context)(call)
        const end = () => {
          this.pending.delete(one)
          fiber.interruptUnsafe()
        }
        const one: Pending = {
          since: this.seconds,
          on,
          expire: () => {
            // First: the fiber's own end, by interruption, is no answer.
            resume(
              Effect.fail(new JobError.JobStoreError({ reason: new JobError.OutcomeUnknown({ operation, detail }) }))
            )
            end()
          }
        }
        this.pending.add(one)
        if (on === "shared") this.owedSince ??= this.seconds
        this.watch()
        fiber.addObserver((exit) => {
          this.pending.delete(one)
          this.hear(one, exit)
          resume(
            exit._tag === "Success"
              ? Effect.succeed(exit.value)
              : Effect.mapError(exit, (error) => error._tag === "RedisError" ? toStoreError(operation, error) : error)
          )
        })
        // On a detour its answer, or that none comes, tells of the connection still: of others it is known otherwise.
        return typeof on === "object" ? Effect.void : Effect.sync(end)
      })
    )
  }

  private hear({ on }: Pending, exit: Exit.Exit<unknown, RedisError | JobError.JobStoreError>): void {
    if (!isLost(exit)) {
      if (on === "shared") this.owedSince = this.pending.size > 0 ? this.seconds : undefined
      return
    }
    // A connection beside the shared one does not come back by itself.
    if (typeof on === "object") Effect.runFork(this.line.leave(on))
  }

  private readonly told = (speaks: boolean): void => {
    this.owedSince = undefined
    if (speaks) return
    for (const one of this.pending) if (one.on === "shared") one.expire()
  }

  private watch(): void {
    if (this.isWatching || this.scope.state._tag === "Closed") return
    this.isWatching = true
    Effect.runFork(Effect.forkIn(this.watching, this.scope))
  }

  /** Ends when there is nothing to watch for a second. */
  private readonly watching = Effect.gen({ self: this }, function*() {
    while (this.pending.size > 0 || this.owedSince !== undefined) {
      yield* Effect.sleep(1000)
      this.seconds++
      for (const one of this.pending) if (this.seconds - one.since > patience) one.expire()
      if (this.owedSince !== undefined && this.seconds - this.owedSince > silence) this.line.suspect(this.told)
    }
  }).pipe(Effect.ensuring(Effect.sync(() => this.isWatching = false)))
}
