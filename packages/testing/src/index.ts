/**
 * The suite that every store passes, and helpers for tests of your own jobs.
 *
 * @since 0.1.0
 */
export * as JobStoreSuite from "./JobStoreSuite.ts"
export * as Simulation from "./Simulation.ts"
export * as TestJobs from "./TestJobs.ts"
export * as TransactionalMemory from "./TransactionalMemory.ts"
