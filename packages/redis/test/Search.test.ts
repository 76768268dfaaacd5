/** Searches in 20,000 records: what is done for a page hangs on the page, not on what the store keeps. */
import { assert, describe, it } from "@effect/vitest"
import { JobRecord, JobStore } from "capstan"
import { Effect } from "effect"
import { pagesInside } from "../../testing/src/internal/inside.ts"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { repair } from "../src/RedisJobStore.ts"
import { commands, on } from "./counted.ts"
import * as Harness from "./harness.ts"

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
          const late = yield* Suite.enqueueMany(20, { queue: "late" })
          yield* Suite.exchange("w", {
            settlements: (yield* Suite.claim("w", 20, "late")).map(({ fence, id }) => ({
              id,
              fence,
              outcome: { _tag: "Dead", reason: "TimedOut" },
              finishedAfter: 0
            }))
          })
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
            [{ states: ["dead"], queue: "none" }, []],
            [{ deadReason: "Crashed" }, []],
            [{ deadReason: "TimedOut" }, late]
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

/** So many of each of ten queues, the first of them first. */
const spread = (many: number, of: (i: number) => Partial<JobStore.NewRecord>) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const records = Array.from(
      { length: 10 * many },
      (_, i) => Suite.record({ queue: `queue${i % 10}`, tag: `Task${i % 10}`, ...of(i) })
    )
    for (let from = 0; from < records.length; from += 1000) {
      yield* store.enqueue({ records: records.slice(from, from + 1000) })
    }
    return records.map(({ id }) => id)
  })

describe("a search in a chunk that was searched before", () => {
  it.live(
    "looks at what is of the queue alone",
    () =>
      on("queues", (prefix) =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const third = (ids: ReadonlyArray<string>) => ids.filter((_, i) => i % 10 === 3)
          // Of each ten of a queue one is scheduled: too many in all to be gathered.
          const ids = yield* spread(2400, (i) => Math.floor(i / 10) % 10 === 0 ? {} : { delay: 1e6 + i })
          const all = third(ids)
          const waits = all.filter((_, i) => i % 10 !== 0)
          const ready = all.filter((_, i) => i % 10 === 0)
          const cases: ReadonlyArray<readonly [Where, ReadonlyArray<string>, number]> = [
            [{ queue: "queue3" }, all, 50],
            [{ tag: "Task3" }, all, 50],
            [{ queue: "queue3", states: ["scheduled"] }, waits, 260],
            [{ queue: "queue3", states: ["ready", "completed"] }, ready, 600]
          ]
          for (const [where, expected, mostLooked] of cases) {
            for (const order of ["oldest", "newest"] as const) {
              const what = `${order} of ${JSON.stringify(where)}`
              const found = order === "oldest" ? expected : expected.toReversed()
              const search = store.query({ where, order, limit: 50 })
              assert.deepStrictEqual(idsOf(yield* search), found.slice(0, 50), what)
              const [again, many] = yield* commands(prefix, search)
              assert.deepStrictEqual(idsOf(again), found.slice(0, 50), what)
              assert.isAtMost(again.looked!, mostLooked, what)
              assert.isBelow(many, 50 * 5 + 70, what)
            }
          }
        })),
    120_000
  )

  it.live(
    "finds what was enqueued since, once, and nothing that is gone",
    () =>
      on("since", () =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const found = Effect.map(
            store.query({ where: { queue: "queue3" }, order: "oldest", limit: 1000 }),
            idsOf
          )
          const third = (ids: ReadonlyArray<string>) => ids.filter((_, i) => i % 10 === 3)
          const first = third(yield* spread(20, () => ({})))
          assert.deepStrictEqual(yield* found, first)
          const second = third(yield* spread(150, (i) => ({ priority: i % 2 })))
          assert.deepStrictEqual(yield* found, [...first, ...second])
          yield* Suite.control({ _tag: "Delete" }, JobRecord.JobId(first[0]!))
          assert.deepStrictEqual(yield* found, [...first.slice(1), ...second])
          // In another queue under the same id, and in this one again.
          yield* Suite.enqueue({ id: JobRecord.JobId(first[0]!), queue: "queue4" })
          assert.deepStrictEqual(yield* found, [...first.slice(1), ...second])
        })),
    60_000
  )
})

it.live(
  "a queue of more jobs than are looked through is searched all the same",
  () =>
    on("kinds", () =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const records = Array.from(
          { length: 2100 },
          (_, i) => Suite.record({ tag: `Task${i}`, queue: `queue${i % 2}` })
        )
        yield* store.enqueue({ records })
        const found = yield* store.query({ where: { queue: "queue1" }, order: "oldest", limit: 2000 })
        assert.deepStrictEqual(
          idsOf(found),
          records.filter((_, i) => i % 2 === 1).map(({ id }) => id)
        )
      })),
  60_000
)

it.live(
  "what is blocked for several reasons is found by them in one order",
  () =>
    on("reasons", (prefix) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const hub = yield* Suite.enqueue({ queue: "hub", delay: 1e9 })
        const holder = yield* Suite.enqueue({ queue: "hub", concurrency: { key: "one", limit: 1 } })
        const blocked: Array<string> = []
        for (let i = 0; i < 5; i++) {
          const records = Array.from({ length: 500 }, (_, n) =>
            Suite.record({
              queue: `queue${n % 5}`,
              ...(n % 3 === 0
                ? { dependencies: [{ id: hub.id, name: "hub" }] }
                : { concurrency: { key: "one", limit: 1 } })
            }))
          yield* store.enqueue({ records })
          yield* Suite.enqueueMany(500, { queue: "busy" })
          blocked.push(...records.map(({ id }) => id))
        }
        assert.isFalse(blocked.includes(holder.id))
        for (const order of ["oldest", "newest"] as const) {
          const all = order === "oldest" ? blocked : blocked.toReversed()
          const search = (where: Where, limit: number) => commands(prefix, store.query({ where, order, limit }))
          const [page, many] = yield* search({ states: ["blocked"] }, 50)
          assert.deepStrictEqual(idsOf(page), all.slice(0, 50))
          assert.strictEqual(page.looked, 50)
          assert.isBelow(many, 50 * 5 + 50)
          const [ofQueue] = yield* search({ states: ["blocked"], queue: "queue3" }, 20)
          assert.deepStrictEqual(idsOf(ofQueue), all.filter((id) => blocked.indexOf(id) % 5 === 3).slice(0, 20))
          assert.isAtMost(ofQueue.looked!, 440)
          const paged: Array<string> = []
          let cursor: string | undefined
          do {
            const next: JobStore.QueryReply = yield* store.query({
              where: { states: ["blocked", "dead"] },
              order,
              limit: 333,
              cursor
            })
            paged.push(...idsOf(next))
            cursor = next.cursor
          } while (cursor !== undefined)
          assert.deepStrictEqual(paged, all)
        }
      })),
  60_000
)

it.live(
  "what died where a release works that has no index of reasons is found, and has one once it is repaired",
  () =>
    on("unknown", (prefix) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const ids = yield* Suite.enqueueMany(5)
        const claimed = yield* Suite.claim("w", 5)
        yield* Suite.exchange("w", {
          settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome: Suite.dead, finishedAfter: 0 }))
        })
        const key = `{${prefix}}:b:d:Failed`
        const send = <A>(...command: readonly [string, ...Array<string>]) =>
          Effect.provide(Harness.send<A>(...command), Harness.client())
        const [member] = yield* send<Array<string>>("ZRANGE", key, "2", "2")
        yield* send("ZREM", key, member!)
        const found = Effect.map(store.query({ where: { deadReason: "Failed" }, order: "oldest", limit: 9 }), idsOf)
        assert.deepStrictEqual(yield* found, ids)
        yield* Effect.provide(repair({ prefix }), Harness.client())
        assert.strictEqual(yield* send<number>("ZCARD", key), 5)
        assert.deepStrictEqual(yield* found, ids)
      })),
  60_000
)

it.live(
  "what is due later is found where its batch has filled a chunk of the log",
  () =>
    on("later", () =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const ids = yield* Suite.enqueueMany(2100, { delay: 1e6 })
        const found = yield* store.query({ where: {}, order: "oldest", limit: 3000 })
        assert.deepStrictEqual(idsOf(found), ids)
        assert.deepStrictEqual((yield* store.examine!).map(({ is }) => is), ["ok"])
      })),
  60_000
)

it.live("a search inside of payloads has each record once", () => on("inside", () => pagesInside), 60_000)
