/** What one call of a script does at most: the server does nothing else meanwhile. */
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import { Redis } from "effect/persistence"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { Client } from "../src/internal/client.ts"
import { scripts } from "../src/internal/scripts.ts"
import { commands, on } from "./counted.ts"
import * as Harness from "./harness.ts"

/** One call of a script itself. */
const onClient = <A, E>(prefix: string, run: (client: Client) => Effect.Effect<A, E>) =>
  Effect.gen(function*() {
    return yield* run(
      new Client(yield* Redis.Redis, `{${prefix}}`, scripts(Harness.frozenClock), yield* Effect.scope)
    )
  }).pipe(Effect.scoped, Effect.provide(Harness.client()))

const keep = { age: Infinity, count: Infinity }

const ofServer = <A>(command: string, ...args: ReadonlyArray<string>) =>
  Effect.provide(Harness.send<A>(command, ...args), Harness.client())

/** So many that wait are claimed and completed in one exchange. */
const completeAll = (many: number) =>
  Effect.gen(function*() {
    const claimed = yield* Suite.claim("w", many)
    yield* Suite.exchange("w", {
      settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome: Suite.complete, finishedAfter: 0 }))
    })
  })

/** Counts the bytes that scripts read of lists. */
const countingLists = `local read = call
  call = function(...)
    local answer = read(...)
    if (...) == 'LRANGE' then read('INCRBY', P .. ':listed', #table.concat(answer)) end
    return answer
  end
  ${Harness.frozenClock}`

describe("one call", () => {
  it.live(
    "rescues a thousand records of dead workers, and the rest of a worker",
    () =>
      on("rescue", (prefix) =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          yield* Suite.enqueueMany(2000)
          for (const worker of ["a", "b", "c", "d", "e"]) yield* Suite.claim(worker, 400)
          yield* Suite.advance(Suite.lease + 1)
          const [first, many] = yield* commands(prefix, store.maintain)
          assert.deepStrictEqual([first.rescued, first.maintainIn], [1200, 0])
          assert.isBelow(many, 1200 * 12)
          assert.strictEqual((yield* store.maintain).rescued, 800)
          assert.strictEqual((yield* Suite.statsOf()).counts.ready, 2000)
        })),
    60_000
  )

  it.live(
    "gives out more records than a command of the server takes arguments",
    () =>
      on("many", () =>
        Effect.gen(function*() {
          const ids = yield* Suite.enqueueMany(9000)
          const claimed = yield* Suite.claim("w", 9000)
          assert.deepStrictEqual(claimed.map(({ id }) => id), ids)
        })),
    60_000
  )

  it.live(
    "passes over five thousand entries of shelves whose records have left",
    () =>
      on("stale", (prefix) =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const retention = { completed: { age: 1000, count: Infinity }, cancelled: keep, dead: keep }
          const deleted: Array<JobStore.Claimed["id"]> = []
          for (let i = 0; i < 12; i++) {
            yield* Suite.enqueueMany(500, { retention })
            const claimed = yield* Suite.claim("w", 500)
            yield* Suite.exchange("w", {
              settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome: Suite.complete, finishedAfter: 0 }))
            })
            deleted.push(...claimed.map(({ id }) => id))
          }
          yield* Suite.control({ _tag: "Delete" }, ...deleted.slice(0, 5990))
          yield* Suite.advance(2000)
          const [first, many] = yield* commands(prefix, store.maintain)
          assert.deepStrictEqual([first.swept, first.maintainIn], [0, 0])
          assert.isBelow(many, 5000 * 3)
          const second = yield* store.maintain
          assert.deepStrictEqual([second.swept, second.maintainIn], [10, undefined])
        })),
    60_000
  )

  it.live(
    "reads of a shelf whose entries have many records no more than it may gather, and finds what it found",
    () =>
      on(
        "shelves",
        (prefix) =>
          Effect.gen(function*() {
            const store = yield* JobStore.JobStore
            const ended: Array<string> = []
            // Four thousand records of one job in eight entries, fifteen hundred of another one in fifteen hundred.
            for (let i = 0; i < 8; i++) {
              ended.push(...(yield* Suite.enqueueMany(500)))
              yield* completeAll(500)
            }
            const single = yield* Suite.enqueueMany(1500, { tag: "Single" })
            for (const attempt of yield* Suite.claim("w", 1500)) yield* Suite.settle("w", attempt, Suite.complete)
            const cases = [["Task", ended, 2600 * 22], ["Single", single, 1500 * (13 + 22)]] as const
            for (const [tag, expected, most] of cases) {
              for (const order of ["oldest", "newest"] as const) {
                yield* ofServer("SET", `{${prefix}}:listed`, "0")
                const reply = yield* store.query({ where: { tag, states: ["completed"] }, order, limit: 20 })
                const all = order === "oldest" ? expected : expected.toReversed()
                assert.deepStrictEqual(reply.records.map(({ id }) => id), all.slice(0, 20))
                const bytes = Number(yield* ofServer("GET", `{${prefix}}:listed`))
                assert.isAtMost(bytes, most, `${order} of ${tag}`)
              }
            }
          }),
        countingLists
      ),
    60_000
  )

  it.live("looks at no key of a limit that stays as it was", () =>
    on("proposals", (prefix) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const propose = (release: number, concurrency: number) =>
          store.limits([{ _tag: "Propose", name: "@api", release, settings: { concurrency } }])
        yield* propose(1, 1)
        for (let i = 0; i < 300; i++) yield* Suite.enqueue({ concurrency: { key: `@api/${i}`, limit: 1 } })
        const [, changed] = yield* commands(prefix, propose(2, 3))
        const [rows, same] = yield* commands(prefix, propose(2, 3))
        const [, older] = yield* commands(prefix, propose(1, 9))
        assert.isAbove(changed, 300)
        assert.isBelow(Math.max(same, older), 10)
        assert.deepStrictEqual(rows.map(({ proposed, release }) => [release, proposed]), [[2, { concurrency: 3 }]])
      })), 60_000)

  it.live(
    "tells five hundred of those who wait that a record is gone, and exchanges the others",
    () =>
      on("gone", (prefix) =>
        Effect.gen(function*() {
          const hub = yield* Suite.enqueue({ delay: 1e6 })
          const waiting = yield* Suite.enqueueMany(1200, {
            dependencies: [{ id: hub.id, name: "hub", onFailure: "continue" }]
          })
          const [, many] = yield* commands(prefix, Suite.control({ _tag: "Delete" }, hub.id))
          assert.isBelow(many, 500 * 14)
          assert.strictEqual((yield* Suite.statsOf()).counts.blocked, 700)
          const claimed: Array<string> = []
          for (let i = 0; i < 5; i++) claimed.push(...(yield* Suite.claim("w", 1000)).map(({ id }) => id))
          assert.sameMembers(claimed, waiting)
        })),
    60_000
  )

  it.live(
    "brings back five hundred of what is dead because of a record, and exchanges the others, also when that has ended by then",
    () =>
      on("again", (prefix) =>
        Effect.gen(function*() {
          const hub = yield* Suite.enqueue()
          const waiting = yield* Suite.enqueueMany(1200, {
            queue: "other",
            dependencies: [{ id: hub.id, name: "hub" }]
          })
          const needs = waiting.map((id, i) => ({ id, name: `d${i}` }))
          const sink = yield* Suite.enqueue({ queue: "sink", dependencies: needs })
          const beside = yield* Suite.enqueue({ queue: "sink", dependencies: needs.slice(0, 1) })
          yield* Suite.control({ _tag: "Cancel", reason: "r" }, hub.id)
          yield* Suite.maintainAll
          assert.strictEqual((yield* Suite.statsOf("other")).counts.dead, 1200)
          assert.strictEqual((yield* Suite.statsOf("sink")).counts.dead, 2)
          const [, many] = yield* commands(prefix, Suite.control({ _tag: "Retry" }, hub.id))
          assert.isBelow(many, 500 * 20)
          assert.strictEqual((yield* Suite.statsOf("other")).counts.dead, 700)
          assert.deepStrictEqual(yield* Suite.control({ _tag: "Cancel", reason: "r" }, hub.id), ["Changed"])
          assert.deepStrictEqual(yield* Suite.control({ _tag: "Retry" }, hub.id), ["Changed"])
          yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.complete)
          yield* Suite.maintainAll
          const claimed = yield* Suite.claim("w", 2000, "other")
          assert.sameMembers(claimed.map(({ id }) => id), waiting)
          yield* Suite.exchange("w", {
            settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome: Suite.complete, finishedAfter: 0 }))
          })
          yield* Suite.maintainAll
          assert.sameMembers((yield* Suite.claim("w", 9, "sink")).map(({ id }) => id), [sink.id, beside.id])
        })),
    60_000
  )

  it.live(
    "stores five thousand records of which each is due at another instant",
    () =>
      on("instants", () =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const records = Array.from({ length: 5000 }, (_, i) => Suite.record({ delay: i }))
          const answers = yield* store.enqueue({ records })
          assert.deepStrictEqual([...new Set(answers.map(({ outcome }) => outcome))], ["Inserted"])
          const { ready, scheduled } = (yield* Suite.statsOf()).counts
          assert.deepStrictEqual([ready, scheduled], [1, 4999])
        })),
    60_000
  )

  it.live(
    "looks at five thousand keys of a limit of which there is nothing to tell, and the answer has those after them",
    () =>
      on("keys", (prefix) =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const rate = { limit: 1, perMillis: 1e9, burst: 1 }
          yield* store.limits([{ _tag: "Propose", name: "@api", release: 1, settings: { rate } }])
          const keyed = (i: number) => ({ concurrency: { key: `@api/${String(i).padStart(5, "0")}`, limit: 1 } })
          for (let from = 0; from < 6000; from += 1000) {
            yield* store.enqueue({ records: Array.from({ length: 1000 }, (_, i) => Suite.record(keyed(from + i))) })
            yield* completeAll(1000)
          }
          for (const i of [7, 5998, 5999]) yield* Suite.enqueue(keyed(i))
          const [, next] = yield* onClient(
            prefix,
            (client) => client.call<readonly [string, string]>("keys", "keys", ["@api", "", "9"])
          )
          assert.strictEqual(next, "@api/04999")
          const pages = [yield* store.keys({ name: "@api", limit: 2 }), yield* store.keys({ name: "@api", limit: 9 })]
          assert.deepStrictEqual(pages.map((rows) => rows.map(({ key, waiting }) => [key, waiting])), [
            [["@api/00007", 1], ["@api/05998", 1]],
            [["@api/00007", 1], ["@api/05998", 1], ["@api/05999", 1]]
          ])
        })),
    60_000
  )

  it.live(
    "stores ten thousand lines of one attempt as the last two hundred",
    () =>
      on("lines", () =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          yield* Suite.enqueue()
          const attempt = yield* Suite.claimOne("w")
          const lines = Array.from({ length: 10_000 }, (_, i) => String(i))
          assert.deepStrictEqual(yield* store.write([{ _tag: "Log", at: attempt, lines }]), ["Done"])
          assert.deepStrictEqual((yield* Suite.get(attempt.id)).logs.map(({ message }) => message), lines.slice(-200))
        })),
    60_000
  )
})
