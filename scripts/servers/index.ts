/**
 * Throwaway servers, for the tests, the demo, the benchmarks and the fault runs.
 *
 * Each has a free loopback port and a folder of its own, and ends with the process that started it, however that ends.
 */
export type { Places } from "./binaries.ts"
export { findPostgres, findRedis } from "./binaries.ts"
export { ServerMissing } from "./missing.ts"
export { fastPostgres, type Postgres, type PostgresOptions, startPostgres } from "./postgres.ts"
export { durableRedis, type Redis, type RedisOptions, startRedis } from "./redis.ts"
export { type RedisCluster, type RedisClusterOptions, startRedisCluster } from "./redisCluster.ts"
export { endOfReply, type Reply, ReplyError } from "./resp.ts"
export type { Server } from "./server.ts"
