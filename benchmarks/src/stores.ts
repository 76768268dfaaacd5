/** Which systems are measured on which store, and in what. */
import { scenarios } from "./scenarios.ts"
import { serverScenarios } from "./serverScenarios.ts"
import type { Task } from "./task.ts"

/** Scenarios of what no peer has: keys, flows, schedules. */
export const alone: ReadonlyArray<string> = [
  "keyed-ratio",
  "traced-ratio",
  "blocked-ratio",
  "flow-ratio",
  "tick-p99",
  "fair-first"
]

/** Where no rival does what a row asks, and why. */
export const unrivalled: Readonly<Record<Task["store"], Readonly<Record<string, string>>>> = {
  memory: { "enqueue-bulk": "nobody else in memory has a call for many" },
  pg: {},
  redis: {}
}

/** Scenarios of a full run alone, unless one is named. */
export const long: ReadonlyArray<string> = [
  "workers-4",
  "fail-once",
  "payload-10kb",
  "half-load",
  "half-load-p50",
  "half-load-p99",
  "traced-ratio",
  "backlog-ratio-1m"
]

export interface Store {
  readonly systems: ReadonlyArray<string>
  /** The systems that a target of ours is measured against, and the limit, by the scenario's first row. */
  readonly quick: (scenario: string) => ReadonlyArray<string>
  /** The rows that one process gives, by the scenario that it is started with: the first of them. */
  readonly scenarios: ReadonlyArray<ReadonlyArray<string>>
  readonly isServer: boolean
}

type Rivals = Readonly<Record<string, ReadonlyArray<string>>>

/** Whom our targets are measured against, or, where a target is a figure, whose figure it was made from. */
const inMemory: Rivals = {
  "enqueue-100": ["effect-persisted-queue"],
  "drain-c1": ["effect-persisted-queue"],
  "drain-c10": ["effect-persisted-queue"],
  "drain-c100": ["effect-persisted-queue"],
  "drain-100k": ["effect-persisted-queue"],
  "due-1000-p99": ["effect-persisted-queue"],
  // Plain fibers have no second worker.
  "workers-2": ["effect-persisted-queue"],
  "backlog-ratio": ["effect-persisted-queue"],
  heap: ["effect-persisted-queue"]
}

const onPostgres: Rivals = {
  "enqueue-seq": ["graphile", "effect-persisted-queue"],
  "enqueue-100": ["effect-persisted-queue"],
  "enqueue-bulk": ["pg-boss"],
  "drain-c1": ["capstan-no-history", "graphile-batch"],
  "drain-c10": ["capstan-no-history", "graphile-batch"],
  "drain-c100": ["capstan-no-history", "graphile-batch"],
  // `graphile` for its log, see the rows that this scenario gives.
  "drain-100k": ["capstan-no-history", "graphile", "graphile-batch"],
  "handler-10ms": ["graphile-batch"],
  "pickup-p50": ["graphile", "bullmq-pg"],
  "due-1000-p99": ["graphile-batch"],
  "workers-2": ["capstan-no-history", "graphile-batch"],
  "backlog-ratio": ["graphile-batch", "pg-boss"],
  "backlog-ratio-5m": ["graphile-batch", "pg-boss"],
  "held-60s": ["graphile-batch"]
}

const onRedis: Rivals = {
  "enqueue-seq": ["effect-persisted-queue", "bullmq"],
  "enqueue-100": ["effect-persisted-queue"],
  "enqueue-bulk": ["effect-persisted-queue"],
  "drain-c1": ["bullmq"],
  "drain-c10": ["bullmq"],
  "drain-c100": ["bullmq"],
  "drain-100k": ["effect-persisted-queue", "bullmq"],
  "drain-100k-aof": ["bullmq"],
  "handler-10ms": ["bullmq"],
  "pickup-p50": ["bullmq"],
  "due-1000-p99": ["effect-persisted-queue", "bullmq"],
  "workers-2": ["effect-persisted-queue"],
  "backlog-ratio": ["effect-persisted-queue", "bullmq"]
}

export const stores: Readonly<Record<Task["store"], Store>> = {
  memory: {
    systems: ["capstan", "effect-persisted-queue", "platformatic", "p-queue", "fastq", "fibers"],
    quick: (scenario) => ["capstan", ...inMemory[scenario] ?? [], "fibers"],
    scenarios: Object.keys(scenarios).map((name) => [name]),
    isServer: false
  },
  pg: {
    systems: [
      "capstan",
      "capstan-no-history",
      "graphile",
      "graphile-batch",
      "pg-boss",
      "bullmq-pg",
      "effect-persisted-queue",
      "limit"
    ],
    quick: (scenario) => ["capstan", ...onPostgres[scenario] ?? [], "limit"],
    scenarios: serverScenarios.pg.map(({ rows }) => rows),
    isServer: true
  },
  redis: {
    systems: ["capstan", "bullmq", "effect-persisted-queue", "limit"],
    quick: (scenario) => ["capstan", ...onRedis[scenario] ?? [], "limit"],
    scenarios: serverScenarios.redis.map(({ rows }) => rows),
    isServer: true
  }
}
