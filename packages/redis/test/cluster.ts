/** What the tests on a cluster are written with: six servers of their own. */
import { type RedisCluster as Servers, startRedisCluster } from "../../../scripts/servers/index.ts"
import * as RedisCluster from "../src/RedisCluster.ts"

export type { Servers }

export const start = (): Promise<Servers> => startRedisCluster()

/** The service of a store with this prefix, by any of the servers that run. */
export const client = (servers: Servers, prefix: string) =>
  RedisCluster.layer({ prefix, rootNodes: servers.urls.map((url) => ({ url })) })
