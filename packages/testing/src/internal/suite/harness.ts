/**
 * What the facts are written with: records with defaults, and the verbs of the seam as a worker calls them.
 */
import { assert } from "@effect/vitest"
import { JobRecord, JobStore } from "capstan"
import { Context, Effect } from "effect"
import { TestClock } from "effect/testing"

/** One thing that a store does, in a sentence. It runs on a store of its own. */
export interface Fact {
  readonly name: string
  /** Asks the store for it. It fails, or dies by an assertion, where the store does not keep it. */
  readonly run: Effect.Effect<void, unknown, JobStore.JobStore>
}

export const fact = <Yielded extends Effect.Effect<unknown, unknown, JobStore.JobStore>>(
  name: string,
  run: () => Generator<Yielded, void, never>
): Fact => ({ name, run: Effect.gen(run) as Fact["run"] })

/** How time passes. By default it is virtual. */
export const Advance = Context.Reference<(millis: number) => Effect.Effect<void>>("capstan/testing/Advance", {
  defaultValue: () => TestClock.adjust
})

export const advance = (millis: number): Effect.Effect<void> => Effect.flatMap(Advance, (pass) => pass(millis))

const forEver: JobRecord.Keep = { age: 365 * 24 * 60 * 60 * 1000, count: Infinity }
export const lease = 30_000

let made = 0

/** A new id. Ids only need to differ: stores take them from core. */
export const newId = (): JobRecord.JobId =>
  JobRecord.JobId(`00000000-0000-7000-8000-${(++made).toString(16).padStart(12, "0")}`)

export const record = (given: Partial<JobStore.NewRecord> = {}): JobStore.NewRecord => ({
  id: newId(),
  tag: "Task",
  version: 1,
  queue: "default",
  priority: 0,
  payload: "null",
  delay: 0,
  retention: { completed: forEver, cancelled: forEver, dead: forEver },
  sensitive: { payload: [], result: [], error: [], progress: [] },
  tags: [],
  headers: {},
  ...given
})

const store = JobStore.JobStore

/** Stores one record and answers what the store did. */
export const enqueue = (given: Partial<JobStore.NewRecord> = {}) =>
  Effect.flatMap(store, ({ enqueue }) => Effect.map(enqueue({ records: [record(given)] }), ([answer]) => answer!))

export const enqueueMany = (count: number, given: Partial<JobStore.NewRecord> = {}) =>
  Effect.flatMap(store, ({ enqueue }) =>
    Effect.map(
      enqueue({ records: Array.from({ length: count }, () => record(given)) }),
      (answers) => answers.map(({ id }) => id)
    ))

export const exchange = (worker: string, given: Partial<JobStore.ExchangeRequest> = {}) =>
  Effect.flatMap(store, ({ exchange }) => exchange({ worker, lease, settlements: [], demand: [], total: 0, ...given }))

/** Claims up to so many records of one queue. */
export const claim = (worker: string, slots = 1, queue = "default") =>
  Effect.map(exchange(worker, { demand: [{ queue, slots, share: slots }], total: slots }), ({ claimed }) => claimed)

export const claimOne = (worker: string, queue = "default") =>
  Effect.map(claim(worker, 1, queue), ([claimed]) => {
    assert.isDefined(claimed, "there was nothing to claim")
    return claimed!
  })

export const complete: JobStore.Outcome = { _tag: "Complete", result: undefined }
export const failure: JobStore.NewFailure = { kind: "Declared", tag: "Oops", message: "oops", error: `{"_tag":"Oops"}` }
export const dead: JobStore.Outcome = { _tag: "Dead", reason: "Failed", failure }
export const retryAfter = (delay: number): JobStore.Outcome => ({ _tag: "RetryAfter", delay, failure })

/** Settles one attempt and answers what the store said. */
export const settle = (
  worker: string,
  at: JobStore.AttemptRef,
  outcome: JobStore.Outcome,
  more: Partial<JobStore.Settlement> = {}
) =>
  Effect.map(
    exchange(worker, { settlements: [{ id: at.id, fence: at.fence, outcome, finishedAfter: 0, ...more }] }),
    ({ settled }) => settled[0]!
  )

export const renew = (worker: string, given: Partial<JobStore.RenewRequest> = {}) =>
  Effect.flatMap(
    store,
    ({ renew }) =>
      renew({ worker, lease, queues: ["default"], handles: [], holding: [], reconcileOlderThan: Infinity, ...given })
  )

export const maintain = Effect.flatMap(store, ({ maintain }) => maintain)

/** Maintains until the store says that there is no more to do for now. */
export const maintainAll = Effect.gen(function*() {
  for (let i = 0; i < 100; i++) if ((yield* maintain).maintainIn !== 0) return
  assert.fail("maintain has more to do after a hundred calls")
})

/** Waits for what a store tells by itself, and says what it waited for when that does not come. */
export const until = (what: string, holds: () => boolean) =>
  Effect.gen(function*() {
    for (let i = 0; i < 500; i++) {
      yield* advance(0)
      if (holds()) return
      yield* TestClock.withLive(Effect.sleep("10 millis"))
    }
    assert.fail(`did not come within five seconds: ${what}`)
  })

export const get = (id: JobRecord.JobId) =>
  Effect.flatMap(store, ({ get }) =>
    Effect.map(get(id), (found) => {
      assert.isDefined(found, `record ${id} is gone`)
      return found!
    }))

export const exists = (id: JobRecord.JobId) =>
  Effect.flatMap(store, ({ get }) => Effect.map(get(id), (found) => found !== undefined))

export const stateOf = (id: JobRecord.JobId) => Effect.map(get(id), ({ state }) => state)

export const control = (action: JobStore.ControlAction, ...ids: ReadonlyArray<JobRecord.JobId>) =>
  Effect.flatMap(
    store,
    ({ control }) =>
      Effect.map(control({ action, where: { ids }, limit: Math.max(1, ids.length) }), ({ outcomes }) =>
        outcomes.map(({ outcome }) => outcome))
  )

export const statsOf = (queue = "default") =>
  Effect.flatMap(store, ({ stats }) =>
    Effect.map(stats, ({ queues }) => {
      const found = queues.find((stats) => stats.queue === queue)
      assert.isDefined(found)
      return found!
    }))
