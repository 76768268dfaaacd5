/** What the tests on a cluster are written with: six servers of their own. */
import { type RedisCluster as Servers, startRedisCluster } from "../../../scripts/servers/index.ts"
import * as RedisCluster from "../src/RedisCluster.ts"

export type { Servers }

/** Of which no node is lost: one that a busy machine keeps from answering for a while is not to be held for dead. */
export const start = (): Promise<Servers> => startRedisCluster({ nodeTimeout: 15_000 })

/** Of which nodes are lost, which is to be noticed soon. */
export const startFragile = (): Promise<Servers> => startRedisCluster()

/** The service of a store with this prefix, by any of the servers that run. */
export const client = (servers: Servers, prefix: string) =>
  RedisCluster.layer({ prefix, rootNodes: servers.urls.map((url) => ({ url })) })
