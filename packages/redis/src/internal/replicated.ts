/**
 * Enqueues that wait for a replica: `WAIT` counts what this connection has written, so one connection is kept for them.
 *
 * An enqueue that no replica has acknowledged in time is stored on the server all the same; its outcome is unknown, for a
 * failover may lose it. So is that of one whose `WAIT` fails, as it does where the server has become a replica meanwhile.
 */
import { JobError } from "capstan"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Connection, Redis, RedisError } from "effect/persistence/Redis"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import { detailOf } from "./errors.ts"

/** Milliseconds that a replica may take. */
const patience = 2000

const detail = `it is stored, and no replica has acknowledged it within ${patience} ms: a failover may lose it`

/** Asked again it would wait as long again: its reply was not lost. */
export const isUnheard = ({ reason }: JobError.JobStoreError): boolean =>
  reason._tag === "OutcomeUnknown" && reason.detail === detail

const unknown = (detail: string): JobError.JobStoreError =>
  new JobError.JobStoreError({ reason: new JobError.OutcomeUnknown({ operation: "enqueue", detail }) })

interface Session {
  readonly connection: Connection
  readonly scope: Scope.Closeable
}

export const makeReplicated = (redis: Redis["Service"], parent: Scope.Scope) => {
  let session: Session | undefined
  const one = Semaphore.makeUnsafe(1)

  const open = Effect.gen(function*() {
    if (session !== undefined) return session
    const scope = yield* Scope.fork(parent)
    const connection = yield* Effect.onError(Scope.provide(redis.reserve, scope), () => Scope.close(scope, Exit.void))
    return session = { connection, scope }
  })

  const drop = Effect.suspend(() => {
    const last = session
    session = undefined
    return last === undefined ? Effect.void : Scope.close(last.scope, Exit.void)
  })

  /** Sends what one connection writes, then waits for a replica. */
  return <A>(
    run: (send: Redis["Service"]["send"]) => Effect.Effect<A, RedisError>
  ): Effect.Effect<A, RedisError | JobError.JobStoreError> =>
    one.withPermits(1)(Effect.flatMap(open, ({ connection }) =>
      Effect.gen(function*() {
        const answer = yield* run(connection.send)
        const copies = yield* Effect.mapError(
          connection.send<number>("WAIT", "1", String(patience)),
          (error) => unknown(`it was stored, and then: ${detailOf(error)}`)
        )
        return Number(copies) > 0 ? answer : yield* unknown(detail)
      }).pipe(Effect.onError(() => drop))))
}
