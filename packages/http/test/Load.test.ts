/** What looking costs the store: the same however many look. */
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect, Layer } from "effect"
import { Greet, serve } from "./harness.ts"

/** A memory store that counts what it is asked. */
const counted = () => {
  const calls = { stats: 0, query: 0 }
  const store = Layer.effect(
    JobStore.JobStore,
    Effect.map(JobStore.JobStore, (store): JobStore.JobStore["Service"] => ({
      ...store,
      stats: Effect.suspend(() => {
        calls.stats++
        return store.stats
      }),
      query: (request) =>
        Effect.suspend(() => {
          calls.query++
          return store.query(request)
        })
    }))
  ).pipe(Layer.provide(JobStore.layerMemory()))
  return { calls, store }
}

describe("many pages", () => {
  it.live("read the figures together", () =>
    Effect.gen(function*() {
      const { calls, store } = counted()
      const { ask } = yield* serve({ store })
      const ask100 = (path: string) =>
        Effect.forEach(Array.from({ length: 100 }), () => ask("viewer", path), { concurrency: 20, discard: true })
      const start = performance.now()
      yield* ask100("/stats")
      // One reading each half second, and one for what had begun.
      assert.isAtMost(calls.stats, Math.ceil((performance.now() - start) / 500) + 1)
      const before = calls.stats
      const later = performance.now()
      yield* ask100("/series")
      assert.isAtMost(calls.stats - before, Math.ceil((performance.now() - later) / 5000) + 1)
      const asked = performance.now()
      yield* ask100("/jobs")
      yield* ask100("/flows")
      assert.isAtMost(calls.query, Math.ceil((performance.now() - asked) / 2000) + 1)
    }).pipe(Effect.scoped))

  it.live("see at once what one of them has changed", () =>
    Effect.gen(function*() {
      const { ask, context } = yield* serve()
      yield* Effect.provide(Greet.enqueue({ name: "a" }), context)
      const isPaused = Effect.map(ask("viewer", "/stats"), ({ body }) => body.queues[0].paused)
      assert.isFalse(yield* isPaused)
      yield* ask("operator", "/queues/mail/pause", {})
      assert.isTrue(yield* isPaused)
      yield* ask("operator", "/queues/mail/resume", {})
      assert.isFalse(yield* isPaused)
    }).pipe(Effect.scoped))

  it.live("keep the last half hour from the start where it is wanted", () =>
    Effect.gen(function*() {
      const { calls, store } = counted()
      yield* serve({ store, watch: true })
      yield* Effect.yieldNow
      yield* Effect.repeat(Effect.sleep("10 millis"), { until: () => Effect.succeed(calls.stats > 0), times: 200 })
      assert.isAbove(calls.stats, 0)
      const idle = counted()
      yield* serve({ store: idle.store })
      assert.strictEqual(idle.calls.stats, 0)
    }).pipe(Effect.scoped))
})
