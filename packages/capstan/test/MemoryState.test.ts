/**
 * What the memory store holds: rows of one job share what they were enqueued with, only where it is the same; figures
 * are kept.
 */
import { describe, expect, it } from "@effect/vitest"
import { enqueue } from "../src/internal/memory/enqueue.ts"
import { results, stats } from "../src/internal/memory/query.ts"
import type { JobId } from "../src/JobRecord.ts"
import type { NewRecord } from "../src/JobStore.ts"
import { silent } from "./silent.ts"

const keep = { age: 1, count: 1 }

/** Every field of a record, so that a new one cannot be forgotten here; absent ones as `undefined`. */
const record: { readonly [K in keyof Required<NewRecord>]: NewRecord[K] } = {
  id: "one" as JobId,
  tag: "Job",
  version: 1,
  queue: "default",
  priority: 0,
  payload: "1",
  delay: 0,
  runAt: undefined,
  startBefore: undefined,
  retention: { completed: keep, cancelled: keep, dead: keep },
  sensitive: { payload: [], result: [], error: [], progress: [] },
  tags: [],
  headers: {},
  idempotencyKey: undefined,
  unique: undefined,
  concurrency: undefined,
  rateKey: undefined,
  batchKey: undefined,
  partitionKey: undefined,
  flowId: undefined,
  parent: undefined,
  cancelOn: undefined,
  completeOn: undefined,
  followed: undefined,
  dependencies: undefined,
  dependents: undefined
}

const other: { readonly [K in keyof Required<NewRecord>]: NonNullable<NewRecord[K]> } = {
  id: "two" as JobId,
  tag: "Other",
  version: 2,
  queue: "mail",
  priority: 1,
  payload: "2",
  delay: 1,
  runAt: 1,
  startBefore: 1,
  retention: { completed: keep, cancelled: keep, dead: { age: 2, count: 2 } },
  sensitive: { payload: ["/a"], result: [], error: [], progress: [] },
  tags: ["a"],
  headers: { a: "b" },
  idempotencyKey: "key",
  unique: { key: "key", until: "finished", onConflict: "keep" },
  concurrency: { key: "key", limit: 1 },
  rateKey: "key",
  batchKey: "key",
  partitionKey: "key",
  flowId: "flow",
  parent: "parent" as JobId,
  cancelOn: ["event"],
  completeOn: ["event"],
  followed: true,
  dependencies: [{ name: "a", id: "three" as JobId }],
  dependents: [{ name: "a", id: "four" as JobId }]
}

const make = () => silent(10)

describe("what rows share", () => {
  it("records that differ in id and payload alone share the rest, without the first one's payload", () => {
    const state = make()
    const shared = state.shared(record)
    expect(state.shared({ ...record, id: other.id, payload: other.payload })).toBe(shared)
    expect("payload" in shared ? shared.payload : "").toBe("")
  })

  for (const name of Object.keys(record) as ReadonlyArray<keyof NewRecord>) {
    if (name === "id" || name === "payload") continue
    it(`a record with another ${name} has its own`, () => {
      const state = make()
      const shared = state.shared(record)
      const own = state.shared({ ...record, [name]: other[name] })
      expect(own[name]).toBe(other[name])
      expect(state.shared(record)[name]).toBe(record[name])
      expect(shared[name]).toBe(record[name])
    })
  }
})

describe("figures", () => {
  it("are kept, not counted: no record is looked at, however many there are", () => {
    const state = make()
    for (let i = 0; i < 3; i++) enqueue(state, { records: [{ ...record, id: `r${i}` as JobId }] }, 0)
    const looked = () => {
      throw new Error("a record was looked at")
    }
    const closed = { get: looked, ownKeys: looked, has: looked }
    Object.assign(state, { rows: new Proxy(new Map(), closed), catalogue: new Proxy({}, closed) })
    expect(stats(state, 5).queues).toMatchObject([{ queue: "default", counts: { ready: 3 }, oldestReadyAge: 5 }])
    expect(() => results(state, [record.id])).toThrow("a record was looked at")
  })
})
