/** Searches in 20,000 records: what is done for a page hangs on the page, not on what the store keeps. */
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import { pagesInside } from "../../testing/src/internal/inside.ts"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { commands, on } from "./counted.ts"

type Where = JobStore.Selection

/** By the minute: 8,000 that end and as many that wait, then some hundred of a rare job among others, then more of those. */
const fill = Effect.gen(function*() {
  const ended = yield* Suite.enqueueMany(8000, { queue: "busy" })
  for (let i = 0; i < 8; i++) {
    const claimed = yield* Suite.claim("w", 1000, "busy")
    yield* Suite.exchange("w", {
      settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome: Suite.complete, finishedAfter: 0 }))
    })
  }
  yield* Suite.advance(60_000)
  const waiting = yield* Suite.enqueueMany(8000, { queue: "busy" })
  yield* Suite.advance(60_000)
  const rare = yield* Suite.enqueueMany(300, { tag: "Rare", queue: "other" })
  yield* Suite.advance(60_000)
  const last = yield* Suite.enqueueMany(3700, { queue: "busy" })
  return { ended, waiting, rare, last }
})

const idsOf = ({ records }: JobStore.QueryReply) => records.map(({ id }) => id)

describe("a search in 20,000 records", () => {
  it.live(
    "by job, queue, state and instant costs what its page costs",
    () =>
      on("pages", (prefix) =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const { ended, last, rare, waiting } = yield* fill
          const at = (id: typeof ended[number]) => Effect.map(Suite.get(id), ({ enqueuedAt }) => enqueuedAt)
          const second = yield* at(waiting[0]!)
          const third = yield* at(rare[0]!)
          const live = [...waiting, ...rare, ...last]
          const cases: ReadonlyArray<readonly [Where, ReadonlyArray<string>]> = [
            [{ tag: "Rare" }, rare],
            [{ queue: "other", states: ["ready", "completed"] }, rare],
            [{ states: ["ready"] }, live],
            [{ queue: "busy", states: ["ready"] }, [...waiting, ...last]],
            [{ tag: "Task", states: ["completed"] }, ended],
            [{ enqueuedFrom: second, enqueuedBefore: third }, waiting],
            [{ enqueuedFrom: third }, [...rare, ...last]],
            [{ enqueuedBefore: second, states: ["completed"] }, ended]
          ]
          for (const [where, expected] of cases) {
            for (const order of ["oldest", "newest"] as const) {
              const all = order === "oldest" ? expected : expected.toReversed()
              const [reply, many] = yield* commands(prefix, store.query({ where, order, limit: 50 }))
              const what = `${order} of ${JSON.stringify(where)}`
              assert.deepStrictEqual(idsOf(reply), all.slice(0, 50), what)
              assert.isBelow(many, 50 * 8 + 250, what)
            }
          }
        })),
    120_000
  )

  it.live(
    "finds what is dead or blocked of a rare job or queue without a look at each of the others",
    () =>
      on("rare", (prefix) =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const die = (queue: string, many: number) =>
            Effect.gen(function*() {
              const claimed = yield* Suite.claim("w", many, queue)
              yield* Suite.exchange("w", {
                settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome: Suite.dead, finishedAfter: 0 }))
              })
            })
          const rare = yield* Suite.enqueueMany(20, { queue: "seldom", tag: "Seldom" })
          yield* die("seldom", 20)
          const held = yield* Suite.enqueueMany(21, { queue: "held", concurrency: { key: "one", limit: 1 } })
          for (let i = 0; i < 10; i++) {
            yield* Suite.enqueueMany(1000, { queue: "busy" })
            yield* die("busy", 500)
          }
          const cases: ReadonlyArray<readonly [Where, ReadonlyArray<string>]> = [
            [{ states: ["dead"], queue: "seldom" }, rare],
            [{ states: ["dead"], tag: "Seldom" }, rare],
            [{ deadReason: "Failed", queue: "seldom" }, rare],
            [{ states: ["dead"], queue: "held" }, []],
            [{ states: ["blocked"] }, held.slice(1)],
            [{ states: ["blocked"], queue: "held" }, held.slice(1)],
            [{ states: ["dead"], queue: "none" }, []]
          ]
          for (const [where, expected] of cases) {
            for (const order of ["oldest", "newest"] as const) {
              const what = `${order} of ${JSON.stringify(where)}`
              const [reply, many] = yield* commands(prefix, store.query({ where, order, limit: 50 }))
              assert.deepStrictEqual(idsOf(reply), order === "oldest" ? expected : expected.toReversed(), what)
              assert.isUndefined(reply.cursor, what)
              // A chunk of the log, of which the states are read at once.
              assert.isAtMost(reply.looked!, 1100, what)
              assert.isBelow(many, 20 * 8 + 150, what)
            }
          }
        })),
    120_000
  )

  it.live(
    "pages through all of them in order, each once, whatever is stored and ends meanwhile",
    () =>
      on("paging", () =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const { last, waiting } = yield* fill
          for (const order of ["oldest", "newest"] as const) {
            const found: Array<string> = []
            let cursor: string | undefined
            do {
              const page: JobStore.QueryReply = yield* store.query({
                where: { queue: "busy", states: ["ready"] },
                order,
                limit: 1500,
                cursor
              })
              found.push(...idsOf(page))
              cursor = page.cursor
              if (order === "newest") yield* Suite.enqueueMany(100, { queue: "busy" })
            } while (cursor !== undefined)
            const all = [...waiting, ...last]
            assert.deepStrictEqual(found, order === "oldest" ? all : all.toReversed())
          }
        })),
    120_000
  )

  it.live(
    "finds a record that runs again, also in a chunk of the log where all had ended",
    () =>
      on("again", () =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const { ended, last, rare, waiting } = yield* fill
          const oldest = store.query({ where: { states: ["ready", "running"] }, order: "oldest", limit: 3 })
          assert.deepStrictEqual(idsOf(yield* oldest), waiting.slice(0, 3))
          yield* Suite.control({ _tag: "Retry" }, ended[5]!)
          assert.deepStrictEqual(idsOf(yield* oldest), [ended[5]!, ...waiting.slice(0, 2)])
          yield* Suite.control({ _tag: "Cancel", reason: "r" }, ended[5]!)
          yield* Suite.control({ _tag: "Delete" }, waiting[0]!)
          assert.deepStrictEqual(idsOf(yield* oldest), waiting.slice(1, 4))
          assert.strictEqual(rare.length + last.length, 4000)
        })),
    120_000
  )
})

it.live("a search inside of payloads has each record once", () => on("inside", () => pagesInside), 60_000)
