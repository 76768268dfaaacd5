/**
 * The memory store stays flat under a steady load (P12): everything that it keeps is counted, and after thousands of rounds
 * there is exactly what retention says.
 */
import { assert, describe, it } from "@effect/vitest"
import { Deque } from "../src/internal/memory/deque.ts"
import { enqueue } from "../src/internal/memory/enqueue.ts"
import { exchange } from "../src/internal/memory/exchange.ts"
import { Heap } from "../src/internal/memory/heap.ts"
import { change } from "../src/internal/memory/limits.ts"
import { Log, Sorted } from "../src/internal/memory/lists.ts"
import { maintain } from "../src/internal/memory/maintain.ts"
import { renew } from "../src/internal/memory/renew.ts"
import { Row } from "../src/internal/memory/row.ts"
import { MemoryState } from "../src/internal/memory/state.ts"
import type { JobId } from "../src/JobRecord.ts"
import type { NewRecord } from "../src/JobStore.ts"
import { silent } from "./silent.ts"

/** Retention, in rounds of a second. */
const kept = 5

const record = (id: string, given: Partial<NewRecord> = {}): NewRecord => ({
  id: id as JobId,
  tag: "Task",
  version: 1,
  queue: "work",
  priority: 0,
  payload: "null",
  delay: 0,
  retention: {
    completed: { age: kept * 1000, count: Infinity },
    cancelled: { age: kept * 1000, count: Infinity },
    dead: { age: Infinity, count: 3 }
  },
  sensitive: { payload: [], result: [], error: [], progress: [] },
  tags: [],
  headers: {},
  ...given
})

/** One round's records: each kind of key, edge and end, with names of their own. */
const records = (round: number): ReadonlyArray<NewRecord> => [
  record(`plain-${round}`),
  record(`fails-${round}`, { tag: "Fails" }),
  record(`held-${round}`, { unique: { key: `u${round}`, until: "finished", onConflict: "keep" } }),
  record(`window-${round}`, {
    tag: "Window",
    unique: { key: `w${round}`, until: { windowMillis: 2000 }, onConflict: "keep" }
  }),
  record(`once-${round}`, { idempotencyKey: `i${round}` }),
  record(`first-${round}`, { concurrency: { key: `k${round}`, limit: 1 } }),
  record(`second-${round}`, { concurrency: { key: `k${round}`, limit: 1 } }),
  record(`turn-${round}`, { concurrency: { key: `@space/t${round}`, limit: 1 } }),
  record(`later-${round}`, { dependencies: [{ name: "plain", id: `plain-${round}` as JobId }] }),
  record(`stopped-${round}`, { queue: "nobody", cancelOn: [`stop-${round}`] }),
  record(`expires-${round}`, { tag: "Expires", queue: "nobody", startBefore: 500 })
]

const perRound = records(0).length

const run = (state: MemoryState, rounds: number): void => {
  change(state, [{ _tag: "Propose", name: "@space", release: 1, settings: { concurrency: 1, order: "fair" } }], 0)
  for (let round = 0; round < rounds; round++) {
    const now = round * 1000
    const worker = `worker-${round}`
    const hello = { worker, lease: 30_000, queues: ["work"], handles: [], holding: [], reconcileOlderThan: Infinity }
    renew(state, hello, now)
    enqueue(state, { records: records(round) }, now)
    enqueue(state, { records: [], cancels: [{ on: `stop-${round}`, reason: "enough" }] }, now)
    const demand = [{ queue: "work", slots: 20, share: 20 }]
    for (let left = perRound - 2; left > 0;) {
      const { claimed } = exchange(state, { worker, lease: 30_000, settlements: [], demand, total: 20 }, now)
      assert.isAbove(claimed.length, 0, `round ${round} stands still`)
      const settlements = claimed.map(({ fence, id, tag }) => ({
        id,
        fence,
        finishedAfter: 0,
        outcome: tag === "Fails"
          ? { _tag: "Dead", reason: "Failed", failure: { kind: "Defect", tag: undefined, message: "no" } } as const
          : { _tag: "Complete", result: undefined } as const
      }))
      exchange(state, { worker, lease: 30_000, settlements, demand: [], total: 0 }, now)
      left -= claimed.length
    }
    renew(state, { ...hello, lease: 0 }, now)
    maintain(state, now + 500)
  }
}

/** How many things each structure holds, by its path; what is in a row is the row's. Of many alike, the sum. */
const sizes = (value: object, path = "", found: Record<string, number> = {}): Readonly<Record<string, number>> => {
  const add = (count: number) => (found[path] = (found[path] ?? 0) + count)
  if (value instanceof Row) return found
  if (value instanceof Deque || value instanceof Heap || value instanceof Sorted) {
    add(value.size)
    return found
  }
  if (value instanceof Log) {
    // Removed rows stay for a while, until they are a quarter of it.
    add(value.rows.filter(({ isGone }) => !isGone).length)
    return found
  }
  if (value instanceof Map || value instanceof Set || Array.isArray(value)) {
    add(Array.isArray(value) ? value.length : value.size)
    for (const one of value.values()) if (typeof one === "object" && one !== null) sizes(one, `${path}.*`, found)
    return found
  }
  for (const [name, own] of Object.entries(value)) {
    if (name === "hints" || name === "counts" || typeof own !== "object" || own === null) continue
    sizes(own, path === "" ? name : `${path}.${name}`, found)
  }
  return found
}

const make = () => silent(100_000)

describe("under a steady load the memory store", () => {
  it("keeps what retention says, and nothing more in any of its structures (P12)", () => {
    const state = make()
    const rounds = 3000
    run(state, rounds)
    const { "queues.*.turns.last": turns, ...rest } = sizes(state)
    // Of the last rounds what was completed or cancelled, and what has died by count: each of two jobs keeps three.
    const rows = kept * (perRound - 2) + 2 * 3
    assert.deepStrictEqual(rest, {
      rows,
      "catalogue.order": rows,
      "queues.*.lists.all": rows,
      "catalogue.ofJob": 4,
      "catalogue.ofJob.*": rows,
      "catalogue.deadOf.lists": 2,
      "catalogue.deadOf.lists.*": 2 * 3,
      "catalogue.deadFor.lists": 2,
      "catalogue.deadFor.lists.*": 2 * 3,
      "catalogue.withError.lists": 0,
      "catalogue.withLabel.lists": 0,
      "catalogue.ofFlow.lists": 0,
      "catalogue.childrenOf.lists": 0,
      queues: 2,
      "queues.*.due": 0,
      "queues.*.lists.blocked.lists": 0,
      "queues.*.lists.states.scheduled": 0,
      "queues.*.lists.states.cancelled": kept,
      "queues.*.lists.states.dead": 2 * 3,
      "queues.*.lanes": 2,
      "queues.*.lanes.*.inTurn": 0,
      "queues.*.lanes.*.early": 0,
      "queues.*.lanes.*.suspects": 0,
      workers: 0,
      "limits.all": 1,
      "limits.all.*.keys": 0,
      "limits.keys": 0,
      "limits.agenda": 0,
      unique: kept,
      idempotent: kept,
      "listening.rows": 0,
      parked: 0,
      // By tag and end: Task completed and cancelled, Window completed, Fails and Expires dead.
      shelves: 5,
      "shelves.*.rows": rows,
      shelvesOf: 4,
      "shelvesOf.*": 5,
      "shelvesOf.*.*.rows": rows,
      schedules: 0,
      // By tag, of those without keys: Task, Fails, Expires.
      specs: 3,
      "specs.*.tags": 0,
      "specs.*.sensitive.payload": 0,
      "specs.*.sensitive.result": 0,
      "specs.*.sensitive.error": 0,
      "specs.*.sensitive.progress": 0,
      "expiring.heap": 0,
      "expiring.entries": 0,
      gone: 10_000,
      lastGone: 10_000,
      ended: 0
    })
    assert.strictEqual(state.finished, rows)
    // What is let go of in bulk: keys that took turns, and the places of removed rows.
    assert.isAtMost(turns!, 1000)
    assert.isAtMost(state.catalogue.order.size, rows + 1024)
  })
})
