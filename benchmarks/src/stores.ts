/** Which systems are measured on which store, and in what. */
import { scenarios } from "./scenarios.ts"
import { serverScenarios } from "./serverScenarios.ts"
import type { Task } from "./task.ts"

export interface Store {
  readonly systems: ReadonlyArray<string>
  /** The systems that a target of ours is measured against, and the limit. */
  readonly quick: ReadonlyArray<string>
  /** The rows that one process gives, by the scenario that it is started with: the first of them. */
  readonly scenarios: ReadonlyArray<ReadonlyArray<string>>
  readonly isServer: boolean
}

export const stores: Readonly<Record<Task["store"], Store>> = {
  memory: {
    systems: ["capstan", "effect-persisted-queue", "platformatic", "p-queue", "fastq", "fibers"],
    quick: ["capstan", "effect-persisted-queue", "fibers"],
    scenarios: Object.keys(scenarios).map((name) => [name]),
    isServer: false
  },
  pg: {
    systems: ["capstan", "graphile", "graphile-batch", "pg-boss", "bullmq-pg", "effect-persisted-queue", "limit"],
    quick: ["capstan", "graphile", "graphile-batch", "pg-boss", "effect-persisted-queue", "limit"],
    scenarios: serverScenarios.map(({ rows }) => rows),
    isServer: true
  }
}
