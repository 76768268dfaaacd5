/** Records on their way to a batch: when the next batch closes, also of very many keys. */
import { assert, describe, it } from "@effect/vitest"
import { JobRecord } from "capstan"
import { Collector } from "../src/internal/worker/collector.ts"
import type { RunnableJob } from "../src/internal/worker/runner.ts"
import { QueueSlots } from "../src/internal/worker/slots.ts"
import type { Prefetched } from "../src/internal/worker/waiting.ts"

const job = { tag: "Bulk", definition: { batch: { size: 2, within: 1000 } } } as RunnableJob
const record = (key: string): Prefetched =>
  ({ claimed: { id: JobRecord.JobId(key), batchKey: key }, receipt: { at: 0, storeNow: 0 } }) as Prefetched

const collecting = () => {
  const collector = new Collector()
  const queue = new QueueSlots("default")
  return { collector, queue, add: (key: string, now: number) => collector.add(record(key), job, queue, now) }
}

describe("a collector", () => {
  it("knows when the next batch closes, whatever ends one", () => {
    const { add, collector, queue } = collecting()
    for (const [key, now] of [["a", 0], ["b", 10], ["c", 20], ["d", 30]] as const) assert.isUndefined(add(key, now))
    assert.strictEqual(collector.nextAt, 1000)
    // One in the middle is full.
    assert.strictEqual(add("c", 40)?.mates?.length, 1)
    assert.strictEqual(collector.nextAt, 1000)
    // The next one is.
    assert.strictEqual(add("a", 40)?.mates?.length, 1)
    assert.strictEqual(collector.nextAt, 1010)
    assert.strictEqual(collector.take(({ claimed }) => claimed.batchKey === "b").length, 1)
    assert.strictEqual(collector.nextAt, 1030)
    assert.deepStrictEqual(collector.due(1029), [])
    assert.strictEqual(collector.due(1030).length, 1)
    assert.deepStrictEqual([collector.nextAt, collector.size, queue.collecting], [Infinity, 0, 0])
  })

  it("closes and gives back batches of very many keys", () => {
    const { add, collector } = collecting()
    const keys = Array.from({ length: 200_000 }, (_, i) => String(i))
    for (const key of keys) add(key, 0)
    assert.strictEqual(add("0", 0)?.mates?.length, 1)
    assert.strictEqual(collector.take(({ claimed }) => claimed.batchKey === "1").length, 1)
    assert.strictEqual(collector.due(1000).length, keys.length - 2)
    assert.deepStrictEqual([collector.nextAt, collector.size], [Infinity, 0])
  })
})
