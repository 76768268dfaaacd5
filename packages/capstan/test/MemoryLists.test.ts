/** Lists of the memory store: what is looked at to find them, and that they are what all rows say. */
import { describe, expect, it } from "@effect/vitest"
import { control } from "../src/internal/memory/control.ts"
import { enqueue } from "../src/internal/memory/enqueue.ts"
import { exchange } from "../src/internal/memory/exchange.ts"
import { query } from "../src/internal/memory/query.ts"
import { MemoryState } from "../src/internal/memory/state.ts"
import { JobId, type JobRecord } from "../src/JobRecord.ts"
import type { NewRecord, Outcome, Selection } from "../src/JobStore.ts"
import { silent } from "./silent.ts"

const make = () => silent(Infinity)

const keep = { age: 1e12, count: Infinity }

const record = (n: number, given: Partial<NewRecord> = {}): NewRecord => ({
  id: JobId(`r${n}`),
  tag: "Job",
  version: 1,
  queue: "default",
  priority: 0,
  payload: "1",
  delay: 0,
  retention: { completed: keep, cancelled: keep, dead: keep },
  sensitive: { payload: [], result: [], error: [], progress: [] },
  tags: [],
  headers: {},
  ...given
})

const dead = (tag: string): Outcome => ({
  _tag: "Dead",
  reason: "Failed",
  failure: { kind: "Declared", tag, message: "no" }
})
const complete: Outcome = { _tag: "Complete", result: undefined }

const claim = (state: MemoryState, queue: string, slots: number, now: number) =>
  exchange(
    state,
    { worker: "w", lease: 1e12, settlements: [], demand: [{ queue, slots, share: slots }], total: slots },
    now
  ).claimed

const settle = (
  state: MemoryState,
  all: ReadonlyArray<{ readonly id: JobId; readonly fence: number }>,
  outcome: Outcome,
  now: number
) =>
  exchange(state, {
    worker: "w",
    lease: 1e12,
    settlements: all.map(({ fence, id }) => ({ id, fence, outcome, finishedAfter: 0 })),
    demand: [],
    total: 0
  }, now)

const all = 60_000
const rare = 20

/** Sixty thousand completed ones, and among them, some thousands apart, twenty of each kind that is looked for. */
const sparse = () => {
  const state = make()
  let n = 0
  const add = (given: Partial<NewRecord>, now: number) => enqueue(state, { records: [record(++n, given)] }, now)![0]!.id
  for (let i = 0; i < rare; i++) {
    const now = 1000 * i
    add({ queue: "dying" }, now)
    settle(state, claim(state, "dying", 1, now), dead("Declined"), now)
    add({ tag: "Seldom", queue: "seldom" }, now)
    settle(state, claim(state, "seldom", 1, now), complete, now)
    add({ delay: 1e9 }, now)
    add({ queue: "waiting" }, now)
    add({ queue: "held", concurrency: { key: "one", limit: 1 } }, now)
    add({ tags: ["urgent"], queue: "labelled" }, now)
    add({ flowId: "flow", queue: "labelled" }, now)
    add({ parent: JobId("r1"), queue: "labelled" }, now)
    add({ queue: "cancelled" }, now)
    control(state, { action: { _tag: "Cancel", reason: "no" }, where: { ids: [JobId(`r${n}`)] }, limit: 1 }, now)
    for (let from = 0; from < all / rare; from += 500) {
      enqueue(state, { records: Array.from({ length: 500 }, () => record(++n)) }, now)
      settle(state, claim(state, "default", 500, now), complete, now)
    }
  }
  // Of each queue's: it runs.
  claim(state, "held", 1, 1000 * rare)
  return state
}

describe("a list of twenty among sixty thousand looks at no more than a page", () => {
  const state = sparse()
  const lists: Record<string, readonly [where: Selection, found?: number]> = {
    "the dead": [{ states: ["dead"] }],
    "the dead of a queue": [{ states: ["dead"], queue: "dying" }],
    "the dead of another queue": [{ states: ["dead"], queue: "seldom" }, 0],
    "the dead of a job": [{ states: ["dead"], tag: "Job" }],
    "the dead by reason": [{ deadReason: "Failed" }],
    "by the tag of the error": [{ errorTag: "Declined" }],
    "the cancelled": [{ states: ["cancelled"] }],
    "what is scheduled": [{ states: ["scheduled"] }],
    "what is scheduled of a job": [{ states: ["scheduled"], tag: "Job" }],
    "what is blocked": [{ states: ["blocked"] }, rare - 1],
    "what is blocked by a key": [{ blockedReason: "ConcurrencyKey" }, rare - 1],
    "what waits for something outside": [{ blockedReason: "Waitpoint" }, 0],
    "what crashed": [{ deadReason: "Crashed" }, 0],
    "the dead of another job": [{ states: ["dead"], tag: "Seldom" }, 0],
    "what is ready of a queue": [{ states: ["ready"], queue: "waiting" }],
    "what is ready": [{ states: ["ready"] }, 50],
    "what runs": [{ states: ["running"] }, 1],
    "what is live": [{ states: ["blocked", "scheduled", "ready", "running"] }, 50],
    "a job": [{ tag: "Seldom" }],
    "a job and state": [{ tag: "Seldom", states: ["completed"] }],
    "a queue": [{ queue: "dying" }],
    "a tag": [{ label: "urgent" }],
    "a flow": [{ flowId: "flow" }],
    "the children of a record": [{ parent: JobId("r1") }],
    "an hour": [{ enqueuedFrom: 3000, enqueuedBefore: 4000, limit: 50 } as Selection, 50],
    "no such job": [{ tag: "None" }, 0],
    "no such queue": [{ queue: "none" }, 0],
    "no such tag": [{ label: "none" }, 0]
  }
  for (const [name, [where, found = rare]] of Object.entries(lists)) {
    for (const order of ["newest", "oldest"] as const) {
      it(`${name}, ${order}`, () => {
        const page = query(state, { where, order, limit: 50, cursor: undefined })
        expect(page.records.length).toBe(found)
        expect(page.looked).toBeLessThanOrEqual(50)
      })
    }
  }

  it("and where no list is narrow, it stops after ten thousand and says so", () => {
    const two = make()
    const many = 12_000
    const add = (from: number, tag: string, queue: string) =>
      enqueue(two, { records: Array.from({ length: many }, (_, i) => record(from + i, { tag, queue })) }, 0)
    add(0, "A", "a")
    add(many, "B", "b")
    const where: Selection = { tag: "A", queue: "b" }
    const page = query(two, { where, order: "oldest", limit: 50, cursor: undefined })
    expect(page).toMatchObject({ records: [], looked: 10_000, cursor: String(many + 10_000 - 1) })
    const rest = query(two, { where, order: "oldest", limit: 50, cursor: page.cursor })
    expect(rest).toMatchObject({ records: [], looked: many - 10_000, cursor: undefined })
  })
})

describe("a dead record that is retried", () => {
  it("is in no list of the dead any more, and in each once when it dies again", () => {
    const state = make()
    const die = (outcome: Outcome, now: number) => settle(state, claim(state, "default", 1, now), outcome, now)
    const others = 5
    for (let n = 1; n <= others; n++) {
      enqueue(state, { records: [record(n, { tag: "Other" })] }, 0)
      die({ _tag: "Dead", reason: "Defect", failure: { kind: "Defect", tag: undefined, message: "no" } }, 0)
    }
    enqueue(state, { records: [record(others + 1)] }, 0)
    const lists: ReadonlyArray<Selection> = [{ deadReason: "Failed" }, { tag: "Job", states: ["dead"] }]
    const looked = () =>
      lists.map((where) => query(state, { where, order: "oldest", limit: 50, cursor: undefined }).looked)
    die(dead("Declined"), 1)
    expect(looked()).toEqual([1, 1])
    control(state, { action: { _tag: "Retry" }, where: { ids: [JobId(`r${others + 1}`)] }, limit: 1 }, 2)
    expect(looked()).toEqual([0, 0])
    die(dead("Declined"), 3)
    expect(looked()).toEqual([1, 1])
  })
})

/** The same numbers at every run. */
const dice = (seed: number) => {
  let at = seed
  return (sides: number) => {
    at = (at * 1103515245 + 12345) % 2147483648
    return Math.floor(at / 65536) % sides
  }
}

const matches = (row: JobRecord, where: Selection): boolean =>
  (where.tag === undefined || row.tag === where.tag) &&
  (where.queue === undefined || row.queue === where.queue) &&
  (where.states === undefined || where.states.includes(row.state)) &&
  (where.blockedReason === undefined || row.blocked?.reason === where.blockedReason) &&
  (where.deadReason === undefined || row.deadReason === where.deadReason) &&
  (where.label === undefined || row.tags.includes(where.label)) &&
  (where.errorTag === undefined || row.failures.at(-1)?.tag === where.errorTag) &&
  (where.flowId === undefined || row.flowId === where.flowId) &&
  (where.enqueuedFrom === undefined || row.enqueuedAt >= where.enqueuedFrom) &&
  (where.enqueuedBefore === undefined || row.enqueuedAt < where.enqueuedBefore)

describe("lists have what all rows say, in pages, whatever was done", () => {
  for (let seed = 1; seed <= 8; seed++) {
    it(`seed ${seed}`, () => {
      const die = dice(seed)
      const state = make()
      let now = 0
      let n = 0
      const one = <A>(of: ReadonlyArray<A>): A => of[die(of.length)]!
      const given = (): Partial<NewRecord> => ({
        tag: one(["A", "B"]),
        queue: one(["q", "p"]),
        tags: one([[], ["x"], ["x", "y"]]),
        ...one<Partial<NewRecord>>([{}, {}, { delay: 50 }, { flowId: `f${die(3)}` }, {
          concurrency: { key: `k${die(3)}`, limit: 1 }
        }, { unique: { key: `u${die(5)}`, until: "finished", onConflict: one(["replace", "runAfter"]) } }])
      })
      for (let i = 0; i < 1500; i++) {
        // Seed 8 is one whose clock is set back now and then.
        now = Math.max(0, now + die(5) - (seed === 8 && die(50) === 0 ? 100 : 0))
        const what = die(10)
        if (what < 4) enqueue(state, { records: [record(++n, given())] }, now)
        else if (what < 8) {
          const outcome = one<Outcome>([
            complete,
            dead(one(["E", "F"])),
            { _tag: "RetryAfter", delay: 20, failure: { kind: "Declared", tag: one(["E", "F"]), message: "" } },
            { _tag: "Release" }
          ])
          const claimed = claim(state, one(["q", "p"]), 2, now)
          if (die(4) > 0) settle(state, claimed, outcome, now)
        } else {
          control(state, {
            action: one([{ _tag: "Delete" }, { _tag: "Retry" }, { _tag: "Cancel", reason: "" }] as const),
            where: { ids: [JobId(`r${1 + die(n + 1)}`)] },
            limit: 1
          }, now)
        }
      }
      const everything = query(state, { where: {}, order: "oldest", limit: 10_000, cursor: undefined }).records
      expect(everything.length).toBe(state.rows.size)
      for (
        const where of [
          ...["blocked", "scheduled", "ready", "running", "completed", "cancelled", "dead"].flatMap((of) => [
            { states: [of] },
            { states: [of], queue: "q" },
            { states: [of, "dead"], tag: "A" }
          ]),
          { tag: "B" },
          { queue: "p", tag: "A" },
          { label: "y" },
          { blockedReason: "ConcurrencyKey" },
          { blockedReason: "Unique", queue: "q" },
          { deadReason: "Failed" },
          { deadReason: "Failed", tag: "A" },
          { label: "y", states: ["dead"] },
          { errorTag: "E" },
          { errorTag: "F", queue: "q" },
          { flowId: "f1" },
          { enqueuedFrom: 700, enqueuedBefore: 1400 },
          { enqueuedFrom: 700, states: ["dead"] }
        ] as ReadonlyArray<Selection>
      ) {
        const expected = everything.filter((row) => matches(row, where)).map(({ id }) => id)
        for (const order of ["oldest", "newest"] as const) {
          const found: Array<string> = []
          let cursor: string | undefined
          do {
            const page = query(state, { where, order, limit: 7, cursor })
            for (const { id } of page.records) found.push(id)
            cursor = page.cursor
          } while (cursor !== undefined)
          expect(found, JSON.stringify({ where, order })).toEqual(order === "oldest" ? expected : expected.toReversed())
        }
      }
    })
  }
})
