/** The limits that the README names are those of the code. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobBatch } from "capstan"
import { Schema } from "effect"
import { readFileSync } from "node:fs"
import { defaultMaxPayloadBytes } from "../src/internal/definition.ts"
import { chunk, maxKey } from "../src/internal/enqueue.ts"
import { maxEdges } from "../src/internal/flow/start.ts"
import { keptAttempts, keptFailures } from "../src/internal/memory/settle.ts"
import { defaultMaxFinished } from "../src/internal/memory/store.ts"
import { keptLines } from "../src/internal/memory/write.ts"
import { maxBytes } from "../src/internal/steps/run.ts"
import { maxLine, maxLines } from "../src/internal/worker/attempt.ts"
import { keptEntries } from "../src/internal/worker/outbox.ts"
import { maxError, maxMessage } from "../src/internal/worker/runner.ts"

const section = readFileSync(new URL("../../../README.md", import.meta.url), "utf8").split("## Limits\n")[1]!.split(
  "\n## "
)[0]!

const rows = new Map(
  section.split("\n").filter((line) => line.startsWith("| ")).slice(1).map((line) => {
    const [, what, much] = line.split(" | ").join("|").split("|").map((cell) => cell.trim())
    return [what!, much!] as const
  })
)

const kibi = 1024
const made = (make: () => unknown): boolean => {
  try {
    make()
    return true
  } catch {
    return false
  }
}

/** The largest number with which something can be made. */
const largest = (make: (n: number) => unknown): number => {
  let n = 1
  while (made(() => make(n + 1))) n++
  return n
}

const ofBatch = (size: number) => JobBatch.make("Bulk", { payload: Schema.Number, batch: { size, within: "1 second" } })

/** Every number of the row, in order: units in their base, the rest as it stands. */
const limits: Readonly<Record<string, ReadonlyArray<number>>> = {
  "a payload, encoded": [defaultMaxPayloadBytes / kibi],
  "a step's result, encoded": [maxBytes / kibi / kibi],
  "a job's tag, a queue's name": [largest((n) => Job.make("a".repeat(n)))],
  "an idempotency, unique, concurrency, batch or partition key": [maxKey],
  priority: [
    -largest((n) => Job.make("Low", { priority: -n })),
    largest((n) => Job.make("High", { priority: n }))
  ],
  "records that one call to the store carries": [chunk],
  "records of one run of a `JobBatch` handler": [largest(ofBatch)],
  "edges of one flow": [maxEdges],
  "log lines": [maxLines, maxLine, keptLines],
  "failures of a record": [keptFailures, maxMessage, maxError / kibi],
  "attempts in a record's history": [keptAttempts],
  "progress of a record": [],
  "progress and log entries that wait for a store that is away": [keptEntries],
  "finished records in memory": [defaultMaxFinished]
}

describe("the limits of the README", () => {
  it("are those that are compared here", () => {
    assert.deepStrictEqual([...rows.keys()], Object.keys(limits))
  })

  it.each(Object.entries(limits))("%s: %j", (what, numbers) => {
    const named = [...(rows.get(what) ?? "").matchAll(/-?\d[\d,]*/g)].map(([number]) =>
      Number(number.replaceAll(",", ""))
    )
    assert.deepStrictEqual(named, numbers)
  })
})
