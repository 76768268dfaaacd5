/** What the log of ids takes when most records of a chunk are gone and a few are kept for long. */
import { assert, describe, it } from "@effect/vitest"
import { type JobRecord, JobStore } from "capstan"
import { Effect } from "effect"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { repair } from "../src/RedisJobStore.ts"
import { commands, on } from "./counted.ts"
import * as Harness from "./harness.ts"

const send = <A>(command: string, ...args: ReadonlyArray<string>) =>
  Effect.provide(Harness.send<A>(command, ...args), Harness.client())

const keep = { age: Infinity, count: Infinity }
const retention = { completed: { age: 1000, count: Infinity }, cancelled: keep, dead: keep }

/** Four chunks of 1,024 ids, and some records in the one that is open. */
const fill = Effect.gen(function*() {
  const ids: Array<JobRecord.JobId> = []
  for (let i = 0; i < 8; i++) ids.push(...(yield* Suite.enqueueMany(512, { retention })))
  ids.push(...(yield* Suite.enqueueMany(8, { retention })))
  return ids
})

/** All but some are completed, and swept when they have been kept for long enough; some of these die, others wait still. */
const run = (deadOf: (i: number) => boolean, waitsOf: (i: number) => boolean, ids: ReadonlyArray<JobRecord.JobId>) =>
  Effect.gen(function*() {
    const at = new Map(ids.map((id, i) => [id, i]))
    const waiting = ids.filter((_, i) => waitsOf(i))
    for (const id of waiting) yield* Suite.control({ _tag: "Reschedule", delay: 1e9 }, id)
    for (let claimed = yield* Suite.claim("w", 500); claimed.length > 0; claimed = yield* Suite.claim("w", 500)) {
      yield* Suite.exchange("w", {
        settlements: claimed.map(({ fence, id }) => ({
          id,
          fence,
          outcome: deadOf(at.get(id)!) ? Suite.dead : Suite.complete,
          finishedAfter: 0
        }))
      })
    }
    return { dead: ids.filter((_, i) => deadOf(i)), waiting }
  })

const search = (where: JobStore.Selection, order: "oldest" | "newest", limit = 100, cursor?: string) =>
  Effect.flatMap(JobStore.JobStore, (store) => store.query({ where, order, limit, cursor }))

const idsOf = ({ records }: JobStore.QueryReply) => records.map(({ id }) => id)

const remove = (ids: ReadonlyArray<JobRecord.JobId>) =>
  Effect.gen(function*() {
    for (let from = 0; from < ids.length; from += 500) {
      yield* Suite.control({ _tag: "Delete" }, ...ids.slice(from, from + 500))
    }
  })

const lengths = (prefix: string) =>
  Effect.forEach([0, 1, 2, 3], (chunk) => send<number>("STRLEN", `{${prefix}}:o:${chunk}`))

describe("a chunk of the log of which a few records are left", () => {
  it.live(
    "has the ids of some more than these, and searches find them in order",
    () =>
      on("thin", (prefix) =>
        Effect.gen(function*() {
          const ids = yield* fill
          const first = yield* search({}, "oldest", 700)
          const last = yield* search({}, "newest", 700)
          const { dead, waiting } = yield* run(
            (i) => i % 1024 === 100 || i % 1024 === 900,
            (i) => i % 1024 === 500,
            ids
          )
          const looked = yield* search({ tag: "Task", states: ["dead", "scheduled"] }, "oldest")
          yield* Suite.advance(2000)
          const [, many] = yield* commands(prefix, Suite.maintainAll)
          assert.isBelow(many, ids.length * 16)
          for (const length of yield* lengths(prefix)) assert.isAtMost(length, 6 * 22)

          const left = ids.filter((id) => dead.includes(id) || waiting.includes(id))
          assert.sameMembers(idsOf(looked), left)
          const cases: ReadonlyArray<readonly [JobStore.Selection, ReadonlyArray<string>]> = [
            [{}, left],
            [{ tag: "Task" }, left],
            [{ queue: "default", states: ["dead", "scheduled"] }, left],
            [{ states: ["scheduled"] }, waiting],
            [{ states: ["ready", "running", "scheduled"] }, waiting],
            [{ states: ["dead"] }, dead],
            [{ states: ["completed"] }, []]
          ]
          for (const [where, expected] of cases) {
            for (const order of ["oldest", "newest"] as const) {
              const reply = yield* search(where, order)
              const all = order === "oldest" ? expected : expected.toReversed()
              assert.deepStrictEqual(idsOf(reply), all, `${order} of ${JSON.stringify(where)}`)
              assert.isAtMost(reply.looked!, 4 * 6 + 8)
            }
          }
          // Pages go on where they were.
          const after = (page: JobStore.QueryReply, order: "oldest" | "newest") =>
            Effect.map(search({}, order, 100, page.cursor), idsOf)
          assert.deepStrictEqual(yield* after(first, "oldest"), left.filter((id) => ids.indexOf(id) >= 700))
          assert.deepStrictEqual(
            yield* after(last, "newest"),
            left.filter((id) => ids.indexOf(id) < ids.length - 700).toReversed()
          )
        })),
    120_000
  )

  it.live(
    "counts what can still run as before, is whole for repair, and goes with its last record",
    () =>
      on("thinned", (prefix) =>
        Effect.gen(function*() {
          const ids = yield* fill
          const { dead } = yield* run((i) => i % 1024 === 100 || i % 1024 === 900, () => false, ids)
          yield* Suite.advance(2000)
          yield* Suite.maintainAll
          // As many that the log is walked, and not what waits.
          const [later] = yield* Suite.enqueueMany(2100, { delay: 1e9 })
          const live = Effect.map(search({ states: ["ready", "running", "scheduled"] }, "oldest", 1), idsOf)
          assert.deepStrictEqual(yield* live, [later])
          yield* Suite.control({ _tag: "Retry" }, dead[3]!)
          assert.deepStrictEqual(yield* live, [dead[3]])

          assert.deepStrictEqual(
            (yield* (yield* JobStore.JobStore).examine!).map(({ is, detail }) => is === "ok" ? is : detail),
            ["ok"]
          )
          const figures = Effect.forEach(
            ["og", "oe"],
            (of) => send<ReadonlyArray<string>>("HMGET", `{${prefix}}:${of}`, "0", "1", "2", "3")
          )
          const counted = [["0", "0", "0", "0"], ["2", "1", "2", "2"]]
          assert.deepStrictEqual(yield* figures, counted)
          yield* Effect.provide(repair({ prefix }), Harness.client())
          assert.deepStrictEqual(yield* figures, counted)

          yield* Suite.control({ _tag: "Delete" }, ...dead)
          assert.deepStrictEqual(yield* lengths(prefix), [0, 0, 0, 0])
          assert.deepStrictEqual(yield* send("ZRANGE", `{${prefix}}:ok:0`, "0", "-1"), ["4", "5"])
        })),
    120_000
  )

  it.live(
    "goes though a record of it has been stored again, in another one",
    () =>
      on("again", (prefix) =>
        Effect.gen(function*() {
          const ids = yield* fill
          const first = ids.slice(0, 1024)
          yield* remove(first.slice(5, 6))
          yield* Suite.enqueue({ id: first[5]!, delay: 1e6 })
          yield* remove(first.filter((_, i) => i !== 5))
          assert.deepStrictEqual(yield* lengths(prefix), [0, 22_528, 22_528, 22_528])
          assert.deepStrictEqual(idsOf(yield* search({ states: ["scheduled"] }, "oldest")), [first[5]])
        })),
    60_000
  )

  it.live(
    "is thinned by a call together with seven others at most",
    () =>
      on("eight", (prefix) =>
        Effect.gen(function*() {
          const ids: Array<JobRecord.JobId> = []
          for (let i = 0; i < 24; i++) ids.push(...(yield* Suite.enqueueMany(512)))
          yield* remove(ids.filter((_, i) => i % 2 === 0 && i % 1024 !== 0))
          const whole = Effect.map(
            Effect.forEach(Array.from({ length: 12 }), (_, chunk) => send<number>("STRLEN", `{${prefix}}:o:${chunk}`)),
            (all) => all.filter((length) => length === 22_528).length
          )
          assert.strictEqual(yield* whole, 12)
          yield* remove(ids.filter((_, i) => i % 1024 === 0))
          assert.strictEqual(yield* whole, 4)
          yield* remove(ids.filter((_, i) => i % 1024 === 1))
          assert.strictEqual(yield* whole, 0)
        })),
    60_000
  )
})
