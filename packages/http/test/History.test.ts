/** How durations are counted and added up, and what is kept of the hours before. */
import { assert, describe, it } from "@effect/vitest"
import { JobRecord, type JobStore } from "capstan"
import { Histogram, mergedOf } from "../src/internal/histogram.ts"
import { History } from "../src/internal/history.ts"
import { noCounts } from "../src/internal/seen.ts"
import { Tally } from "../src/internal/tally.ts"

const of = (values: ReadonlyArray<number>): Histogram => {
  const histogram = new Histogram()
  for (const value of values) histogram.add(value)
  return histogram
}

const range = (from: number, to: number): ReadonlyArray<number> => Array.from({ length: to - from }, (_, i) => from + i)

describe("a histogram", () => {
  it("is off by 5 % at most, from a hundredth of a millisecond to months", () => {
    for (const value of [0.012, 0.5, 1, 7, 40, 333, 12_345, 3_600_000, 5e9]) {
      assert.approximately(of([value]).quantile(0.95)! / value, 1, 0.051, String(value))
    }
    assert.strictEqual(of([0, 0]).quantile(0.5), 0)
  })

  it("says below which value a part of all are", () => {
    const all = of(range(1, 1001))
    assert.approximately(all.quantile(0.5)!, 500, 25)
    assert.approximately(all.quantile(0.95)!, 950, 48)
    assert.approximately(all.quantile(1)!, 1000, 50)
    assert.isUndefined(of([]).quantile(0.5))
  })

  it("of two is that of all they have, which their percentiles do not tell", () => {
    const many = range(1, 900)
    const slow = range(5000, 5100)
    const all = mergedOf([of(many), of(slow)])
    assert.strictEqual(all.count, many.length + slow.length)
    for (const part of [0.1, 0.5, 0.9, 0.95, 0.99]) {
      assert.strictEqual(all.quantile(part), of([...many, ...slow]).quantile(part))
    }
  })
})

const at0 = Date.UTC(2026, 10, 26)

/** The id of what is enqueued at an instant. */
const idAt = (at: number, n = 0): JobRecord.JobId => {
  const instant = at.toString(16).padStart(12, "0")
  return JobRecord.JobId(`${instant.slice(0, 8)}-${instant.slice(8)}-7000-8000-${n.toString(16).padStart(12, "0")}`)
}

const event = (
  type: JobStore.RecordEvent["type"],
  id: JobRecord.JobId,
  at: number,
  { attempt = 1, queue = "mail", ...more }: Partial<JobStore.RecordEvent> = {}
): JobStore.RecordEvent => ({ type, id, at, attempt, queue, tag: "Mail", ...more })

describe("what a store tells", () => {
  it("says how long was waited and run, by queue", () => {
    const tally = new Tally()
    const [a, b] = [idAt(at0, 1), idAt(at0, 2)]
    tally.add([
      event("started", a, at0 + 1000),
      event("started", b, at0 + 2000, { queue: "other" }),
      event("completed", a, at0 + 1500),
      event("dead", b, at0 + 2100, { queue: "other" })
    ])
    const { told } = tally.take()
    assert.approximately(told.get("mail")!.waits.quantile(0.5)!, 1000, 50)
    assert.approximately(told.get("mail")!.runs.quantile(0.5)!, 500, 25)
    assert.approximately(told.get("other")!.waits.quantile(0.5)!, 2000, 100)
    assert.deepInclude(told.get("other"), { completed: 0, failed: 1 })
    assert.strictEqual(tally.take().told.size, 0)
  })

  it("counts the wait of a record once, whatever attempt its second start is", () => {
    const tally = new Tally()
    const id = idAt(at0)
    tally.add([
      event("started", id, at0 + 10),
      event("retried", id, at0 + 20),
      // A snooze has given its attempt back.
      event("started", id, at0 + 60_000),
      event("retried", id, at0 + 60_010),
      event("started", id, at0 + 90_000, { attempt: 2 })
    ])
    const { told } = tally.take()
    assert.strictEqual(told.get("mail")!.waits.count, 1)
    assert.strictEqual(told.get("mail")!.runs.count, 2)
  })

  it("counts a snooze as an attempt that ended, and as no failure", () => {
    const tally = new Tally()
    const id = idAt(at0)
    tally.add([
      event("started", id, at0 + 10),
      event("retried", id, at0 + 20, { attempt: 0, snoozed: true }),
      event("started", id, at0 + 30),
      event("retried", id, at0 + 40)
    ])
    const { told } = tally.take()
    assert.deepInclude(told.get("mail"), { completed: 0, failed: 1 })
    assert.strictEqual(told.get("mail")!.runs.count, 2)
  })

  it("is all where nothing but the start of it was missed", () => {
    const tally = new Tally()
    tally.add([{ type: "missed" }])
    assert.isFalse(tally.take().isAtLeast)
  })

  it("of what began before it listened says nothing", () => {
    const tally = new Tally()
    tally.add([event("completed", idAt(at0), at0 + 10), { type: "missed" }])
    const { isAtLeast, told } = tally.take()
    assert.strictEqual(told.get("mail")!.runs.count, 0)
    assert.isTrue(isAtLeast)
  })
})

const minute = 60_000

const queueOf = (queue: string, ready: number, oldestReadyAge?: number): JobStore.QueueStats => ({
  queue,
  counts: { ...noCounts(), ready },
  parked: 0,
  oldestReadyAge,
  paused: false
})

/** An attempt of so many milliseconds each minute, twice as long from a minute on. */
const lived = (minutes: number, slowFrom = Infinity) => {
  const history = new History()
  const tally = new Tally()
  for (let i = 0; i < minutes; i++) {
    const at = at0 + i * minute
    const id = idAt(at, i)
    tally.add([event("started", id, at + 10), event("completed", id, at + 10 + (i >= slowFrom ? 200 : 100))])
    history.add({ at: at + 500, queues: [queueOf("mail", i % 2, 1000 + i)], heard: tally.take(), took: 2 })
  }
  return history
}

const all = () => true

describe("the hours before", () => {
  it("are told as a stretch and its parts, which two stretches do not share", () => {
    const history = lived(120, 60)
    const now = history.between(at0 + 60 * minute, at0 + 120 * minute, all)
    const before = history.between(at0, at0 + 60 * minute, all)
    assert.deepStrictEqual([now.parts.length, before.parts.length, now.every], [60, 60, minute])
    assert.deepStrictEqual([now.total.completed, before.total.completed], [60, 60])
    assert.approximately(now.total.run!.p95, 200, 10)
    assert.approximately(before.total.run!.p95, 100, 5)
    assert.approximately(now.total.roundTrip!.p50, 2, 0.1)
    assert.strictEqual(now.total.ready, 0.5)
    assert.strictEqual(before.total.oldestReadyAge, 1059)
    assert.strictEqual(now.since, at0 + 500)
  })

  it("are the last one where nobody says which", () => {
    const { from, parts, total } = lived(120).between(undefined, undefined, all)
    assert.strictEqual(from, at0 + 119 * minute + 501 - 60 * minute)
    assert.deepStrictEqual([total.completed, parts.length], [60, 60])
  })

  it("have 60 parts at most", () => {
    const { every, parts, total } = lived(600).between(at0, at0 + 600 * minute, all)
    assert.deepStrictEqual([every, parts.length, total.completed], [10 * minute, 60, 600])
  })

  it("say nothing of a queue that may not be seen", () => {
    const { total } = lived(10).between(at0, at0 + 10 * minute, (queue) => queue !== "mail")
    assert.deepInclude(total, { completed: 0, ready: 0 })
    assert.isUndefined(total.run)
  })

  it("are 30 at most, and fewer where there are very many queues", () => {
    const history = new History()
    const nothing = { told: new Map(), isAtLeast: false }
    for (let i = 0; i < 31 * 60; i++) history.add({ at: at0 + i * minute, queues: [], heard: nothing, took: 1 })
    assert.strictEqual(history.between(at0, at0 + 31 * 60 * minute, all).total.roundTrip!.count, 30 * 60)
    const wide = new History()
    const queues = Array.from({ length: 1000 }, (_, i) => queueOf(`q${i}`, 1))
    for (let i = 0; i < 100; i++) wide.add({ at: at0 + i * minute, queues, heard: nothing, took: 1 })
    assert.strictEqual(wide.between(at0, at0 + 100 * minute, all).total.roundTrip!.count, 60)
  })
})
