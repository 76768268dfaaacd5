/**
 * A throwaway server for who runs an example from this repository and names no server: on loopback, gone when it ends.
 *
 * It stands beside the examples, not in one: a program of your own has a server already.
 */
import { Effect } from "effect"
import { durableRedis, type Server, startPostgres, startRedis } from "../scripts/servers/index.ts"

const throwaway = <A extends Server>(start: () => Promise<A>) =>
  Effect.acquireRelease(
    Effect.tryPromise({
      try: start,
      catch: (error) => error instanceof Error ? error : new Error(String(error))
    }),
    (server) => Effect.promise(() => server.stop())
  )

/** A server that lives as long as the scope. */
export const throwawayPostgres = throwaway(() => startPostgres())

/** The same; it keeps a log of its writes, as one that has jobs should. */
export const throwawayRedis = throwaway(() => startRedis({ settings: durableRedis() }))
