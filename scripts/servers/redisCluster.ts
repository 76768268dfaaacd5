/**
 * A throwaway Redis Cluster: masters and their replicas, each a process of its own on 127.0.0.1.
 *
 * A dead master is replaced by its replica in about two seconds: nodes wait half a second for each other, not fifteen.
 */
import { durableRedis, type Redis, type RedisOptions, startRedis } from "./redis.ts"
import { untilTrue } from "./until.ts"

export interface RedisClusterOptions extends RedisOptions {
  /** @default 3 */
  readonly masters?: number
  /** Of each master. @default 1 */
  readonly replicas?: number
  /** Milliseconds without an answer until a node is held for dead. @default 500 */
  readonly nodeTimeout?: number
}

export interface RedisCluster {
  /** As they were made: the masters, then the first replica of each, and so on. */
  readonly nodes: ReadonlyArray<Redis>
  /** Of all of them: a client needs one that lives. */
  readonly urls: ReadonlyArray<string>
  readonly slotOf: (key: string) => Promise<number>
  /** The master that serves a slot now, as the most recent of the nodes that run says. */
  readonly masterOf: (slot: number) => Promise<Redis>
  /** Waits until all nodes that run agree that every slot is served. */
  readonly whole: () => Promise<void>
  /** Takes a slot with its keys to another master; `during` runs between the first key and the last. */
  readonly moveSlot: (slot: number, to: Redis, during?: () => Promise<void>) => Promise<void>
  readonly stop: () => Promise<void>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

const slots = 16_384

/** Starts one. Fails with `ServerMissing` where there is no Redis to start. */
export const startRedisCluster = async (options: RedisClusterOptions = {}): Promise<RedisCluster> => {
  const { masters = 3, nodeTimeout = 500, replicas = 1, settings, ...rest } = options
  const nodes: Array<Redis> = []
  const stop = async () => {
    await Promise.all(nodes.map((node) => node.stop()))
  }
  try {
    const started = await Promise.allSettled(
      Array.from({ length: masters * (1 + replicas) }, () =>
        startRedis({
          ...rest,
          settings: (port) => ({
            // A node that comes back on its port has what it knew, and what it said yes to.
            ...durableRedis("always"),
            "cluster-enabled": "yes",
            // Beside its own, and with it below those of outgoing connections. By default it is 10,000 above.
            "cluster-port": String(port + 1),
            "cluster-node-timeout": String(nodeTimeout),
            // A replica that a busy machine kept from its master for a while takes over all the same.
            "cluster-replica-validity-factor": "0",
            "repl-diskless-sync-delay": "0",
            ...typeof settings === "function" ? settings(port) : settings
          })
        }))
    )
    for (const result of started) if (result.status === "fulfilled") nodes.push(result.value)
    for (const result of started) if (result.status === "rejected") throw result.reason
    await join(nodes, masters)
  } catch (error) {
    await stop()
    throw error
  }
  return { ...operate(nodes), nodes, urls: nodes.map(({ url }) => url), stop, [Symbol.asyncDispose]: stop }
}

const join = async (nodes: ReadonlyArray<Redis>, masters: number): Promise<void> => {
  const leaders = nodes.slice(0, masters)
  await Promise.all(leaders.map((node, i) =>
    node.command(
      "CLUSTER",
      "ADDSLOTSRANGE",
      Math.floor(slots * i / masters),
      Math.floor(slots * (i + 1) / masters) - 1
    )
  ))
  // Two that were made alike would have to settle who is who.
  await Promise.all(nodes.map((node, i) => node.command("CLUSTER", "SET-CONFIG-EPOCH", i + 1)))
  await Promise.all(nodes.slice(1).map(({ port }) => nodes[0]!.command("CLUSTER", "MEET", "127.0.0.1", port, port + 1)))
  await untilTrue("all nodes know each other", async () => {
    const views = await Promise.all(nodes.map(view))
    return views.every((lines) => lines.length === nodes.length && lines.every(({ flags }) => !/handshake/.test(flags)))
  })
  const ids = await Promise.all(leaders.map((node) => node.command("CLUSTER", "MYID")))
  const followers = nodes.slice(masters)
  await Promise.all(followers.map((node, i) => node.command("CLUSTER", "REPLICATE", String(ids[i % masters]))))
  await untilTrue("replicas follow their masters", async () => {
    const infos = await Promise.all(followers.map((node) => node.command("INFO", "replication")))
    return infos.every((info) => String(info).includes("master_link_status:up"))
  })
  await operate(nodes).whole()
}

interface Line {
  readonly id: string
  readonly port: number
  readonly flags: string
  readonly epoch: number
  readonly slots: ReadonlyArray<readonly [from: number, to: number]>
}

/** What a node says of all of them. */
const view = async (node: Redis): Promise<ReadonlyArray<Line>> =>
  String(await node.command("CLUSTER", "NODES")).trim().split("\n").map((line) => {
    const [id, address, flags, , , , epoch, , ...ranges] = line.split(" ")
    return {
      id: id!,
      port: Number(/:(\d+)@/.exec(address!)?.[1]),
      flags: flags!,
      epoch: Number(epoch),
      // One in brackets is on its way.
      slots: ranges.filter((range) => !range.startsWith("[")).map((range) => {
        const [from, to = from] = range.split("-").map(Number)
        return [from!, to!] as const
      })
    }
  })

const operate = (nodes: ReadonlyArray<Redis>): Pick<RedisCluster, "slotOf" | "masterOf" | "whole" | "moveSlot"> => {
  const onAny = async <A>(ask: (node: Redis) => Promise<A>): Promise<ReadonlyArray<A>> => {
    const answers = await Promise.allSettled(nodes.map(ask))
    const given = answers.flatMap((answer) => answer.status === "fulfilled" ? [answer.value] : [])
    if (given.length === 0) throw new Error("no node of the cluster runs")
    return given
  }
  const lineOf = async (slot: number): Promise<Line> => {
    const serving = (await onAny(view)).flat().filter(({ flags, slots }) =>
      !flags.includes("fail") && slots.some(([from, to]) => from <= slot && slot <= to)
    )
    const [latest] = serving.toSorted((a, b) => b.epoch - a.epoch)
    if (latest === undefined) throw new Error(`nobody serves slot ${slot}`)
    return latest
  }
  const nodeAt = (port: number): Redis => nodes.find((node) => node.port === port)!
  const lead = async (node: Redis): Promise<boolean> => String(await node.command("ROLE")).startsWith("master")

  return {
    slotOf: async (key) => Number((await onAny((node) => node.command("CLUSTER", "KEYSLOT", key)))[0]),
    masterOf: async (slot) => nodeAt((await lineOf(slot)).port),
    whole: () =>
      untilTrue("every slot of the cluster is served", async () => {
        const infos = await onAny((node) => node.command("CLUSTER", "INFO"))
        return infos.every((info) => String(info).includes("cluster_state:ok"))
      }),
    moveSlot: async (slot, to, during = async () => {}) => {
      const from = nodeAt((await lineOf(slot)).port)
      if (from === to) return
      const [fromId, toId] = await Promise.all([from, to].map((node) => node.command("CLUSTER", "MYID")))
      await to.command("CLUSTER", "SETSLOT", slot, "IMPORTING", String(fromId))
      await from.command("CLUSTER", "SETSLOT", slot, "MIGRATING", String(toId))
      const move = async (count: number): Promise<boolean> => {
        const keys = await from.command("CLUSTER", "GETKEYSINSLOT", slot, count) as ReadonlyArray<string>
        if (keys.length === 0) return false
        await from.command("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, "KEYS", ...keys)
        return true
      }
      const moveAll = async (): Promise<void> => await move(100) ? moveAll() : undefined
      await move(1)
      await during()
      await moveAll()
      const tell = (node: Redis) => node.command("CLUSTER", "SETSLOT", slot, "NODE", String(toId))
      await tell(to)
      await tell(from)
      // The others would hear of it; a replica is not told, and one that is down neither.
      await Promise.allSettled(nodes.map(async (node) => await lead(node) ? tell(node) : undefined))
    }
  }
}
