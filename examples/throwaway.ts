/**
 * A throwaway Postgres for who runs an example from this repository and names no server: on loopback, gone when it ends.
 *
 * It stands beside the examples, not in one: a program of your own has a server already.
 */
import { Effect } from "effect"
import { startPostgres } from "../scripts/servers/index.ts"

/** The URL of a server that lives as long as the scope, and says so. */
export const throwawayPostgres = Effect.acquireRelease(
  Effect.tryPromise({
    try: () => startPostgres(),
    catch: (error) => error instanceof Error ? error : new Error(String(error))
  }),
  (server) => Effect.promise(() => server.stop())
)
