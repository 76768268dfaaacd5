/** Each index key is deleted in turn, and made anew from the records: nothing is lost. */
import { RedisJobStore } from "@capstan/redis"
import { assert, describe, it } from "@effect/vitest"
import { type JobRecord, JobStore } from "capstan"
import { Effect, Layer, Option, Stream } from "effect"
import { Redis } from "effect/persistence"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { Client } from "../src/internal/client.ts"
import { scripts } from "../src/internal/scripts.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

const prefix = Harness.prefixOf("repair")
const layer = Harness.storeOf(prefix).pipe(Layer.provideMerge(Harness.client()))

/**
 * The records, and what cannot be made from any: kinds, schedules, limits and how far a rate is used up, and the order in which
 * settlements were forgotten.
 */
const isPrimary = (key: string): boolean =>
  /^(:[chmrg]|:(cp|lg|dp):.*|:sc|:li|:ks|:gone|:gl|)$/.test(key.slice(prefix.length + 2))

/** What a key is called whatever the ids of the records are: each fill has others. */
const nameOf = (key: string): string => key.replace(/:[-\w]{22}$/, ":<id>")
const named = (keys: ReadonlyArray<string>, names: ReadonlyArray<string>) =>
  keys.filter((key) => names.includes(nameOf(key)))

const keysOf = Effect.map(
  Harness.send<[string, ReadonlyArray<string>]>("SCAN", "0", "MATCH", `{${prefix}}*`, "COUNT", "100000"),
  ([, keys]) => keys.toSorted()
)

/** Some of every kind: one waits in each way, runs, and has ended in each way. */
const fill = Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  yield* Suite.enqueueMany(3)
  yield* Suite.enqueue({ priority: 5, tags: ["label"], flowId: "f" })
  yield* Suite.enqueue({ delay: 1e7, startBefore: 1e8 })
  yield* Suite.enqueue({
    unique: { key: "u", until: "finished", onConflict: "runAfter" },
    idempotencyKey: "k",
    delay: 1e7
  })
  yield* Suite.enqueue({ queue: "keyed", concurrency: { key: "c", limit: 1 } })
  yield* Suite.enqueue({ queue: "keyed", concurrency: { key: "c", limit: 1 } })
  yield* Suite.enqueue({ queue: "listens", cancelOn: ["on"] })
  const { id } = yield* Suite.enqueue({ queue: "ends" })
  yield* Suite.enqueue({ queue: "other", dependencies: [{ name: "d", id }] })
  yield* store.limits([{
    _tag: "Propose",
    name: "@space",
    release: 1,
    settings: { rate: { limit: 1, perMillis: 1e7, burst: 1 } }
  }])
  yield* Suite.enqueueMany(2, { queue: "shared", concurrency: { key: "@space/k", limit: 1 } })
  yield* Suite.claimOne("w", "shared")
  yield* Suite.enqueue({ queue: "back" })
  yield* Suite.settle("w", yield* Suite.claimOne("w", "back"), { _tag: "Release" })
  yield* Suite.enqueue({ queue: "crashed" })
  yield* Suite.claimOne("dies", "crashed")
  yield* Suite.renew("dies", { lease: 0 })
  yield* store.maintain
  // It is forgotten, as one that has left is.
  yield* Suite.renew("dies", { lease: 0 })
  const keep = { age: 1e9, count: 5 }
  yield* Suite.enqueue({ queue: "counted", retention: { completed: keep, cancelled: keep, dead: keep } })
  yield* Suite.settle("w", yield* Suite.claimOne("w", "counted"), Suite.complete)
  yield* Suite.enqueueMany(5, { queue: "ends" })
  const claimed = yield* Suite.claim("w", 6, "ends")
  const outcomes: ReadonlyArray<JobStore.Outcome> = [
    { _tag: "WaitFor", waitpoint: "x" },
    Suite.complete,
    Suite.dead,
    { _tag: "Cancel", reason: "r" },
    { _tag: "Park", reason: "NoHandler" }
  ]
  yield* Effect.forEach(outcomes, (outcome, i) => Suite.settle("w", claimed[i]!, outcome))
  yield* store.putSchedule({ name: "s", revision: 0, row: { nextAt: 9e12, attendAt: 9e12, body: "{}" } })
  yield* store.renew({
    worker: "w",
    lease: 1e6,
    queues: ["ends"],
    handles: [],
    holding: claimed,
    reconcileOlderThan: 1e9
  })
  return claimed[5]!
})

/** What the store answers to everybody who asks. */
const picture = Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  const { queues, workers } = yield* store.stats
  const ids = (where: JobStore.Selection) =>
    Effect.map(store.query({ where, order: "oldest", limit: 100 }), ({ records }) => records.map(({ id }) => id))
  const { records } = yield* store.query({ where: {}, order: "oldest", limit: 100 })
  return {
    records: records.map(({ blocked, id, state }) => [id, state, blocked?.reason]),
    counts: queues.map(({ counts, parked, queue }) => [queue, counts, parked]).toSorted(),
    holds: workers.map(({ holds, worker }) => [worker, holds]),
    schedules: (yield* store.schedules({ limit: 10 })).rows,
    keys: (yield* store.keys({ name: "@space", limit: 10 })).map((
      { key, running, waiting }
    ) => [key, running, waiting]),
    searches: yield* Effect.forEach(
      [
        { label: "label" },
        { flowId: "f" },
        { errorTag: "Oops" },
        { states: ["dead"] },
        { states: ["cancelled"] },
        {
          blockedReason: "Waitpoint"
        },
        { blockedReason: "NoHandler" },
        { tag: "Task" },
        { queue: "ends" },
        { enqueuedFrom: 1, enqueuedBefore: 9e12 },
        {
          states: ["ready", "running", "blocked"]
        }
      ] as const,
      ids
    )
  }
})

/** What happens from here on, to the end of everything that waits. */
const future = (running: JobStore.Claimed) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const again = yield* Suite.enqueue({ idempotencyKey: "k" })
    const held = yield* Suite.enqueue({ unique: { key: "u", until: "finished", onConflict: "keep" } })
    const ready = (yield* Suite.claim("w", 10)).map(({ priority }) => priority)
    const [keyed, ...noMore] = yield* Suite.claim("w", 10, "keyed")
    yield* Suite.settle("w", keyed!, Suite.complete)
    const next = yield* Suite.claim("w", 10, "keyed")
    yield* store.control({ action: { _tag: "Promote" }, where: { states: ["scheduled"] }, limit: 100 })
    const promoted = yield* Suite.claim("w", 10)
    const unparked = (yield* Suite.renew("w", { handles: [{ tag: "Task", version: 1 }] })).unparked
    const settled = yield* Suite.settle("w", running, Suite.complete)
    yield* store.enqueue({ records: [], cancels: [{ on: "on", reason: "r" }] })
    const { cancelled } = (yield* Suite.statsOf("listens")).counts
    const { records } = yield* store.query({ where: { blockedReason: "Waitpoint" }, order: "oldest", limit: 9 })
    yield* store.signal({ id: records[0]!.id, waitpoint: "x", value: "1" })
    const ended = yield* Suite.claim("w", 10, "ends")
    yield* Effect.forEach(ended, (attempt) => Suite.settle("w", attempt, Suite.complete))
    const { length: follows } = yield* Suite.claim("w", 10, "other")
    const [back, crashed, shared] = yield* Effect.forEach(["back", "crashed", "shared"], (queue) =>
      Effect.map(Suite.claim("w", 10, queue), (claimed) => claimed.map(({ crashes }) => crashes)))
    return [
      again.outcome,
      held.outcome,
      ready,
      noMore.length,
      next.length,
      promoted.length,
      unparked,
      settled,
      cancelled,
      ended.length,
      follows,
      back,
      crashed,
      shared
    ]
  })

const expected: Effect.Success<ReturnType<typeof future>> = [
  "Existing",
  "Existing",
  [5, 0, 0, 0],
  0,
  1,
  2,
  1,
  "Done",
  1,
  2,
  1,
  [0],
  [1],
  []
]

describe("repair", () => {
  it.live("changes nothing where nothing is lost", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      const running = yield* fill
      const before = yield* picture
      const { broken, records } = yield* RedisJobStore.repair({ prefix })
      assert.deepStrictEqual([records, broken], [before.records.length, 0])
      assert.deepStrictEqual(yield* picture, before)
      assert.deepStrictEqual(yield* future(running), expected)
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)))

  it.live("brings back each index that is deleted, and all of them", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      yield* fill
      const all = [...new Set((yield* keysOf).filter((key) => !isPrimary(key)).map(nameOf))]
      assert.isAbove(all.length, 60)
      for (const names of [...all.map((name) => [name]), all]) {
        yield* Harness.empty(prefix)
        const running = yield* fill
        const before = yield* picture
        const now = yield* keysOf
        const lost = named(now, names)
        assert.strictEqual(yield* Harness.send("DEL", ...lost), lost.length)
        assert.isAtLeast(lost.length, names.length)
        yield* RedisJobStore.repair({ prefix })
        assert.deepStrictEqual(yield* picture, before, `after the loss of ${lost.join(" ")}`)
        for (const key of now) {
          // Of an empty lane, and of what an agenda has nothing on, there is no key.
          if (!isPrimary(key) && !/:(l|e|wi|wc|ws):/.test(key)) {
            assert.include(yield* keysOf, key, `after the loss of ${lost.join(" ")}`)
          }
        }
        assert.deepStrictEqual(yield* future(running), expected, `after the loss of ${lost.join(" ")}`)
      }
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)), 180_000)
})

/** The last that a repair of the open store says. */
const repaired = (dryRun: boolean) =>
  Effect.gen(function*() {
    const { repair } = yield* JobStore.JobStore
    return Option.getOrThrow(yield* Stream.runLast(repair!({ dryRun })))
  })

describe("a repair of the open store", () => {
  it.live("looks at all records without changing any, and then makes anew what it found", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      const running = yield* fill
      const before = yield* picture
      const records = before.records.length
      const whole = { records, seen: records, missing: 0, lost: 0, lacking: [] }
      assert.deepStrictEqual(yield* repaired(true), whole)
      const lost = [":oa", ":qs", ":e:shared", ":d:default"].map((key) => `{${prefix}}${key}`)
      yield* Harness.send("DEL", ...lost)
      const without = yield* keysOf
      const looked = yield* repaired(true)
      assert.deepStrictEqual([looked.records, looked.seen, looked.lost], [records, records, 0])
      assert.includeMembers([...looked.lacking], lost.filter((key) => !key.includes(":e:")))
      assert.isAbove(looked.missing, 0)
      assert.deepStrictEqual(yield* keysOf, without)
      const made = yield* repaired(false)
      assert.deepStrictEqual([made.records, made.seen, made.lost], [records, records, 0])
      assert.isAbove(made.missing, 0)
      assert.deepStrictEqual(yield* repaired(true), whole)
      assert.deepStrictEqual(yield* picture, before)
      assert.deepStrictEqual(yield* future(running), expected)
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)))

  it.live("says how far it is, some hundred records at a time", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      yield* Effect.forEach(Array.from({ length: 5 }), () => Suite.enqueueMany(1000), { discard: true })
      const { repair } = yield* JobStore.JobStore
      for (const dryRun of [true, false]) {
        const told = yield* Stream.runCollect(repair!({ dryRun }))
        assert.isAbove(told.length, 5)
        assert.deepStrictEqual(told.map(({ records }) => records), told.map(() => 5000))
        assert.deepStrictEqual(told.map(({ seen }) => seen), told.map(({ seen }) => seen).toSorted((a, b) => a - b))
        assert.strictEqual(told.at(-1)!.seen, 5000)
      }
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)))

  it.live("leaves records that have lost a part of their own, and sees to the others", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      yield* fill
      const total = (yield* picture).records.length
      yield* Harness.send("DEL", `{${prefix}}:m`, `{${prefix}}:d:default`, `{${prefix}}:qs`)
      const looked = yield* repaired(true)
      assert.isAbove(looked.lost, 5)
      assert.isBelow(looked.lost, total)
      const made = yield* repaired(false)
      assert.deepStrictEqual([made.records, made.seen, made.lost], [total, total, looked.lost])
      const after = yield* repaired(true)
      // What is left of them is in the figures, and in no list.
      assert.deepStrictEqual([after.missing, after.lacking], [0, [`{${prefix}}:d:default`]])
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)))
})

describe("a look at a sample", () => {
  it.live(
    "misses each index that is deleted, but for what no record tells of, and changes nothing",
    () =>
      Effect.gen(function*() {
        yield* Harness.empty(prefix)
        yield* fill
        const all = [...new Set((yield* keysOf).filter((key) => !isPrimary(key)).map(nameOf))]
        const unnoticed: Array<string> = []
        const { examine } = yield* JobStore.JobStore
        for (const name of all) {
          yield* Harness.empty(prefix)
          yield* fill
          const before = yield* keysOf
          assert.deepStrictEqual((yield* examine!).map(({ is }) => is), ["ok"])
          const lost = named(before, [name])
          assert.strictEqual(yield* Harness.send("DEL", ...lost), lost.length)
          const [found] = yield* examine!
          if (found!.is === "ok") unnoticed.push(name.slice(prefix.length + 2))
          else assert.include(found!.detail, "RedisJobStore.repair")
          assert.deepStrictEqual(yield* keysOf, before.filter((key) => !lost.includes(key)))
        }
        // Sizes, and shared keys by name and by when they open: of these no record tells by itself. How much of a chunk has ended:
        // nothing is sought in one that says too little of itself.
        assert.deepStrictEqual(unnoticed.toSorted(), [":fs", ":kn:@space", ":ko", ":oe"])
        yield* Harness.empty(prefix)
      }).pipe(Effect.provide(layer)),
    180_000
  )

  it.live("says that what records had of their own is lost", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      yield* fill
      const { examine } = yield* JobStore.JobStore
      const dependency = (yield* keysOf).find((key) => key.includes("}:dp:"))
      yield* Harness.send("DEL", dependency!)
      const [waits] = yield* examine!
      assert.match(`${waits!.is} ${waits!.detail}`, /^warning 1 of 21 of 21 records looked at have lost/)
      yield* Harness.send("DEL", `{${prefix}}:m`)
      const [lost] = yield* examine!
      assert.match(`${lost!.is} ${lost!.detail}`, /^warning \d+ of 21 of 21 records looked at have lost/)
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)))
})

describe("a list of who waits for a record, that is lost", () => {
  const lose = Effect.gen(function*() {
    const lists = (yield* keysOf).filter((one) => one.includes("}:dw:"))
    assert.strictEqual(yield* Harness.send("DEL", ...lists), 1)
    return lists
  })
  const gone = { age: 0, count: 0 }
  const ways: ReadonlyArray<readonly [what: string, given: Partial<JobStore.NewRecord>, state: string]> = [
    ["has ended", {}, "ready"],
    ["is gone", { retention: { completed: gone, cancelled: gone, dead: gone } }, "dead"]
  ]
  for (const [what, given, state] of ways) {
    it.live(`is missed, and what waits for a record that ${what} meanwhile hears of it`, () =>
      Effect.gen(function*() {
        yield* Harness.empty(prefix)
        const { examine, maintain } = yield* JobStore.JobStore
        const { id } = yield* Suite.enqueue(given)
        const after = yield* Suite.enqueue({ queue: "other", dependencies: [{ name: "d", id }] })
        const lists = yield* lose
        yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.complete)
        yield* maintain
        assert.strictEqual(yield* Suite.stateOf(after.id), "blocked")
        const looked = yield* repaired(true)
        assert.deepStrictEqual([looked.missing, looked.lacking], [1, lists])
        assert.include((yield* examine!)[0]!.detail, lists[0]!)
        assert.strictEqual(yield* Suite.stateOf(after.id), "blocked", "a look changes nothing")
        assert.strictEqual((yield* repaired(false)).missing, 1)
        assert.strictEqual(yield* Suite.stateOf(after.id), state)
        assert.deepStrictEqual((yield* examine!).map(({ is }) => is), ["ok"])
        yield* Harness.empty(prefix)
      }).pipe(Effect.provide(layer)))
  }

  it.live("is made anew in a partition, where a record that lies in another one is no record that is gone", () =>
    Effect.gen(function*() {
      yield* Harness.emptyAll(prefix)
      const counts = new Map([["default", 2], ["other", 2]])
      const choose = ({ tag }: JobStore.NewRecord) => Number(tag.slice(1))
      yield* Effect.gen(function*() {
        const ids = yield* Effect.forEach(["P0", "P1"], (tag) => Suite.enqueue({ tag }))
        const after = yield* Effect.forEach(
          ids,
          ({ id }) => Suite.enqueue({ tag: "P0", queue: "other", dependencies: [{ name: "d", id }] })
        )
        yield* lose
        assert.strictEqual((yield* repaired(false)).missing, 1)
        assert.deepStrictEqual(yield* Effect.forEach(after, ({ id }) => Suite.stateOf(id)), ["blocked", "blocked"])
        const claimed = yield* Suite.claim("w", 9)
        yield* Effect.forEach(claimed, (attempt) => Suite.settle("w", attempt, Suite.complete))
        assert.deepStrictEqual(yield* Effect.forEach(after, ({ id }) => Suite.stateOf(id)), ["ready", "ready"])
      }).pipe(Effect.provide(Partitions.storeOf(prefix, { counts, choose, many: 2 })))
      yield* Harness.emptyAll(prefix)
    }).pipe(Effect.provide(Harness.client())))
})

describe("what waits for a key", () => {
  const { complete } = Suite
  it.live("is given the slot that became free while it was in no list", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      const concurrency = { key: "c", limit: 1 }
      yield* Suite.enqueueMany(3, { concurrency })
      const first = yield* Suite.claimOne("w")
      yield* Harness.send("DEL", `{${prefix}}:kw:c`)
      yield* Suite.settle("w", first, complete)
      assert.deepStrictEqual(yield* Suite.claim("w", 9), [])
      assert.strictEqual((yield* repaired(false)).missing, 2)
      const [second, ...others] = yield* Suite.claim("w", 9)
      assert.deepStrictEqual(others, [], "no more than the limit")
      yield* Suite.settle("w", second!, complete)
      assert.strictEqual((yield* Suite.claim("w", 9)).length, 1)
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)))

  it.live("is given a slot of a shared one, also when somebody looks at the key in the midst of a repair", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      const concurrency = { key: "@space/k", limit: 1 }
      yield* Suite.enqueueMany(3, { concurrency })
      const first = yield* Suite.claimOne("w")
      yield* Harness.send("DEL", `{${prefix}}:kw:@space/k`)
      yield* Suite.settle("w", first, complete)
      const client = new Client(yield* Redis.Redis, `{${prefix}}`, scripts(), yield* Effect.scope)
      yield* client.call("repair", "recount", [])
      assert.deepStrictEqual(yield* Suite.claim("w", 9), [])
      yield* client.call("repair", "mend", ["0"])
      const [second, ...others] = yield* Suite.claim("w", 9)
      assert.deepStrictEqual(others, [], "no more than the limit")
      yield* Suite.settle("w", second!, complete)
      assert.strictEqual((yield* Suite.claim("w", 9)).length, 1)
      yield* Harness.empty(prefix)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

describe("a shelf of which one record was lost and another has finished since", () => {
  const keep = { age: 1e9, count: 3 }
  const end = Effect.gen(function*() {
    const { id } = yield* Suite.enqueue({ retention: { completed: keep, cancelled: keep, dead: keep } })
    yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.complete)
    // What ends at one instant stands beside each other.
    yield* Effect.sleep("2 millis")
    return id
  })
  const endMany = (many: number) => Effect.forEach(Array.from({ length: many }), () => end)
  const kept = (ids: ReadonlyArray<JobRecord.JobId>) => Effect.forEach(ids, Suite.exists)
  const shelf = Effect.map(keysOf, (keys) => keys.find((key) => key.includes("}:f:c:"))!)
  /** The oldest is swept, and neither the newest nor what ends from here on. */
  const isWhole = (before: ReadonlyArray<JobRecord.JobId>, since: JobRecord.JobId) =>
    Effect.gen(function*() {
      yield* Suite.maintainAll
      assert.deepStrictEqual(yield* kept([...before, since]), [false, true, true, true])
      const last = yield* end
      yield* Suite.maintainAll
      assert.deepStrictEqual(yield* kept([...before, since, last]), [false, false, true, true, true])
    })

  it.live("is missed, and made whole with the oldest first", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      const before = yield* endMany(3)
      const name = yield* shelf
      yield* Harness.send("DEL", name)
      const since = yield* end
      const { examine } = yield* JobStore.JobStore
      assert.include((yield* examine!)[0]!.detail, name)
      const looked = yield* repaired(true)
      assert.deepStrictEqual([looked.missing, looked.lacking], [3, [name]])
      const made = yield* repaired(false)
      assert.deepStrictEqual([made.missing, made.lacking], [3, [name]])
      assert.deepStrictEqual((yield* examine!).map(({ is }) => is), ["ok"])
      yield* isWhole(before, since)
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)))

  it.live("is made whole also by a repair after one that was interrupted", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      const before = yield* endMany(3)
      const name = yield* shelf
      yield* Harness.send("DEL", name)
      const client = new Client(yield* Redis.Redis, `{${prefix}}`, scripts(), yield* Effect.scope)
      yield* client.call("repair", "recount", [])
      yield* client.call("repair", "mend", ["0", name])
      const since = yield* end
      yield* repaired(false)
      yield* isWhole(before, since)
      yield* Harness.empty(prefix)
    }).pipe(Effect.scoped, Effect.provide(layer)))

  it.live("is swept in time also when somebody has looked at it in the midst of the repair", () =>
    Effect.gen(function*() {
      yield* Harness.empty(prefix)
      const soon = { age: 50, count: Infinity }
      const { id } = yield* Suite.enqueue({ retention: { completed: soon, cancelled: soon, dead: soon } })
      yield* Suite.settle("w", yield* Suite.claimOne("w"), Suite.complete)
      const name = yield* shelf
      yield* Harness.send("DEL", name)
      yield* Effect.sleep("60 millis")
      const client = new Client(yield* Redis.Redis, `{${prefix}}`, scripts(), yield* Effect.scope)
      yield* client.call("repair", "recount", [])
      yield* Suite.maintainAll
      yield* client.call("repair", "mend", ["0", name])
      yield* Suite.maintainAll
      yield* client.call("repair", "reshelve", [name])
      assert.strictEqual((yield* Suite.exchange("w")).maintainIn, 0)
      yield* Suite.maintainAll
      assert.isFalse(yield* Suite.exists(id))
      yield* Harness.empty(prefix)
    }).pipe(Effect.scoped, Effect.provide(layer)))
})

it.live("what a dead worker has is rescued also when somebody has looked in the midst of the repair", () =>
  Effect.gen(function*() {
    yield* Harness.empty(prefix)
    const { id } = yield* Suite.enqueue()
    yield* Suite.claimOne("dies")
    yield* Suite.renew("dies", { lease: 0 })
    assert.strictEqual(yield* Harness.send("DEL", `{${prefix}}:wl:~dies`), 1)
    const client = new Client(yield* Redis.Redis, `{${prefix}}`, scripts(), yield* Effect.scope)
    yield* client.call("repair", "recount", [])
    yield* Suite.maintainAll
    assert.strictEqual(yield* Suite.stateOf(id), "running")
    yield* client.call("repair", "mend", ["0"])
    assert.strictEqual((yield* Suite.exchange("w")).maintainIn, 0)
    yield* Suite.maintainAll
    assert.strictEqual(yield* Suite.stateOf(id), "ready")
    yield* Harness.empty(prefix)
  }).pipe(Effect.scoped, Effect.provide(layer)))

describe("what waits for a key and has lost what it had of its own", () => {
  const own = `{${prefix}}:m`
  for (const key of ["c", "@space/k"]) {
    const concurrency = { key, limit: 1 }
    it.live(`is passed over when a slot of ${key} becomes free`, () =>
      Effect.gen(function*() {
        yield* Harness.empty(prefix)
        yield* Suite.enqueue({ concurrency })
        const first = yield* Suite.claimOne("w")
        const before = yield* Harness.send<ReadonlyArray<string>>("HKEYS", own)
        yield* Suite.enqueueMany(2, { concurrency })
        const lost = (yield* Harness.send<ReadonlyArray<string>>("HKEYS", own)).filter((id) => !before.includes(id))
        yield* Harness.send("HDEL", own, ...lost)
        const { id } = yield* Suite.enqueue({ concurrency })
        assert.strictEqual(yield* Suite.settle("w", first, Suite.complete), "Done")
        assert.deepStrictEqual((yield* Suite.claim("w", 9)).map((each) => each.id), [id])
        yield* Harness.empty(prefix)
      }).pipe(Effect.provide(layer)))

    it.live(`is passed over by a repair, which gives the slot of ${key} to what has come since`, () =>
      Effect.gen(function*() {
        yield* Harness.empty(prefix)
        yield* Suite.enqueueMany(3, { concurrency, queue: "lost" })
        yield* Harness.send("DEL", own)
        const { id } = yield* Suite.enqueue({ concurrency })
        assert.strictEqual(yield* Suite.stateOf(id), "blocked")
        assert.strictEqual((yield* repaired(false)).lost, 3)
        assert.deepStrictEqual((yield* Suite.claim("w", 9)).map((each) => each.id), [id])
        yield* Harness.empty(prefix)
      }).pipe(Effect.provide(layer)))
  }
})

it.live("a queue whose figures were lost is limited as before", () =>
  Effect.gen(function*() {
    yield* Harness.empty(prefix)
    const { limits } = yield* JobStore.JobStore
    yield* limits([{ _tag: "Propose", name: "default", release: 1, settings: { concurrency: 1 } }])
    yield* Suite.enqueueMany(3)
    yield* Harness.send("DEL", `{${prefix}}:q:default`)
    yield* repaired(false)
    assert.strictEqual((yield* Suite.claim("w", 9)).length, 1)
    yield* Harness.empty(prefix)
  }).pipe(Effect.provide(layer)))

/** How a record comes to have the unique key that another one has had: the first one is settled before it comes, or after. */
interface Takeover {
  readonly unique: Omit<JobStore.UniqueClaim, "key">
  readonly before?: JobStore.Outcome
  readonly after?: JobStore.Outcome
}

const window = { windowMillis: 1e7 }
const takeovers: ReadonlyArray<Takeover> = [
  { unique: { until: "started", onConflict: "keep" } },
  { unique: { until: "started", onConflict: "keep" }, after: { _tag: "Release" } },
  { unique: { until: window, onConflict: "trailing" } },
  { unique: { until: window, onConflict: "trailing" }, before: Suite.complete },
  { unique: { until: window, onConflict: "runAfter" }, before: Suite.complete },
  { unique: { until: window, onConflict: "runAfter" }, after: Suite.complete }
]

/** So many keys in an empty store, each of them taken over. Answers how to ask for them, and who had and who has them. */
const takenOver = ({ after, before, unique }: Takeover, many: number) =>
  Effect.gen(function*() {
    yield* Harness.empty(prefix)
    const ask = (n: number) => Suite.enqueue({ unique: { key: `k${n}`, ...unique } })
    const askAll = Effect.forEach(Array.from({ length: many }, (_, n) => n), ask)
    const former = yield* askAll
    const claimed = yield* Suite.claim("w", many)
    assert.strictEqual(claimed.length, many)
    const settle = (outcome: JobStore.Outcome | undefined) =>
      outcome === undefined ? Effect.void : Suite.exchange("w", {
        settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome, finishedAfter: 0 }))
      })
    yield* settle(before)
    const holders = yield* askAll
    assert.deepStrictEqual(holders.map(({ outcome }) => outcome), holders.map(() => "Inserted"))
    yield* settle(after)
    return { askAll, former: former.map(({ id }) => id), holders: holders.map(({ id }) => id) }
  })

describe("a unique key that one record took from another", () => {
  it.live("goes back to who has it when it was lost", () =>
    Effect.gen(function*() {
      for (const takeover of takeovers) {
        const { askAll, holders } = yield* takenOver(takeover, 50)
        yield* Harness.send("DEL", `{${prefix}}:u`)
        assert.strictEqual((yield* repaired(false)).missing, 50, JSON.stringify(takeover))
        const found = (yield* askAll).filter(({ id }, n) => id === holders[n])
        assert.strictEqual(found.length, 50, JSON.stringify(takeover))
      }
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)), 60_000)

  it.live("goes back to who has it also when the contents of that were replaced", () =>
    Effect.gen(function*() {
      for (const onConflict of ["trailing", "replace"] as const) {
        yield* Harness.empty(prefix)
        const ask = Suite.enqueue({ delay: 1e6, unique: { key: "u", until: window, onConflict } })
        const { id } = yield* ask
        if (onConflict === "trailing") {
          yield* Suite.control({ _tag: "Promote" }, id)
          yield* Suite.claimOne("w")
          assert.strictEqual((yield* ask).outcome, "Inserted")
        }
        const replaced = yield* ask
        assert.strictEqual(replaced.outcome, "Replaced")
        yield* Harness.send("DEL", `{${prefix}}:u`)
        assert.strictEqual((yield* repaired(true)).missing, 1, onConflict)
        assert.strictEqual((yield* repaired(false)).missing, 1, onConflict)
        assert.deepStrictEqual(yield* ask, replaced)
      }
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)))

  it.live("is free, and missed by nobody, when that one is cancelled", () =>
    Effect.gen(function*() {
      const { examine } = yield* JobStore.JobStore
      for (const takeover of takeovers) {
        const { askAll, holders } = yield* takenOver(takeover, 1)
        yield* Suite.control({ _tag: "Cancel", reason: "r" }, holders[0]!)
        assert.deepStrictEqual((yield* examine!).map(({ is }) => is), ["ok"], JSON.stringify(takeover))
        assert.strictEqual((yield* repaired(false)).missing, 0, JSON.stringify(takeover))
        assert.deepStrictEqual((yield* askAll).map(({ outcome }) => outcome), ["Inserted"], JSON.stringify(takeover))
      }
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)))

  it.live("is that one's again when it lives again", () =>
    Effect.gen(function*() {
      for (const takeover of takeovers.filter(({ before }) => before !== undefined)) {
        const { askAll, former, holders } = yield* takenOver(takeover, 1)
        yield* Suite.control({ _tag: "Cancel", reason: "r" }, holders[0]!)
        assert.deepStrictEqual(yield* Suite.control({ _tag: "Retry" }, former[0]!), ["Changed"])
        yield* Harness.send("DEL", `{${prefix}}:u`)
        assert.strictEqual((yield* repaired(false)).missing, 1, JSON.stringify(takeover))
        assert.deepStrictEqual((yield* askAll).map(({ id }) => id), former, JSON.stringify(takeover))
      }
      yield* Harness.empty(prefix)
    }).pipe(Effect.provide(layer)))
})
