/** What many records cost together: commands of a script, counted on the server. */
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { clock } from "../src/internal/lua/context.ts"
import * as Counted from "./counted.ts"

const { commands } = Counted
const on: typeof Counted.on = (theme, run) => Counted.on(theme, run, clock)

describe("records that come back", () => {
  it.live("are claimed at once, in their place among the others", () =>
    on("back", (prefix) =>
      Effect.gen(function*() {
        const first = yield* Suite.enqueueMany(200)
        yield* Suite.enqueueMany(50, { priority: 5 })
        const claimed = yield* Suite.claim("w", 250)
        for (const attempt of claimed) yield* Suite.settle("w", attempt, { _tag: "Release" })
        const later = yield* Suite.enqueueMany(50)
        const [again, many] = yield* commands(prefix, Suite.claim("w", 500))
        assert.deepStrictEqual(again.slice(0, 50).map(({ priority }) => priority), new Array<number>(50).fill(5))
        assert.deepStrictEqual(again.slice(50).map(({ id }) => id), [...first, ...later])
        assert.deepStrictEqual([...new Set(again.slice(0, 250).map(({ attempt, fence }) => `${attempt} ${fence}`))], [
          "1 3"
        ])
        assert.isBelow(many, 80)
        const [back] = again
        assert.strictEqual(yield* Suite.settle("w", back!, Suite.complete), "Done")
        assert.strictEqual((yield* Suite.statsOf()).counts.running, 299)
      })))
})

describe("an answer", () => {
  it.live("says how many of its records fit in what the server writes at once", () =>
    on("fits", () =>
      Effect.gen(function*() {
        const payloadOf = (bytes: number) => JSON.stringify("x".repeat(bytes))
        const fitsFor = (count: number, bytes: number) =>
          Effect.gen(function*() {
            yield* Suite.enqueueMany(count, { payload: payloadOf(bytes) })
            const { claimed, fits } = yield* Suite.exchange("w", {
              demand: [{ queue: "default", slots: count, share: count }],
              total: count
            })
            assert.strictEqual(claimed.length, count)
            return fits
          })
        // An id, two lengths, and 21 characters that say when and what: 57 bytes and the payload.
        assert.strictEqual(yield* fitsFor(200, 98), Math.floor(65_000 / 157))
        assert.strictEqual(yield* fitsFor(400, 298), Math.floor(65_000 / 357))
        // Calls for a few large ones would take longer.
        assert.isUndefined(yield* fitsFor(200, 998))
        // Of few it is not told.
        assert.isUndefined(yield* fitsFor(20, 98))
      })))
})

describe("a search", () => {
  it.live("by job and state looks at what there is of that, not at all records, and pages as the log does", () =>
    on("search", (prefix) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        yield* Suite.enqueueMany(1500, { queue: "busy" })
        for (const attempt of yield* Suite.claim("w", 700, "busy")) yield* Suite.settle("w", attempt, Suite.complete)
        const rare = yield* Suite.enqueueMany(40, { tag: "Rare" })
        yield* Suite.enqueueMany(600, { queue: "busy" })
        const others = yield* Suite.enqueueMany(10, { tag: "Other", delay: 1e6 })
        const ended = yield* Suite.claim("w", 20)
        yield* Suite.exchange("w", {
          settlements: ended.map(({ fence, id }) => ({ id, fence, outcome: Suite.complete, finishedAfter: 0 }))
        })
        const held = yield* Suite.claim("w", 5)
        yield* Suite.settle("w", held[4]!, { _tag: "Release" })
        const idsOf = (records: JobStore.QueryReply["records"]) => records.map(({ id }) => id)

        const cases: ReadonlyArray<readonly [JobStore.Selection, ReadonlyArray<string>]> = [
          [{ tag: "Rare", states: ["completed"] }, rare.slice(0, 20)],
          [{ tag: "Rare", states: ["ready"] }, rare.slice(24)],
          [{ tag: "Rare", states: ["ready", "running", "completed", "dead"] }, rare],
          [{ queue: "default", states: ["running"] }, rare.slice(20, 24)],
          [{ queue: "default", states: ["scheduled"] }, others]
        ]
        for (const [where, expected] of cases) {
          for (const order of ["oldest", "newest"] as const) {
            const [{ records }, many] = yield* commands(prefix, store.query({ where, order, limit: 100 }))
            assert.deepStrictEqual(idsOf(records), order === "oldest" ? expected : expected.toReversed())
            assert.isBelow(many, 400, JSON.stringify(where))

            const paged: Array<string> = []
            let cursor: string | undefined
            do {
              const page: JobStore.QueryReply = yield* store.query({ where, order, limit: 7, cursor })
              paged.push(...idsOf(page.records))
              cursor = page.cursor
            } while (cursor !== undefined)
            assert.deepStrictEqual(paged, idsOf(records))
          }
        }
        // More than the indexes are read for: the log has them, in the same order and with the same cursors.
        yield* Suite.enqueueMany(1200, { queue: "busy" })
        const [{ records }] = yield* commands(
          prefix,
          store.query({ where: { queue: "busy", states: ["ready"] }, order: "oldest", limit: 5000 })
        )
        assert.strictEqual(records.length, 800 + 600 + 1200)
      })))
})
