/** What the store says of itself and of the server that it lives on. */
import type { JobError, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Calls } from "./client.ts"
import { layout } from "./scripts.ts"

export type Durability = "server" | "replicated"

export interface Server {
  readonly name: string
  readonly version: string
  /** `undefined` where the server does not tell. */
  readonly eviction: string | undefined
  readonly isAppendOnly: boolean
  readonly appendfsync: string | undefined
  readonly replicas: number
  readonly isReplica: boolean
  readonly isCluster: boolean
  readonly hasSnapshots: boolean | undefined
}

const isList = (reply: object): reply is ReadonlyArray<string> => Array.isArray(reply)

/** Settings that `CONFIG GET` answers; managed servers may refuse it, and then nothing is known of them. */
const settingsOf = (client: Calls): Effect.Effect<ReadonlyMap<string, string>> =>
  Effect.map(
    Effect.catchCause(
      client.send<ReadonlyArray<string> | Readonly<Record<string, string>>>(
        "describe",
        "CONFIG",
        "GET",
        "maxmemory-policy",
        "appendfsync",
        "save"
      ),
      () => Effect.succeed([])
    ),
    (reply) => {
      // The client may know the command's reply as an object.
      if (!isList(reply)) return new Map(Object.entries(reply))
      const found = new Map<string, string>()
      for (let i = 0; i < reply.length; i += 2) found.set(reply[i]!, reply[i + 1]!)
      return found
    }
  )

export const server = (client: Calls): Effect.Effect<Server, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const info = yield* client.send<string>("describe", "INFO")
    const settings = yield* settingsOf(client)
    const of = (name: string): string | undefined => new RegExp(`^${name}:([^\r\n]*)`, "m").exec(info)?.[1]
    const save = settings.get("save")
    return {
      name: of("valkey_version") === undefined ? "redis" : "valkey",
      version: of("valkey_version") ?? of("redis_version") ?? "",
      eviction: settings.get("maxmemory-policy") ?? of("maxmemory_policy"),
      isAppendOnly: of("aof_enabled") === "1",
      appendfsync: settings.get("appendfsync"),
      replicas: Number(of("connected_slaves") ?? 0),
      isReplica: of("role") === "slave",
      isCluster: of("cluster_enabled") === "1",
      hasSnapshots: save === undefined ? undefined : save !== ""
    }
  })

const evicts = ({ eviction }: Server): boolean => eviction !== undefined && eviction !== "noeviction"

/** What an acknowledged enqueue survives, by the settings of the server. */
export const durability = (server: Server, mode: Durability): string => {
  const disk = onDisk(server)
  const copies = mode === "replicated"
    ? "; and the loss of the server, when the replica that acknowledged it takes over"
    : server.replicas > 0
    ? `; a failover to one of its ${server.replicas} replicas may lose the last moments`
    : ""
  return (evicts(server) ? `nothing for sure, because the server evicts keys (${server.eviction}); else: ` : "") +
    disk +
    copies
}

const onDisk = ({ appendfsync, hasSnapshots, isAppendOnly }: Server): string => {
  if (!isAppendOnly) {
    return hasSnapshots === false
      ? "a crash of this process, not of the server: it writes neither an append-only file nor snapshots"
      : "a crash of this process; a crash of the server loses what came after its last snapshot: appendonly is off"
  }
  switch (appendfsync) {
    case "always":
      return "a crash of the server and of its machine"
    case "no":
      return "a crash of the server; a crash of its machine loses what the system has not written: appendfsync is no"
    case "everysec":
      return "a crash of the server; a crash of its machine may lose the last second: appendfsync is everysec"
    default:
      return "a crash of the server; its append-only file is on, and it does not tell how often that is written"
  }
}

export const describe = (
  client: Calls,
  settings: { readonly maxCrashes: number; readonly durability: Durability }
): Effect.Effect<JobStore.Description, JobError.JobStoreError> =>
  Effect.map(server(client), (found) => ({
    kind: `${found.name} ${found.version}${found.isCluster ? " cluster" : ""}`,
    durability: durability(found, settings.durability),
    schemaVersion: layout,
    capabilities: ["events", "schedules"],
    maxCrashes: settings.maxCrashes
  }))

/** What an operator should know at start, one sentence each. */
export const warnings = (server: Server, mode: Durability): ReadonlyArray<string> => {
  const found: Array<string> = []
  if (evicts(server)) {
    found.push(
      `maxmemory-policy is ${server.eviction}: the server removes jobs, without a word, when its memory is full. ` +
        "Set it to noeviction"
    )
  }
  if (server.eviction === undefined) found.push("the server does not tell its maxmemory-policy: it must be noeviction")
  if (server.isReplica) found.push("this server is a replica: nothing can be enqueued or claimed on it")
  if (!server.isAppendOnly || server.appendfsync === "no") {
    found.push(`an acknowledged enqueue survives ${durability(server, mode)}`)
  }
  if (mode === "replicated" && server.replicas === 0 && !server.isCluster) {
    found.push("durability is replicated, and the server has no replica: every enqueue will fail")
  }
  if (Number.parseInt(server.version) < 7) {
    found.push(`version ${server.version} is older than 7.0, which this store needs`)
  }
  return found
}
