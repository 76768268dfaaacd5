/**
 * The one way to the server: a script by its digest, its text where the server does not have it.
 *
 * A server loses scripts when it restarts, fails over or is flushed; the call that finds that out brings the text along.
 * Whatever gets no answer in time ends as `OutcomeUnknown`.
 */
import { JobError } from "capstan"
import * as Effect from "effect/Effect"
import type { Redis, RedisError } from "effect/persistence/Redis"
import { isMissingScript, toStoreError } from "./errors.ts"
import type { Scripts, Verb } from "./scripts.ts"

/** Milliseconds that a call may take. */
const patience = 10_000

export class Client {
  readonly redis: Redis["Service"]
  /** The key that all keys of the namespace begin with, in braces: its hash tag. */
  readonly key: string
  private readonly scripts: Scripts
  private readonly digests = new Map<Verb, string>()

  constructor(redis: Redis["Service"], key: string, scripts: Scripts) {
    this.redis = redis
    this.key = key
    this.scripts = scripts
  }

  readonly call = <A>(
    operation: string,
    verb: Verb,
    args: ReadonlyArray<string>
  ): Effect.Effect<A, JobError.JobStoreError> => this.bounded(operation, this.run<A>(verb, args))

  readonly send = <A>(
    operation: string,
    command: string,
    ...args: ReadonlyArray<string>
  ): Effect.Effect<A, JobError.JobStoreError> => this.bounded(operation, this.redis.send<A>(command, ...args))

  private run<A>(verb: Verb, args: ReadonlyArray<string>): Effect.Effect<A, RedisError> {
    const digest = this.digests.get(verb)
    if (digest === undefined) {
      return Effect.flatMap(this.redis.send<string>("SCRIPT", "LOAD", this.scripts[verb]), (loaded) => {
        this.digests.set(verb, loaded)
        return this.run<A>(verb, args)
      })
    }
    return Effect.catchIf(
      this.redis.send<A>("EVALSHA", digest, "1", this.key, ...args),
      isMissingScript,
      () => this.redis.send<A>("EVAL", this.scripts[verb], "1", this.key, ...args)
    )
  }

  private bounded<A>(
    operation: string,
    call: Effect.Effect<A, RedisError>
  ): Effect.Effect<A, JobError.JobStoreError> {
    return call.pipe(
      Effect.mapError((error) => toStoreError(operation, error)),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () =>
          Effect.fail(
            new JobError.JobStoreError({
              reason: new JobError.OutcomeUnknown({ operation, detail: `no reply within ${patience} ms` })
            })
          )
      })
    )
  }
}
