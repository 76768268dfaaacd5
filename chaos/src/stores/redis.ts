/** Redis under the faults: a throwaway server that syncs each write to its file, a namespace for each run. */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { JobStore } from "capstan"
import type { JobRecord } from "capstan"
import { Effect, Layer, ManagedRuntime, Schedule } from "effect"
import { durableRedis, endOfReply, startRedis } from "../../../scripts/servers/index.ts"
import { Bank } from "../jobs/bank.ts"
import { type Address, failedOf, type Framing, type Piece, type Server, type Store, type Stored } from "../store.ts"
import { removes, withoutSafeguard } from "./redisSafeguards.ts"

/** What the runner looks with: its connections are not those that are cut. */
const operator = "chaos-operator"

/**
 * Replies one by one. The status of a connection's set-up and what comes unasked is no script's reply: it is not held up.
 */
const framing: Framing = () => {
  let rest: Uint8Array = new Uint8Array()
  return (chunk) => {
    const pieces: Array<Piece> = []
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    for (let end = endOfReply(bytes, at); end !== undefined; end = endOfReply(bytes, at)) {
      const reply = bytes.subarray(at, end)
      pieces.push({ bytes: reply, isReply: isOfScript(reply) })
      at = end
    }
    rest = bytes.slice(at)
    return pieces
  }
}

const isOfScript = (reply: Uint8Array): boolean =>
  "*$:_".includes(String.fromCharCode(reply[0]!)) &&
  !/^\*[34]\r\n\$\d+\r\np?(un)?(subscribe|message)\r\n/.test(Buffer.from(reply.subarray(0, 40)).toString("latin1"))

const layer = ({ namespace, url, without }: Address, name: string) =>
  RedisJobStore.layer({ prefix: namespace }).pipe(
    Layer.provide(without === undefined ? NodeRedis.layer({ url, name }) : withoutSafeguard(without, { url, name }))
  )

/** Its database is no business's. */
const noBank = Bank.of({ move: () => Effect.die("no accounts"), commit: () => Effect.die("no transactions") })

const page = 1000

/** Each of them can be filled; one that is to be is a server of its own all the same, so that others have room. */
const start = async (): Promise<Server> => {
  const redis = await startRedis({ settings: durableRedis("always") })
  const runtimes = new Map<string, ManagedRuntime.ManagedRuntime<JobStore.JobStore, unknown>>()
  const on = <A, E>(namespace: string, ask: (store: JobStore.Shape) => Effect.Effect<A, E>): Promise<A> => {
    let runtime = runtimes.get(namespace)
    if (runtime === undefined) {
      runtime = ManagedRuntime.make(layer({ namespace, url: redis.url }, operator))
      runtimes.set(namespace, runtime)
    }
    // The server may have been crashed a moment ago.
    const patiently = Effect.retry(
      Effect.flatMap(JobStore.JobStore, ask),
      Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 100 }))
    )
    return runtime.runPromise(patiently)
  }
  const recordsOf = (namespace: string): Promise<ReadonlyArray<JobRecord.JobRecord>> =>
    on(namespace, (store) =>
      Effect.gen(function*() {
        const all: Array<JobRecord.JobRecord> = []
        let cursor: string | undefined
        do {
          const reply = yield* store.query({ where: {}, order: "oldest", limit: page, cursor })
          for (const record of reply.records) all.push(record)
          cursor = reply.cursor
        } while (cursor !== undefined)
        return all
      }))
  const clients = async (): Promise<ReadonlyArray<string>> =>
    String(await redis.command("CLIENT", "LIST")).split("\n").filter((line) =>
      / name=\S/.test(line) && !line.includes(` name=${operator} `)
    )
  const version = /redis_version:(\S+)/.exec(String(await redis.command("INFO", "server")))?.[1]
  return {
    described: `redis ${version}, appendonly yes, appendfsync always`,
    port: redis.port,
    urlAt: (port) => `redis://127.0.0.1:${port}`,
    crash: redis.crash,
    restart: redis.restart,
    stop: async () => {
      await Promise.all([...runtimes.values()].map((runtime) => runtime.dispose()))
      await redis.stop()
    },
    prepare: async () => {},
    cut: async () => {
      const killed = await Promise.all(
        (await clients()).map((line) => redis.command("CLIENT", "KILL", "ID", /^id=(\d+)/.exec(line)![1]!))
      )
      return killed.reduce((sum: number, count) => sum + Number(count), 0)
    },
    pause: async (millis) => {
      await redis.command("CLIENT", "PAUSE", millis, "ALL")
    },
    fill: async () => {
      await redis.command("CONFIG", "SET", "maxmemory", 1)
    },
    empty: async () => {
      await redis.command("CONFIG", "SET", "maxmemory", 0)
    },
    sizes: async () => {
      const memory = /used_memory_dataset:(\d+)/.exec(String(await redis.command("INFO", "memory")))?.[1]
      return { keys: Number(await redis.command("DBSIZE")), bytes: Number(memory) }
    },
    unfinished: async (namespace) => {
      const { queues } = await on(namespace, (store) => store.stats)
      return queues.reduce(
        (sum, { counts }) => sum + counts.blocked + counts.scheduled + counts.ready + counts.running,
        0
      )
    },
    running: async (namespace) => {
      const { queues } = await on(namespace, (store) => store.stats)
      return queues.reduce((sum, { counts }) => sum + counts.running, 0)
    },
    records: async (namespace) =>
      (await recordsOf(namespace)).map((record) => ({
        id: record.id,
        tag: record.tag,
        payload: record.payload,
        state: stateOf(record.state),
        result: record.result,
        attempt: record.attempt,
        failed: failedOf(record.attempts),
        deaths: record.attempts.filter(({ decision }) => decision === "crashed")
          .map(({ endedAt, failure }) => ({ at: endedAt, charged: failure !== undefined }))
      })),
    without: async (safeguard) => removes(safeguard),
    drop: async (namespace) => {
      await runtimes.get(namespace)?.dispose()
      runtimes.delete(namespace)
      let cursor = "0"
      do {
        const [next, keys] = await redis.command("SCAN", cursor, "MATCH", `{${namespace}}*`, "COUNT", 1000) as [
          string,
          ReadonlyArray<string>
        ]
        if (keys.length > 0) await redis.command("UNLINK", ...keys)
        cursor = next
      } while (cursor !== "0")
    }
  }
}

const stateOf = (state: JobRecord.State): Stored["state"] =>
  state === "blocked" || state === "scheduled" || state === "ready" ? "waiting" : state

export const store: Store = {
  layer: (address) => Layer.merge(layer(address, "chaos"), Layer.succeed(Bank, noBank)),
  framing,
  cutEvery: 1000,
  // One connection for all: that it is silent is known after two seconds, and a third is for another to come up.
  resumesIn: 4000,
  abilities: ["pause"],
  special: ["little room"],
  start
}
