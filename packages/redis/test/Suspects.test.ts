/** Records that have crashed their workers: one at a time on each worker, and one right after the other. */
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { on } from "./counted.ts"

describe("a worker", () => {
  it.live("takes the next record that crashed others in the exchange that settles the one before it (P10)", () =>
    on("suspects", () =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const ids = yield* Suite.enqueueMany(3)
        yield* Suite.claim("a", 3)
        yield* Suite.advance(Suite.lease + 1)
        yield* store.maintain
        const taken: Array<string> = []
        let claimed = yield* Suite.claim("b", 10)
        while (claimed.length > 0) {
          taken.push(...claimed.map(({ id }) => id))
          assert.lengthOf(claimed, 1)
          const [{ fence, id }] = claimed as [JobStore.Claimed]
          const reply = yield* Suite.exchange("b", {
            settlements: [{ id, fence, outcome: Suite.complete, finishedAfter: 0 }],
            demand: [{ queue: "default", slots: 10, share: 10 }],
            total: 10
          })
          claimed = reply.claimed
        }
        assert.deepStrictEqual(taken, ids.map(String))
      })))
})
