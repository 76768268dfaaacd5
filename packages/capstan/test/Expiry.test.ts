/**
 * What the memory store keeps of records that must start in time: nothing of one that has started or is gone.
 */
import { assert, describe, it } from "@effect/vitest"
import { JobRecord } from "capstan"
import { control } from "../src/internal/memory/control.ts"
import { enqueue } from "../src/internal/memory/enqueue.ts"
import { exchange } from "../src/internal/memory/exchange.ts"
import { maintain } from "../src/internal/memory/maintain.ts"
import { MemoryState } from "../src/internal/memory/state.ts"
import type { Outcome } from "../src/JobStore.ts"
import { silent } from "./silent.ts"

const day = 24 * 60 * 60 * 1000
const keep = { age: 0, count: 0 }

/** A store with so many records that must start within thirty days. */
const waiting = (count: number) => {
  const state = silent(100)
  const records = Array.from({ length: count }, (_, i) => ({
    id: JobRecord.JobId(`id-${i}`),
    tag: "Task",
    version: 1,
    queue: "default",
    priority: 0,
    payload: "null",
    delay: 0,
    startBefore: 30 * day,
    retention: { completed: keep, cancelled: keep, dead: keep },
    sensitive: { payload: [], result: [], error: [], progress: [] },
    tags: [],
    headers: {}
  }))
  enqueue(state, { records }, 0)
  return state
}

const claim = (state: MemoryState, slots: number, now: number) =>
  exchange(state, {
    worker: "w",
    lease: 30_000,
    settlements: [],
    demand: [{ queue: "default", slots, share: slots }],
    total: slots
  }, now).claimed

const settle = (
  state: MemoryState,
  { fence, id }: { readonly id: JobRecord.JobId; readonly fence: number },
  outcome: Outcome,
  now: number
) =>
  exchange(state, {
    worker: "w",
    lease: 30_000,
    settlements: [{ id, fence, outcome, finishedAfter: 0 }],
    demand: [],
    total: 0
  }, now)

describe("the expiry of records in memory", () => {
  it("is forgotten when they start, end or go", () => {
    const state = waiting(100)
    const [first, ...others] = claim(state, 50, 1)
    for (const attempt of others) settle(state, attempt, { _tag: "Complete", result: undefined }, 2)
    control(state, { action: { _tag: "Delete" }, where: { states: ["ready"] }, limit: 20 }, 3)
    control(state, { action: { _tag: "Cancel", reason: "r" }, where: { states: ["ready"] }, limit: 100 }, 4)
    maintain(state, 5)
    assert.deepStrictEqual([...state.rows.keys()], [first!.id])
    assert.strictEqual(state.expiring.nextAt, Infinity)
  })

  it("comes back with a record that is given back before it began", () => {
    const state = waiting(1)
    const [attempt] = claim(state, 1, 1)
    settle(state, attempt!, { _tag: "Release" }, 2)
    assert.strictEqual(state.expiring.nextAt, 30 * day)
    assert.strictEqual(maintain(state, 30 * day).expired, 1)
  })

  it("is watched once, however often it moves", () => {
    const state = waiting(1)
    for (let i = 0; i < 100; i++) {
      control(state, { action: { _tag: "Reschedule", delay: i }, where: {}, limit: 1 }, 0)
    }
    assert.strictEqual(state.expiring.nextAt, 30 * day + 99)
  })
})
