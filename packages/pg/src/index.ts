/**
 * Capstan on Postgres.
 *
 * @since 0.1.0
 */
export * as PgEnqueue from "./PgEnqueue.ts"
export * as PgJobStore from "./PgJobStore.ts"
export * as PgOutbox from "./PgOutbox.ts"
