/** Siblings that a failure cancels, where of the record that waited nothing is kept. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { on } from "./counted.ts"

const nothing = { age: 0, count: 0 }
const retention = { completed: nothing, cancelled: nothing, dead: nothing }

/** What waits for one that expires soon, and for one beside it. */
const fail = Effect.gen(function*() {
  const fails = yield* Suite.enqueue({ startBefore: 100 })
  const beside = yield* Suite.enqueue({ queue: "later" })
  const { id } = yield* Suite.enqueue({
    queue: "other",
    retention,
    dependencies: [fails, beside].map(({ id }, i) => ({ name: `d${i}`, id, onFailure: "cancelSiblings" as const }))
  })
  return { fails: fails.id, beside: beside.id, waits: id }
})

describe("a sibling of what has failed", () => {
  it.live("is cancelled when the maintenance in which the failure falls sweeps what waited", () =>
    on("swept", () =>
      Effect.gen(function*() {
        const { beside, waits } = yield* fail
        yield* Suite.advance(101)
        yield* Suite.maintainAll
        assert.isFalse(yield* Suite.exists(waits))
        assert.strictEqual(yield* Suite.stateOf(beside), "cancelled")
      })))

  it.live("is cancelled when what waited is swept, or deleted, before anything else is done", () =>
    on("before", () =>
      Effect.gen(function*() {
        for (const sweeps of [true, false]) {
          const { beside, fails, waits } = yield* fail
          yield* Suite.control({ _tag: "Cancel", reason: "r" }, fails)
          assert.strictEqual(yield* Suite.stateOf(waits), "dead")
          if (!sweeps) yield* Suite.control({ _tag: "Delete" }, waits)
          yield* Suite.maintainAll
          assert.isFalse(yield* Suite.exists(waits))
          assert.strictEqual(yield* Suite.stateOf(beside), "cancelled")
        }
      })))
})
