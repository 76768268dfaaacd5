/**
 * Capstan on Postgres.
 *
 * @since 0.1.0
 */
export * as PgJobStore from "./PgJobStore.ts"
