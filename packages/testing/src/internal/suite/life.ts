import { assert } from "@effect/vitest"
import { JobRecord, JobStore, Lifecycle } from "capstan"
import { Effect, Random } from "effect"
import * as H from "./harness.ts"

const keyLimit = 2
const workers = ["a", "b", "c"]

/** Whether one or two events of the table lead from one state to another: one call may let a record go on twice. */
const reachable = (from: JobRecord.State, to: JobRecord.State): boolean => {
  const events = Object.keys(Lifecycle.table) as ReadonlyArray<Lifecycle.Event>
  const direct = (a: JobRecord.State, b: JobRecord.State) => events.some((event) => Lifecycle.allows(event, a, b))
  return from === to || direct(from, to) ||
    JobRecord.states.some((middle) => direct(from, middle) && direct(middle, to))
}

/** Random calls by some workers and an operator, with what they hold. */
class RandomCalls {
  readonly held: Array<{ readonly worker: string; readonly attempt: JobStore.Claimed }> = []
  readonly ids: Array<JobRecord.JobId> = []

  readonly step = Effect.gen({ self: this }, function*() {
    const pick = yield* Random.nextIntBetween(0, 12)
    const worker = workers[yield* Random.nextIntBetween(0, workers.length - 1)]!
    if (pick <= 3) return yield* this.add()
    if (pick <= 6) return yield* this.claim(worker)
    if (pick <= 9) return yield* this.settle()
    if (pick === 10) return yield* this.operate()
    yield* H.advance(yield* Random.nextIntBetween(1, H.lease / 2))
    if (pick === 11) yield* H.maintain
    else {yield* H.renew(worker, {
        holding: this.held.filter((held) => held.worker === worker).map(({ attempt }) => attempt)
      })}
  })

  private add() {
    return Effect.gen({ self: this }, function*() {
      const kind = yield* Random.nextIntBetween(0, 5)
      const { id } = yield* H.enqueue({
        priority: yield* Random.nextIntBetween(-1, 1),
        ...(kind === 0 ? { delay: yield* Random.nextIntBetween(0, 10_000) } : {}),
        ...(kind === 1 ? { concurrency: { key: "k", limit: keyLimit } } : {}),
        ...(kind === 2 ? { unique: { key: "u", until: "finished", onConflict: "runAfter" } } : {}),
        ...(kind === 3 ? { startBefore: 20_000 } : {}),
        ...(kind === 4 && this.ids.length > 0 ? { dependencies: [{ name: "d", id: this.ids.at(-1)! }] } : {})
      })
      if (!this.ids.includes(id)) this.ids.push(id)
    })
  }

  private claim(worker: string) {
    return Effect.map(H.claim(worker, 3), (claimed) => {
      for (const attempt of claimed) this.held.push({ worker, attempt })
    })
  }

  /** Of what was claimed once, also long after: stale ones must not count. */
  private settle() {
    return Effect.gen({ self: this }, function*() {
      if (this.held.length === 0) return
      const { attempt, worker } = this.held[yield* Random.nextIntBetween(0, this.held.length - 1)]!
      const outcomes: ReadonlyArray<JobStore.Outcome> = [
        H.complete,
        H.dead,
        H.retryAfter(yield* Random.nextIntBetween(0, 5000)),
        { _tag: "SnoozeFor", delay: 100 },
        { _tag: "Release" },
        { _tag: "Park", reason: "NoHandler" },
        { _tag: "Cancel", reason: "r" }
      ]
      yield* H.settle(worker, attempt, outcomes[yield* Random.nextIntBetween(0, outcomes.length - 1)]!)
    })
  }

  private operate() {
    return Effect.gen({ self: this }, function*() {
      if (this.ids.length === 0) return
      const actions: ReadonlyArray<JobStore.ControlAction> = [
        { _tag: "Cancel", reason: "r" },
        { _tag: "Retry" },
        { _tag: "Promote" },
        { _tag: "Reschedule", delay: 500 },
        { _tag: "Reprioritise", priority: 7 }
      ]
      const id = this.ids[yield* Random.nextIntBetween(0, this.ids.length - 1)]!
      yield* H.control(actions[yield* Random.nextIntBetween(0, actions.length - 1)]!, id)
    })
  }
}

/** All records as they stand. */
const snapshot = Effect.flatMap(JobStore.JobStore, ({ query }) =>
  Effect.map(
    query({ where: {}, order: "oldest", limit: 1000 }),
    ({ records }) => new Map(records.map((record) => [record.id, record]))
  ))

const check = (before: ReadonlyMap<string, JobRecord.JobRecord>, after: ReadonlyMap<string, JobRecord.JobRecord>) =>
  Effect.gen(function*() {
    const counts: Record<string, number> = {}
    let running = 0
    for (const [id, record] of after) {
      const was = before.get(id)
      counts[record.state] = (counts[record.state] ?? 0) + 1
      if (record.concurrencyKey === "k" && record.state === "running") running++
      assert.strictEqual(record.state === "running", record.worker !== undefined, "only what runs has a worker")
      if (was === undefined) continue
      assert.isAtLeast(record.fence, was.fence, "a fence fell")
      assert.isTrue(reachable(was.state, record.state), `${was.state} to ${record.state} is not in the table`)
      if (was.state === "running" && record.state !== "running") {
        assert.isAbove(record.fence, was.fence, "an attempt ended with the same fence")
      }
    }
    assert.isAtMost(running, keyLimit, "a concurrency key is above its limit")
    if (after.size === 0) return
    const stats = yield* H.statsOf()
    for (const state of JobRecord.states) {
      assert.strictEqual(stats.counts[state], counts[state] ?? 0, `count of ${state}`)
    }
  })

export const lifeFacts: ReadonlyArray<H.Fact> = ["1", "2", "3", "4", "5"].map((seed) => ({
  name:
    `under random calls every step is in the transition table, fences rise, keys hold and counts agree (seed ${seed})`,
  run: Effect.gen(function*() {
    const random = new RandomCalls()
    let before = yield* snapshot
    for (let i = 0; i < 300; i++) {
      yield* random.step
      const after = yield* snapshot
      yield* check(before, after)
      before = after
    }
  }).pipe(Random.withSeed(seed))
}))
