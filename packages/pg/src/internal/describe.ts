/** What the store says of itself and of the server that it lives on. */
import type { JobError, JobStore } from "capstan"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Client } from "./client.ts"
import { latest } from "./schema/migrations.ts"

interface Server {
  readonly version: string
  /** The version of PGlite, where the server is one. */
  readonly pglite: string | null
  readonly synchronous_commit: string
  readonly fsync: string
  readonly full_page_writes: string
  readonly standbys: string
  readonly recovery: boolean
  readonly oldest_transaction: number
  readonly now: number
}

const serverText = `
  SELECT current_setting('server_version') AS version, substring(version() FROM 'PGlite ([0-9.]+)') AS pglite,
    current_setting('synchronous_commit') AS synchronous_commit, current_setting('fsync') AS fsync,
    current_setting('full_page_writes') AS full_page_writes,
    current_setting('synchronous_standby_names') AS standbys, pg_is_in_recovery() AS recovery,
    coalesce((SELECT max(extract(epoch FROM clock_timestamp() - xact_start)) FROM pg_stat_activity
      WHERE xact_start IS NOT NULL AND pid <> pg_backend_pid()), 0)::float8 AS oldest_transaction,
    extract(epoch FROM clock_timestamp())::float8 * 1000 AS now`

interface Asked extends Server {
  /** Milliseconds that the server's clock is ahead of this process's. */
  readonly skew: number
}

const ask = (client: Pick<Client, "call">): Effect.Effect<Asked, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const asked = yield* Clock.currentTimeMillis
    const [server] = yield* client.call<Server>("describe", serverText, [])
    const answered = yield* Clock.currentTimeMillis
    return { ...server!, skew: Math.round(server!.now - (asked + answered) / 2) }
  })

export const describe = (
  client: Pick<Client, "call" | "isAlone">,
  settings: { readonly maxCrashes: number; readonly listen: boolean }
): Effect.Effect<JobStore.Description, JobError.JobStoreError> =>
  Effect.map(ask(client), (server) => {
    const missing = absent(client, server)
    return {
      kind: server.pglite === null
        ? `postgres ${server.version}`
        : `pglite ${server.pglite} (postgres ${server.version})`,
      durability: durability(server),
      schemaVersion: latest,
      capabilities: settings.listen ? ["transactional", "events", "schedules"] : ["transactional", "schedules"],
      maxCrashes: settings.maxCrashes,
      server: {
        role: server.recovery ? "standby" : "primary",
        clockSkew: server.skew,
        oldestTransaction: Math.round(server.oldest_transaction * 1000)
      },
      ...(missing.length === 0 ? {} : { absent: missing })
    }
  })

/** What takes a second session to keep. */
const absent = (client: Pick<Client, "isAlone">, server: Server): ReadonlyArray<string> => {
  const list: Array<string> = []
  if (server.pglite !== null || client.isAlone) {
    list.push("that no open transaction of a caller holds up claims and settlements (P2): there is one connection")
  }
  if (server.pglite !== null) {
    list.push("that other processes rescue what a dead worker held (P10): there are none, and the next start does it")
  }
  return list
}

/** What an acknowledged enqueue survives, by the settings of the server and this session. */
const durability = (server: Server): string => {
  if (server.pglite !== null) return "what PGlite's folder survives; in memory, nothing"
  if (server.recovery) return "read only: this server is a standby"
  if (server.fsync === "off") {
    return server.synchronous_commit === "off"
      ? "a crash of the process, not of the server or its machine: fsync and synchronous_commit are off"
      : "a crash of the process, not of the machine: fsync is off"
  }
  if (server.full_page_writes === "off") {
    return "a crash of the server; a torn page can lose more: full_page_writes is off"
  }
  switch (server.synchronous_commit) {
    case "off":
      return "a crash of the process; the last moments before a crash of the server can be lost: synchronous_commit is off"
    case "local":
      return "a crash of the server"
    default:
      return server.standbys === ""
        ? "a crash of the server"
        : `a crash of the server and the loss of its machine, by synchronous standbys (${server.standbys})`
  }
}

/** From here on a transaction keeps more from being cleaned up than it should, in seconds. */
const old = 60

/** A clock that differs by more misleads who compares instants, in milliseconds. */
const skewed = 1000

/** What an operator should know at start, one sentence each. */
export const warnings = (
  client: Pick<Client, "call" | "isAlone">,
  tooOld: number = old
): Effect.Effect<ReadonlyArray<string>, JobError.JobStoreError> =>
  Effect.map(Effect.all([ask(client), Clock.Clock]), ([server, clock]) => {
    const found: Array<string> = []
    if (server.pglite !== null) return found
    if (server.fsync === "off" || server.full_page_writes === "off" || server.synchronous_commit === "off") {
      found.push(`an acknowledged enqueue survives ${durability(server)}`)
    }
    if (server.recovery) found.push("this server is a standby: nothing can be enqueued or claimed on it")
    if (server.oldest_transaction > tooOld) {
      found.push(
        `a transaction has been open for ${Math.round(server.oldest_transaction)} s: ` +
          "what it may still see cannot be cleaned up"
      )
    }
    // A clock of a test's own tells no time of day.
    if (Math.abs(server.skew) > skewed && clock === Context.get(Context.empty(), Clock.Clock)) {
      found.push(
        `the server's clock is ${Math.abs(server.skew)} ms ${
          server.skew < 0 ? "behind" : "ahead of"
        } this machine's: ` +
          "it decides, so what is enqueued with runAt runs by it"
      )
    }
    return found
  })
