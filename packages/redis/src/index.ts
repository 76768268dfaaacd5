/**
 * Capstan on Redis.
 *
 * @since 0.1.0
 */
export * as RedisJobStore from "./RedisJobStore.ts"
