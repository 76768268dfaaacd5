/**
 * Throwaway servers, for the tests, the demo, the benchmarks and the fault runs.
 *
 * Each has a free loopback port and a folder of its own, and ends with the process that started it, however that ends.
 */
export type { Places } from "./binaries.ts"
export { findPostgres, findRedis } from "./binaries.ts"
export { ServerMissing } from "./missing.ts"
export { fastPostgres, type Postgres, type PostgresOptions, startPostgres } from "./postgres.ts"
export { type Redis, type RedisOptions, startRedis } from "./redis.ts"
export type { Server } from "./server.ts"
