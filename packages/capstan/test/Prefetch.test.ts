/**
 * What a worker claims ahead of free slots: no more than its store's kind allows, and nothing that another worker could start.
 */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, type JobStore } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { storeWith, withOnly } from "./harness.ts"

class Task extends Job.make("Task", { payload: Schema.Number, timeout: "infinite" }) {}
const group = JobGroup.make(Task)
const concurrency = 10

interface Asked {
  readonly total: number
  /** Claimed and not ended, when it asked. */
  readonly held: number
  /** By the last exchange that was answered before or by this one, and by all of them. */
  readonly settled: { readonly last: number; readonly all: number }
}

const kinds = {
  "in the same process": { notifications: "exact", millis: 0 },
  elsewhere: { notifications: "hint", millis: 5 }
} as const

/** A store of a kind, and what it was asked for. */
const watched = ({ millis, notifications }: (typeof kinds)[keyof typeof kinds], fits?: number) => {
  const answers = { after: millis as number }
  const asked: Array<Asked> = []
  const gaveBack: Array<number> = []
  let held = 0
  let settled = { last: 0, all: 0 }
  const layer = storeWith((store) => ({
    notifications,
    exchange: (request: JobStore.ExchangeRequest) =>
      Effect.suspend(() => {
        held -= request.settlements.length
        const released = request.settlements.filter(({ outcome }) => outcome._tag === "Release").length
        if (released > 0) gaveBack.push(released)
        const now = request.settlements.length
        if (request.demand.length > 0) {
          asked.push({
            total: request.total,
            held,
            settled: { last: Math.max(settled.last, now), all: settled.all + now }
          })
        }
        return Effect.map(Effect.delay(store.exchange(request), answers.after), (reply) => {
          held += reply.claimed.length
          settled = { last: now, all: settled.all + now }
          return { ...reply, fits }
        })
      })
  }))
  /** From here on it answers at once, so that a worker can close while no time passes. */
  const hurry = Effect.suspend(() => {
    answers.after = 0
    return TestClock.adjust(millis)
  })
  return { asked, gaveBack, hurry, layer }
}

/** How a worker of handlers that end at once asks for 600 records. */
const drained = (kind: keyof typeof kinds, fits?: number) => {
  const { asked, hurry, layer } = watched(kinds[kind], fits)
  return Effect.gen(function*() {
    yield* Task.enqueueMany(Array.from({ length: 600 }, (_, i) => i))
    yield* Layer.build(withOnly(group, Task.toLayer(() => Effect.void), { concurrency }))
    yield* Effect.addFinalizer(() => hurry)
    yield* TestClock.adjust(kinds[kind].millis * 40)
    const { queues } = yield* (yield* Jobs.Jobs).stats
    assert.strictEqual(queues[0]?.counts.completed, 600)
    return asked
  }).pipe(Effect.scoped, Effect.provide(layer))
}

/** None is above its bound, and one that is above the slots is at it: the bound is no looser than what the worker does. */
const isBounded = (pairs: ReadonlyArray<{ readonly most: number; readonly wants: number }>, from: number): void => {
  for (const { most, wants } of pairs) assert.isAtMost(wants, most)
  assert.isTrue(pairs.some(({ most, wants }) => wants === most && wants > from))
}

describe("what is claimed ahead", () => {
  it.effect("is asked for in parts that the store would rather give, from its first answer on", () =>
    Effect.gen(function*() {
      const [first, ...rest] = (yield* drained("elsewhere", 40)).map(({ total }) => total)
      assert.deepStrictEqual([first, Math.max(...rest)], [concurrency, 40])
      assert.isAbove(Math.max(...(yield* drained("elsewhere")).map(({ total }) => total)), 40)
    }))

  it.effect("is twice what the exchange settles, on a store in the same process", () =>
    Effect.map(drained("in the same process"), (asked) =>
      isBounded(
        asked.map(({ held, settled, total }) => ({ most: concurrency + 2 * settled.last, wants: held + total })),
        concurrency
      )))

  it.effect("is four times what was settled of late, on a store elsewhere, half of it in one exchange", () =>
    Effect.map(drained("elsewhere"), (asked) => {
      for (const { held, settled, total } of asked) assert.isAtMost(held + total, concurrency + 4 * settled.all)
      isBounded(
        asked.map(({ settled, total }) => ({
          most: Math.max(concurrency, Math.ceil((concurrency + 4 * settled.all) / 2)),
          wants: total
        })),
        concurrency
      )
    }))

  for (const kind of Object.keys(kinds) as ReadonlyArray<keyof typeof kinds>) {
    it.effect(`grows with the second exchange, on a store ${kind}`, () =>
      Effect.map(drained(kind), ([first, second]) => {
        assert.strictEqual(first!.total, concurrency)
        assert.isAbove(second!.held + second!.total, concurrency)
      }))

    it.effect(`leaves to others what they can start, on a store ${kind}`, () => {
      const { gaveBack, hurry, layer } = watched(kinds[kind])
      const ended: Array<string> = []
      const pollInterval = 1000
      const worker = (name: string, slow: number) =>
        withOnly(
          group,
          Task.toLayer((n) =>
            Effect.andThen(n < 200 ? Effect.void : Effect.sleep(slow), Effect.sync(() => void ended.push(name)))
          ),
          { concurrency: 2, pollInterval }
        )
      return Effect.gen(function*() {
        yield* Layer.build(worker("slow", 60_000))
        yield* Effect.addFinalizer(() => hurry)
        // So many at once that it claims far ahead, when its handlers become slow.
        yield* Task.enqueueMany(Array.from({ length: 300 }, (_, i) => i))
        yield* TestClock.adjust(1000)
        assert.strictEqual(ended.length, 200)
        // All that it had claimed ahead, and none of it again.
        assert.deepStrictEqual(gaveBack, [98])
        yield* Layer.build(worker("quick", 0))
        yield* Effect.addFinalizer(() => hurry)
        // A poll comes up to a fifth late.
        yield* TestClock.adjust(1.2 * pollInterval)
        const { queues } = yield* (yield* Jobs.Jobs).stats
        assert.deepInclude(queues[0]?.counts, { ready: 0, running: 2, completed: 298 })
        assert.strictEqual(ended.filter((name) => name === "quick").length, 98)
      }).pipe(Effect.scoped, Effect.provide(layer))
    })
  }
})
