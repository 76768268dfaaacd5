/** What is mutated, and who judges the mutants. */
import { readdirSync } from "node:fs"

export interface Module {
  /** The files, from the root of the repository. */
  readonly files: ReadonlyArray<string>
  /** The store whose facts of the suite are asked first. */
  readonly facts?: "lifecycle" | "memory" | "postgres" | "redis"
  /** The server that the test files need, where no facts are asked. */
  readonly server?: "postgres" | "redis"
  /** Test files that are run then: none of those that compare the sources with a copy, which every mutant fails. */
  readonly tests: ReadonlyArray<string>
}

export const root = new URL("../../", import.meta.url)

const filesOf = (folder: string, omitted: ReadonlyArray<string> = []): ReadonlyArray<string> =>
  readdirSync(new URL(folder, root)).filter((name) => name.endsWith(".ts") && !omitted.includes(name)).map((name) =>
    folder + name
  )

const testsIn = (folder: string, ...names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.map((name) => `packages/${folder}/test/${name}.test.ts`)

/** Of a store's functions and scripts the statements are mutated, whatever writes them. */
export const languageOf = (file: string): "typescript" | "sql" | "lua" =>
  file.includes("/schema/functions/") ? "sql" : file.includes("/internal/lua/") ? "lua" : "typescript"

export const modules: Readonly<Record<string, Module>> = {
  lifecycle: {
    files: ["packages/capstan/src/Lifecycle.ts"],
    facts: "lifecycle",
    tests: [...testsIn("capstan", "Lifecycle"), ...testsIn("testing", "Invariants")]
  },
  memory: {
    files: filesOf("packages/capstan/src/internal/memory/"),
    facts: "memory",
    tests: [
      ...testsIn("capstan", "MemoryState", "MemoryFlat", "Delivery", "Flow", "Enqueue", "Edit", "Expiry"),
      ...testsIn("testing", "TransactionalMemory", "LostReplies")
    ]
  },
  worker: {
    files: filesOf("packages/capstan/src/internal/worker/"),
    tests: testsIn(
      "capstan",
      "Attempt",
      "Batch",
      "Closing",
      "Delivery",
      "Outage",
      "Shutdown",
      "Worker",
      "Prefetch",
      "Resize",
      "Pool",
      "Observability",
      "Metrics",
      "Step",
      "Flow",
      "Group",
      "Options",
      "JobSchedules",
      "Retry"
    )
  },
  schedules: {
    files: filesOf("packages/capstan/src/internal/schedules/"),
    tests: testsIn("capstan", "JobSchedules", "Schedule", "SchedulePolicies", "ScheduleZones", "JobSchedule")
  },
  handover: {
    files: [
      "packages/capstan/src/StandBy.ts",
      "packages/pg/src/internal/exchange.ts",
      "packages/pg/src/internal/enqueue.ts",
      "packages/pg/src/internal/schema/functions/handOver.ts"
    ],
    server: "postgres",
    tests: [
      ...testsIn("capstan", "StandBy"),
      ...testsIn("pg", "StandBy", "Enqueue", "Marks", "Claims", "Network", "Transactions", "Alone")
    ]
  },
  postgres: {
    files: filesOf("packages/pg/src/internal/schema/functions/"),
    facts: "postgres",
    tests: testsIn(
      "pg",
      "Enqueue",
      "Flow",
      "Claims",
      "Commit",
      "Maintain",
      "Marks",
      "Schedules",
      "SqlEnqueue",
      "Transactions",
      "Outbox",
      "History",
      "Worker",
      "Listen",
      "Locks"
    )
  },
  redis: {
    files: filesOf("packages/redis/src/internal/lua/", ["context.ts"]),
    facts: "redis",
    tests: testsIn(
      "redis",
      "Repair",
      "Invariants",
      "Search",
      "Bounds",
      "Suspects",
      "Schedules",
      "Batches",
      "Transactions"
    )
  }
}
