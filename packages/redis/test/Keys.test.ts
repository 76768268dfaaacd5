/** Concurrency keys of one job where many records have one: how their slots are counted, and what that costs. */
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { repair } from "../src/RedisJobStore.ts"
import { commands, on } from "./counted.ts"
import * as Harness from "./harness.ts"

const server = <A>(command: string, ...args: ReadonlyArray<string>) =>
  Effect.provide(Harness.send<A>(command, ...args), Harness.client())

const keyed = (key: string, limit = 50, given: Partial<JobStore.NewRecord> = {}) =>
  Suite.record({ ...given, concurrency: { key, limit } })

const store = (...records: ReadonlyArray<JobStore.NewRecord>) =>
  Effect.flatMap(JobStore.JobStore, ({ enqueue }) => enqueue({ records }))

const settleAll = (worker: string, attempts: ReadonlyArray<JobStore.Claimed>, outcome = Suite.complete) =>
  Suite.exchange(worker, {
    settlements: attempts.map(({ fence, id }) => ({ id, fence, outcome, finishedAfter: 0 }))
  })

/** How many slots of each key are in use, and its limit. */
const slots = (prefix: string) =>
  Effect.gen(function*() {
    const of = (hash: string, key: string) => server<string | null>("HGET", `{${prefix}}:${hash}`, key)
    const names = new Set<string>()
    for (const hash of ["ku", "kl"]) {
      for (const name of yield* server<ReadonlyArray<string>>("HKEYS", `{${prefix}}:${hash}`)) names.add(name)
    }
    return yield* Effect.forEach([...names].toSorted(), (key) =>
      Effect.map(Effect.all([of("ku", key), of("kl", key)]), ([used, limit]) => `${key}: ${used} of ${limit}`))
  })

const many = (keys: number, each: number) => Array.from({ length: keys * each }, (_, i) => keyed(`k${i % keys}`))

describe("slots of keys that many records have", () => {
  it.live("are none when all have completed, and are forgotten", () =>
    on("keys_drained", (prefix) =>
      Effect.gen(function*() {
        yield* store(...many(30, 4))
        assert.deepStrictEqual((yield* slots(prefix)).length, 30)
        const [first, rest] = [yield* Suite.claim("w", 70), yield* Suite.claim("w", 70)]
        assert.deepStrictEqual([first.length, rest.length], [70, 50])
        yield* settleAll("w", first)
        assert.strictEqual((yield* slots(prefix))[0], "k0: 1 of 50")
        assert.deepStrictEqual(
          (yield* settleAll("w", [...first.slice(0, 9), ...rest])).settled,
          new Array(59).fill("Done")
        )
        assert.deepStrictEqual(yield* slots(prefix), [])
        assert.strictEqual((yield* Suite.statsOf()).counts.completed, 120)
      })))

  it.live("are given back once by each of retries, deaths, cancels, deletes, crashes and a repair", () =>
    on("keys_ends", (prefix) =>
      Effect.gen(function*() {
        yield* store(...many(3, 8))
        const attempts = yield* Suite.claim("w", 12)
        const [retried, released, snoozed, dead, cancelled, deleted, ...crashed] = attempts
        yield* Suite.settle("w", retried!, Suite.retryAfter(0))
        yield* Suite.settle("w", released!, { _tag: "Release" })
        yield* Suite.settle("w", snoozed!, { _tag: "SnoozeFor", delay: 100 })
        yield* Suite.settle("w", dead!, Suite.dead)
        yield* Suite.settle("w", cancelled!, { _tag: "Cancel", reason: "r" })
        yield* Suite.settle("w", deleted!, Suite.complete)
        yield* Suite.control({ _tag: "Delete" }, deleted!.id)
        const waiting =
          (yield* (yield* JobStore.JobStore).query({ where: { states: ["ready"] }, order: "oldest", limit: 99 }))
            .records
        yield* Suite.control({ _tag: "Cancel", reason: "r" }, ...waiting.slice(0, 3).map(({ id }) => id))
        yield* Suite.control({ _tag: "Delete" }, ...waiting.slice(3, 5).map(({ id }) => id))
        assert.strictEqual(crashed.length, 6)
        yield* Suite.advance(Suite.lease + 1)
        yield* Suite.maintainAll
        const { counts } = yield* Suite.statsOf()
        const held = (yield* slots(prefix)).map((text) => Number(/: (\d+)/.exec(text)![1]))
        assert.strictEqual(held.reduce((sum, some) => sum + some, 0), counts.ready + counts.running)
        yield* Effect.provide(repair({ prefix }), Harness.client())
        let ended = 0
        for (let some = yield* Suite.claim("v", 5); some.length > 0; some = yield* Suite.claim("v", 5)) {
          yield* settleAll("v", some)
          ended += some.length
        }
        // The snoozed one is due, too.
        assert.strictEqual(ended, counts.ready + 1)
        assert.deepStrictEqual(yield* slots(prefix), [])
      })))

  it.live("are counted once where records of one key end in the same call in different ways", () =>
    on("keys_mixed", (prefix) =>
      Effect.gen(function*() {
        yield* store(keyed("a"), keyed("a"), keyed("a"), keyed("b"), keyed("b"))
        const [first, ...others] = yield* Suite.claim("w", 4)
        // It has a history now, and is completed in another way than the others.
        yield* Suite.settle("w", first!, Suite.retryAfter(0))
        const [last, again] = yield* Suite.claim("w", 9)
        assert.strictEqual(last?.attempt === 2 ? last.id : again?.id, first!.id)
        yield* settleAll("w", [others[0]!, last!, again!, ...others.slice(1)])
        assert.deepStrictEqual(yield* slots(prefix), [])
      })))

  it.live("go to who waits for one, also where others wait for another key, and never beyond the limit", () =>
    on("keys_waiting", (prefix) =>
      Effect.gen(function*() {
        yield* store(keyed("a", 2), keyed("a", 2), keyed("b", 1), keyed("c", 9), keyed("c", 9))
        const waiting = [keyed("a", 2), keyed("a", 2), keyed("a", 2), keyed("b", 1)]
        yield* store(...waiting)
        assert.strictEqual((yield* Suite.statsOf()).counts.blocked, 4)
        const held = yield* Suite.claim("w", 9)
        assert.strictEqual(held.length, 5)
        // Nobody waits for this one.
        yield* settleAll("w", held.slice(3))
        assert.deepStrictEqual(yield* slots(prefix), ["a: 2 of 2", "b: 1 of 1"])
        yield* settleAll("w", held.slice(0, 1))
        assert.deepStrictEqual((yield* Suite.statsOf()).counts.ready, 1)
        yield* settleAll("w", held.slice(1, 3))
        const next = yield* Suite.claim("w", 9)
        assert.deepStrictEqual(next.map(({ id }) => id), [waiting[0]!.id, waiting[1]!.id, waiting[3]!.id])
        yield* settleAll("w", next)
        yield* settleAll("w", yield* Suite.claim("w", 9))
        assert.deepStrictEqual(yield* slots(prefix), [])
      })))

  it.live("are of the key that a record has, whatever its name and limit are", () =>
    on("keys_named", (prefix) =>
      Effect.gen(function*() {
        const names = ["", "\u00e3key\u00dakey", "\u00a3due", "1e3", "x".repeat(70_000), "a\"b\\", "\u{1f600}"]
        const records = names.flatMap((name) => [1, 2 ** 20, 2 ** 40].map((limit, i) => keyed(name + i, limit)))
        yield* store(...records)
        const attempts = yield* Suite.claim("w", 99)
        assert.deepStrictEqual(attempts.map(({ id }) => id), records.map(({ id }) => id))
        yield* settleAll("w", attempts)
        assert.deepStrictEqual(yield* slots(prefix), [])
        assert.strictEqual((yield* Suite.statsOf()).counts.completed, records.length)
      })))
})

describe("records that have keys", () => {
  it.live("are given out with what else they carry", () =>
    on("keys_carried", () =>
      Effect.gen(function*() {
        const headers = { a: `"}` }
        const payload = `{"concurrencyKey":"b"}`
        const records = [
          keyed(`a"b`, 9, { payload }),
          keyed("a", 9, { payload, headers }),
          keyed("a", 9, { batchKey: "c" }),
          keyed("a", 9, { sensitive: { payload: ["a"], result: [], error: [], progress: [] } })
        ]
        yield* store(...records)
        const claimed = yield* Suite.claim("w", 9)
        assert.deepStrictEqual(
          claimed.map(({ batchKey, headers, id, payload }) => ({ id, payload, headers, batchKey })),
          records.map(({ batchKey, headers, id, payload }) => ({ id, payload, headers, batchKey }))
        )
        assert.strictEqual((yield* Suite.get(records[0]!.id)).concurrencyKey, `a"b`)
      })))

  it.live("are found by their job", () =>
    on("keys_found", () =>
      Effect.gen(function*() {
        yield* store(...many(5, 4))
        const { query } = yield* JobStore.JobStore
        const { records } = yield* query({ where: { tag: "Task" }, order: "oldest", limit: 99 })
        assert.strictEqual(records.length, 20)
      })))

  it.live("are stored once where a batch has one twice", () =>
    on("keys_twice", (prefix) =>
      Effect.gen(function*() {
        const twice = keyed("a")
        const answers = yield* store(twice, keyed("b"), twice)
        assert.deepStrictEqual(answers.map(({ outcome }) => outcome), ["Inserted", "Inserted", "Existing"])
        assert.deepStrictEqual([(yield* Suite.statsOf()).counts.ready, yield* slots(prefix)], [2, [
          "a: 1 of 50",
          "b: 1 of 50"
        ]])
      })))

  it.live("hear nothing any more when they have completed", () =>
    on("keys_heard", (prefix) =>
      Effect.gen(function*() {
        yield* store(keyed("a", 9, { cancelOn: ["e"] }), keyed("b", 9, { cancelOn: ["e"] }))
        yield* settleAll("w", yield* Suite.claim("w", 9))
        assert.strictEqual(yield* server("EXISTS", `{${prefix}}:co:e`), 0)
      })))

  it.live("cost a claim no command more than others, and a completion a handful for all", () =>
    on("keys_cost", (prefix) =>
      Effect.gen(function*() {
        yield* Suite.enqueueMany(300)
        yield* settleAll("w", yield* Suite.claim("w", 300))
        yield* Suite.enqueueMany(300)
        const [plain, claims] = yield* commands(prefix, Suite.claim("w", 400))
        const [, ends] = yield* commands(prefix, settleAll("w", plain))
        yield* store(...many(100, 3))
        const [attempts, keyedClaims] = yield* commands(prefix, Suite.claim("w", 400))
        const [, keyedEnds] = yield* commands(prefix, settleAll("w", attempts))
        assert.deepStrictEqual([plain.length, attempts.length], [300, 300])
        assert.strictEqual(keyedClaims, claims)
        assert.isAtMost(keyedEnds, ends + 6)
      })))
})
