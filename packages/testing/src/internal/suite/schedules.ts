/** Schedules: every write names the revision that it has read, and a tick stores its records in the write that moves on. */
import { assert } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

type Row = NonNullable<JobStore.SchedulePut["row"]>

/** Puts a schedule that is not there, and answers how it stands. */
const make = (name: string, row: Partial<Row> = {}) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    assert.isTrue(yield* store.putSchedule({ name, revision: 0, row: { body: "{}", ...row } }))
    return yield* read(name)
  })

const read = (name: string) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const { rows: [row] } = yield* store.schedules({ names: [name], limit: 1 })
    assert.isDefined(row, `schedule ${name} is gone`)
    return row!
  })

/** A tick of one planned instant that enqueues a record. */
const tick = (row: JobStore.ScheduleRow, given: Partial<JobStore.TickRequest> = {}) =>
  Effect.flatMap(JobStore.JobStore, (store) => store.tick({ ...request(row), ...given }))

const request = ({ name, nextAt, revision }: JobStore.ScheduleRow): JobStore.TickRequest => ({
  name,
  revision,
  at: nextAt,
  overlap: "allow",
  ticks: [planned(nextAt ?? 0)],
  next: { nextAt: (nextAt ?? 0) + 1000 }
})

const planned = (at: number, record: Partial<JobStore.NewRecord> = {}) => ({ at, dueAt: at, record: H.record(record) })

export const schedulesFacts: ReadonlyArray<H.Fact> = [
  fact("a tick is taken once, and stores its record in the same step (P8)", function*() {
    const row = yield* make("s", { nextAt: 5000 })
    const requests = [request(row), request(row)]
    const store = yield* JobStore.JobStore
    const taken = yield* Effect.forEach(requests, store.tick)
    assert.deepStrictEqual(taken.map((reply) => reply !== undefined), [true, false])
    assert.isTrue(yield* H.exists(requests[0]!.ticks[0]!.record.id))
    assert.isFalse(yield* H.exists(requests[1]!.ticks[0]!.record.id))
  }),
  fact("many ticks of one instant at the same time: one is taken, and one record is there (P8)", function*() {
    const store = yield* JobStore.JobStore
    const row = yield* make("s", { nextAt: 5000 })
    const taken = yield* Effect.forEach(Array.from({ length: 20 }), () => tick(row), { concurrency: "unbounded" })
    assert.strictEqual(taken.filter((reply) => reply !== undefined).length, 1)
    assert.strictEqual((yield* store.query({ where: {}, order: "oldest", limit: 100 })).records.length, 1)
    assert.strictEqual((yield* read("s")).nextAt, 6000)
  }),
  fact("a tick of a schedule that was changed since it was read does nothing", function*() {
    const store = yield* JobStore.JobStore
    const row = yield* make("s", { nextAt: 5000 })
    const { name, revision } = row
    assert.isTrue(yield* store.putSchedule({ name, revision, row: { nextAt: 5000, body: "paused" } }))
    assert.isUndefined(yield* tick(row))
    assert.strictEqual((yield* read("s")).body, "paused")
  }),
  fact("a tick of a schedule that was removed and made anew does nothing", function*() {
    const store = yield* JobStore.JobStore
    const row = yield* make("s", { nextAt: 5000 })
    assert.isTrue(yield* store.putSchedule({ name: "s", revision: row.revision }))
    assert.isUndefined(yield* tick(row))
    yield* make("s", { nextAt: 7000 })
    assert.isUndefined(yield* tick(row))
    assert.strictEqual((yield* read("s")).nextAt, 7000)
  }),
  fact("a tick tells what it did, and the schedule remembers it", function*() {
    const store = yield* JobStore.JobStore
    const { now } = yield* store.schedules({ limit: 1 })
    const row = yield* make("s", { nextAt: now, body: "body" })
    assert.deepStrictEqual([row.count, row.last], [0, undefined])
    yield* H.advance(30)
    const given = request(row)
    const reply = yield* store.tick({
      ...given,
      ticks: [{ ...given.ticks[0]!, dueAt: now + 20 }],
      next: { nextAt: now + 1000, attendAt: now + 1010 }
    })
    const { id } = given.ticks[0]!.record
    assert.deepStrictEqual(reply, { now: now + 30, outcomes: [{ outcome: "Enqueued", id }] })
    assert.deepStrictEqual(yield* read("s"), {
      name: "s",
      revision: row.revision + 1,
      nextAt: now + 1000,
      attendAt: now + 1010,
      body: "body",
      count: 1,
      last: { at: now, dueAt: now + 20, tickedAt: now + 30, outcome: "Enqueued", id }
    })
  }),
  fact("several ticks go in one write, in their order, and their schedule may get another body", function*() {
    const row = yield* make("s", { nextAt: 1000 })
    const ticks = [1000, 2000, 3000].map((at) => planned(at))
    const reply = yield* tick(row, { ticks, next: { nextAt: 4000, body: "other" } })
    const ids = ticks.map(({ record }) => record.id)
    assert.deepStrictEqual(reply?.outcomes.map(({ id }) => id), ids)
    assert.deepStrictEqual((yield* H.claim("w", 5)).map(({ id }) => id), ids)
    const { body, count, last, nextAt } = yield* read("s")
    assert.deepStrictEqual([body, count, last?.at, nextAt], ["other", 3, 3000, 4000])
  }),
  fact("a tick of nothing moves the schedule on", function*() {
    const row = yield* make("s", { nextAt: 1000 })
    const reply = yield* tick(row, { ticks: [], next: { nextAt: 9000 } })
    assert.deepStrictEqual(reply?.outcomes, [])
    const { count, last, nextAt } = yield* read("s")
    assert.deepStrictEqual([count, last, nextAt], [0, undefined, 9000])
  }),
  fact("the limit ends a schedule, in the midst of several ticks too; a run by hand does not count", function*() {
    const row = yield* make("s", { nextAt: 1000 })
    yield* tick(row, { isAsked: true, limit: 2, next: { nextAt: 1000 } })
    const ticks = [1000, 2000, 3000].map((at) => planned(at))
    const reply = yield* tick(yield* read("s"), { ticks, limit: 2, next: { nextAt: 4000, attendAt: 4000 } })
    assert.strictEqual(reply?.outcomes.length, 2)
    assert.isFalse(yield* H.exists(ticks[2]!.record.id))
    const { attendAt, count, last, nextAt } = yield* read("s")
    assert.deepStrictEqual([count, last?.at, nextAt, attendAt], [2, 2000, undefined, undefined])
  }),
  fact("a tick of a schedule without a next instant is compared alike", function*() {
    const row = yield* make("s")
    assert.isUndefined(yield* tick({ ...row, nextAt: 5000 }))
    assert.isDefined(yield* tick(row, { isAsked: true, next: {} }))
    assert.strictEqual((yield* read("s")).nextAt, undefined)
  }),

  // overlap
  fact("overlap, skip: a tick enqueues nothing until the record before it is final", function*() {
    yield* make("s", { nextAt: 1000 })
    const next = Effect.flatMap(read("s"), (row) => tick(row, { overlap: "skip" }))
    const id = (yield* next)?.outcomes[0]?.id
    assert.deepStrictEqual((yield* next)?.outcomes, [{ outcome: "Skipped", id: id! }])
    const claimed = yield* H.claimOne("w")
    assert.strictEqual((yield* next)?.outcomes[0]?.outcome, "Skipped")
    assert.deepStrictEqual((yield* read("s")).last, {
      at: 3000,
      dueAt: 3000,
      tickedAt: (yield* Effect.flatMap(JobStore.JobStore, (store) => store.schedules({ limit: 1 }))).now,
      outcome: "Skipped",
      id: id!
    })
    yield* H.settle("w", claimed, H.retryAfter(60_000))
    assert.strictEqual((yield* next)?.outcomes[0]?.outcome, "Skipped")
    yield* H.control({ _tag: "Cancel", reason: "r" }, id!)
    assert.strictEqual((yield* next)?.outcomes[0]?.outcome, "Enqueued")
    assert.strictEqual((yield* read("s")).count, 2)
  }),
  fact("overlap, skip: of several ticks in one write the first enqueues", function*() {
    const row = yield* make("s", { nextAt: 1000 })
    const reply = yield* tick(row, { overlap: "skip", ticks: [planned(1000), planned(2000)] })
    assert.deepStrictEqual(reply?.outcomes.map(({ outcome }) => outcome), ["Enqueued", "Skipped"])
    assert.strictEqual((yield* H.claim("w", 5)).length, 1)
  }),
  fact("overlap, cancelPrevious: a waiting record is cancelled, a running one is asked to stop", function*() {
    yield* make("s", { nextAt: 1000 })
    const next = Effect.map(
      Effect.flatMap(read("s"), (row) => tick(row, { overlap: "cancelPrevious" })),
      (reply) => reply!.outcomes[0]!.id
    )
    const first = yield* next
    const second = yield* next
    assert.deepStrictEqual([yield* H.stateOf(first), yield* H.stateOf(second)], ["cancelled", "ready"])
    const claimed = yield* H.claimOne("w")
    const third = yield* next
    const { cancel } = yield* H.exchange("w")
    assert.deepStrictEqual(cancel.map(({ id }) => id), [second])
    yield* H.settle("w", claimed, { _tag: "Cancel", reason: cancel[0]!.reason })
    assert.deepStrictEqual([yield* H.stateOf(second), yield* H.stateOf(third)], ["cancelled", "ready"])
  }),
  fact("overlap: a record that is gone holds up nothing, and no other schedule's does", function*() {
    yield* make("other", { nextAt: 1000 })
    yield* tick(yield* read("other"), { overlap: "skip" })
    yield* make("s", { nextAt: 1000 })
    const next = Effect.map(
      Effect.flatMap(read("s"), (row) => tick(row, { overlap: "skip" })),
      (reply) => reply!.outcomes[0]!
    )
    const { id } = yield* next
    yield* H.control({ _tag: "Delete" }, id)
    assert.strictEqual((yield* next).outcome, "Enqueued")
  }),
  fact("records that must wait for each other by a key run one at a time, in their order", function*() {
    const row = yield* make("s", { nextAt: 1000 })
    const keyed = { concurrency: { key: "schedule:s", limit: 1 } }
    yield* tick(row, { ticks: [1000, 2000].map((at) => planned(at, { ...keyed, payload: String(at) })) })
    const first = yield* H.claim("w", 5)
    assert.deepStrictEqual(first.map(({ payload }) => payload), ["1000"])
    yield* H.settle("w", first[0]!, H.complete)
    assert.deepStrictEqual((yield* H.claim("w", 5)).map(({ payload }) => payload), ["2000"])
  }),
  fact("records of ticks that wait for the one before run when it has ended, not between its attempts", function*() {
    const after = (id: JobStore.NewRecord["id"]) => ({
      dependencies: [{ name: "previous", id, onFailure: "continue" as const }]
    })
    const first = planned(1000)
    const second = planned(2000, after(first.record.id))
    yield* tick(yield* make("s", { nextAt: 1000 }), { ticks: [first, second], next: { nextAt: 3000 } })
    const third = planned(3000, after(second.record.id))
    yield* tick(yield* read("s"), { ticks: [third] })
    const ends: ReadonlyArray<JobStore.Outcome> = [H.retryAfter(1000), H.dead, H.complete]
    const order = [first, first, second, third].map(({ record }) => record.id)
    for (let i = 0; i < ends.length; i++) {
      const claimed = yield* H.claim("w", 5)
      assert.deepStrictEqual(claimed.map(({ id }) => id), [order[i]!])
      yield* H.settle("w", claimed[0]!, ends[i]!)
      if (i > 0) continue
      assert.deepStrictEqual(yield* H.claim("w", 5), [])
      yield* H.advance(1000)
    }
    assert.deepStrictEqual((yield* H.claim("w", 5)).map(({ id }) => id), [order[3]!])
  }),
  fact("a tick's record keeps to the keys of its job", function*() {
    const unique = { key: "u", until: "finished", onConflict: "keep" } as const
    const { id } = yield* H.enqueue({ unique })
    const row = yield* make("s", { nextAt: 1000 })
    const reply = yield* tick(row, { ticks: [planned(1000, { unique })] })
    assert.deepStrictEqual(reply?.outcomes, [{ outcome: "Enqueued", id }])
  }),
  fact("a tick whose record another one stands for leaves that alone, and its next tick too", function*() {
    const unique = { key: "u", until: "finished", onConflict: "keep" } as const
    yield* make("s", { nextAt: 1000 })
    const next = (onConflict: JobStore.UniqueClaim["onConflict"]) =>
      Effect.flatMap(read("s"), (row) =>
        Effect.map(
          tick(row, { overlap: "cancelPrevious", ticks: [planned(1000, { unique: { ...unique, onConflict } })] }),
          (reply) => reply!.outcomes[0]!.id
        ))
    const { id } = yield* H.enqueue({ unique })
    assert.deepStrictEqual([yield* next("keep"), yield* next("keep")], [id, id])
    assert.deepStrictEqual([yield* H.stateOf(id), (yield* read("s")).last?.id], ["ready", undefined])
    // With its contents it is one of the schedule's.
    assert.strictEqual(yield* next("replace"), id)
    assert.strictEqual((yield* read("s")).last?.id, id)
    const own = yield* next("keep")
    assert.deepStrictEqual([yield* H.stateOf(id), yield* H.stateOf(own)], ["cancelled", "ready"])
  }),
  fact("a tick is not refused for the sake of a member of a flow: its record is stored without its key", function*() {
    const unique = { key: "u", until: "finished", onConflict: "replace" } as const
    const member = yield* H.enqueue({ unique, flowId: "f" })
    const row = yield* make("s", { nextAt: 1000 })
    const given = planned(1000, { unique, tags: ["t"], headers: { h: "\ud800" } })
    const reply = yield* tick(row, { ticks: [given] })
    const { id } = given.record
    assert.deepStrictEqual(reply?.outcomes, [{ outcome: "Enqueued", id }])
    assert.strictEqual((yield* read("s")).last?.id, id)
    const { headers, state, tags, uniqueKey } = yield* H.get(id)
    assert.deepStrictEqual([state, tags, headers, uniqueKey], ["ready", ["t"], { h: "\ud800" }, undefined])
    // It has no key to free.
    yield* H.control({ _tag: "Cancel", reason: "r" }, id)
    assert.deepStrictEqual(yield* H.enqueue({ unique }), { id: member.id, outcome: "UniqueConflict" })
  }),

  // put and read
  fact("of those who make or change a schedule at the same time, one is taken", function*() {
    const store = yield* JobStore.JobStore
    const all = <A, E>(put: (i: number) => Effect.Effect<A, E>) =>
      Effect.forEach([1, 2, 3, 4, 5], put, { concurrency: "unbounded" })
    const made = yield* all((i) => store.putSchedule({ name: "s", revision: 0, row: { body: `${i}` } }))
    assert.strictEqual(made.filter((isPut) => isPut).length, 1)
    const { body, revision } = yield* read("s")
    assert.strictEqual(body, `${made.indexOf(true) + 1}`)
    const changed = yield* all((i) => store.putSchedule({ name: "s", revision, row: { body: `${i}`, nextAt: i } }))
    assert.strictEqual(changed.filter((isPut) => isPut).length, 1)
    assert.strictEqual((yield* read("s")).nextAt, changed.indexOf(true) + 1)
    assert.isFalse(yield* store.putSchedule({ name: "s", revision }))
    assert.isFalse(yield* store.putSchedule({ name: "none", revision: 1, row: { body: "" } }))
    assert.deepStrictEqual((yield* store.schedules({ names: ["none"], limit: 1 })).rows, [])
  }),
  fact("a change keeps the count and the last tick", function*() {
    const store = yield* JobStore.JobStore
    const row = yield* make("s", { nextAt: 1000 })
    yield* tick(row)
    const before = yield* read("s")
    const put = { nextAt: 500_000, attendAt: 600_000, body: "{\"text\":\"ä\\u001f\\u0000\"}" }
    assert.isTrue(yield* store.putSchedule({ name: "s", revision: before.revision, row: put }))
    assert.deepStrictEqual(yield* read("s"), { ...before, ...put, revision: before.revision + 1 })
  }),
  fact("schedules are read by name, and page by page in the order of their names", function*() {
    const store = yield* JobStore.JobStore
    yield* Effect.forEach(["b", "d", "a", "c", "a/b"], (name) => make(name))
    const names = (request: JobStore.SchedulesRequest) =>
      Effect.map(store.schedules(request), ({ rows }) => rows.map(({ name }) => name))
    assert.deepStrictEqual(yield* names({ limit: 3 }), ["a", "a/b", "b"])
    assert.deepStrictEqual(yield* names({ limit: 3, after: "b" }), ["c", "d"])
    assert.deepStrictEqual(yield* names({ names: ["d", "x", "b"], limit: 10 }), ["b", "d"])
    assert.deepStrictEqual(yield* names({ limit: 3, after: "d" }), [])
  }),

  // attention
  fact("maintain hands out a schedule when it needs to be seen to, to one at a time", function*() {
    const store = yield* JobStore.JobStore
    const { now } = yield* store.schedules({ limit: 1 })
    yield* make("later", { nextAt: now + 9000, attendAt: now + 9000 })
    const row = yield* make("s", { nextAt: now + 1000, attendAt: now + 1500 })
    const given = Effect.map(H.maintain, ({ schedules }) => schedules?.rows.map(({ name }) => name) ?? [])
    yield* H.advance(1499)
    assert.deepStrictEqual(yield* given, [])
    yield* H.advance(1)
    const { schedules } = yield* H.maintain
    assert.deepStrictEqual([schedules?.now, schedules?.rows.map(({ revision }) => revision)], [now + 1500, [
      row.revision
    ]])
    assert.deepStrictEqual(yield* given, [])
    // Who was given it has died.
    yield* H.advance(5000)
    assert.deepStrictEqual(yield* given, ["s"])
    yield* tick(row, { next: { nextAt: now + 2000 } })
    yield* H.advance(5000)
    assert.deepStrictEqual(yield* given, ["later"])
  }),
  fact("workers are told when a schedule needs to be seen to", function*() {
    const store = yield* JobStore.JobStore
    const { now } = yield* store.schedules({ limit: 1 })
    yield* H.maintainAll
    const foreseen = Effect.map(H.exchange("w"), ({ maintainIn }) => maintainIn ?? Infinity)
    yield* make("s", { nextAt: now + 50, attendAt: now + 50 })
    assert.isAtMost(yield* foreseen, 50)
    yield* H.advance(50)
    yield* H.maintain
    yield* tick(yield* read("s"), { next: { nextAt: now + 90, attendAt: now + 90 } })
    assert.isAtMost(yield* foreseen, 40)
  })
]
