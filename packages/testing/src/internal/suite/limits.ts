import { assert } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as H from "./harness.ts"

const { fact } = H

const change = (...changes: ReadonlyArray<JobStore.LimitChange>) =>
  Effect.flatMap(JobStore.JobStore, (store) => store.limits(changes))

const propose = (name: string, settings: JobStore.LimitSettings, release = 0) =>
  change({ _tag: "Propose", name, release, settings })

const override = (name: string, settings: JobStore.LimitSettings | undefined) =>
  change({ _tag: "Override", name, settings })

/** A record with a key of the space `@space`. The limit that it carries is what holds before anybody proposes one. */
const keyed = (key: string, given: Partial<JobStore.NewRecord> = {}): Partial<JobStore.NewRecord> => ({
  concurrency: { key: `@space/${key}`, limit: 1_000_000 },
  ...given
})

const exchangeFor = (worker: string, slots: number, queue = "default") =>
  H.exchange(worker, { demand: [{ queue, slots, share: slots }], total: slots })

const keys = Effect.flatMap(JobStore.JobStore, (store) => store.keys({ name: "@space", limit: 100 }))

/** The most starts that any window of the rate had. */
const densest = (starts: ReadonlyArray<number>, { perMillis }: JobStore.Rate): number =>
  Math.max(...starts.map((from) => starts.filter((at) => at >= from && at < from + perMillis).length))

const claimedAt = (ids: ReadonlyArray<JobStore.Claimed>) =>
  Effect.forEach(ids, ({ id }) => Effect.map(H.get(id), (record) => record.claimedAt!))

/** Claims whatever a rate lets through, each time when the store says that there is more, until so many have started. */
const drain = (count: number, queue = "default") =>
  Effect.gen(function*() {
    const claimed: Array<JobStore.Claimed> = []
    for (let i = 0; i < 10 * count && claimed.length < count; i++) {
      const reply = yield* exchangeFor("w", count - claimed.length, queue)
      claimed.push(...reply.claimed)
      if (claimed.length === count) break
      assert.isDefined(reply.nextDueIn, "nothing is foreseen, and records wait")
      yield* H.advance(reply.nextDueIn!)
    }
    assert.strictEqual(claimed.length, count)
    return claimed
  })

const rate: JobStore.Rate = { limit: 10, perMillis: 1000, burst: 3 }

/** Records of keys of a job (1 and 2 slots) and of a space (2), with and without a delay; and which of them wait. */
const batchOfKeys = () => {
  const own = (key: string, limit: number) => ({ concurrency: { key: `Task/${key}`, limit } })
  const given: ReadonlyArray<readonly [Partial<JobStore.NewRecord>, boolean]> = [
    [keyed("a"), false],
    [own("one", 1), false],
    [own("one", 1), true],
    [{}, false],
    [own("two", 2), false],
    [keyed("a"), false],
    [keyed("a", { delay: 60_000 }), false],
    [own("two", 2), false],
    [keyed("a"), true],
    [own("two", 2), true],
    [keyed("b"), false],
    [keyed("a"), true],
    [own("one", 1), false]
  ]
  const records = given.map(([one], i) => H.record(i === 12 ? { ...one, delay: 60_000 } : one))
  return { records, waits: new Set(records.flatMap(({ id }, i) => given[i]![1] ? [id] : [])) }
}

const ready = (records: ReadonlyArray<JobStore.NewRecord>, waits: ReadonlySet<string>) =>
  records.flatMap(({ delay, id }) => delay === 0 && !waits.has(id) ? [id] : [])

export const limitFacts: ReadonlyArray<H.Fact> = [
  fact(
    "a queue's concurrency holds for all workers together, whatever claims race, and an end lets the next one start",
    function*() {
      yield* propose("default", { concurrency: 3 })
      yield* H.enqueueMany(20)
      const racing = yield* Effect.all(["a", "b", "c", "d"].map((worker) => exchangeFor(worker, 10)), {
        concurrency: "unbounded"
      })
      const first = racing.flatMap((reply) => reply.claimed)
      assert.isAtMost(first.length, 3)
      const rest = yield* exchangeFor("e", 10)
      const running = [...first, ...rest.claimed]
      assert.strictEqual(running.length, 3)
      const full = yield* exchangeFor("e", 10)
      assert.deepStrictEqual([full.claimed, full.more], [[], []])
      for (const { fence, id } of running) yield* H.settle("e", { id, fence }, H.complete)
      assert.strictEqual((yield* H.claim("f", 10)).length, 3)
      assert.strictEqual((yield* H.statsOf()).counts.running, 3)
    }
  ),
  fact("a queue that is full hides no other queue", function*() {
    yield* propose("a", { concurrency: 1 })
    yield* H.enqueueMany(3, { queue: "a" })
    yield* H.enqueueMany(3, { queue: "b" })
    const demand = [{ queue: "a", slots: 5, share: 3 }, { queue: "b", slots: 5, share: 2 }]
    const { claimed } = yield* H.exchange("w", { demand, total: 5 })
    assert.deepStrictEqual(claimed.map(({ queue }) => queue).toSorted(), ["a", "b", "b", "b"])
  }),
  fact("records of a dead worker count for its queue until they are given back", function*() {
    yield* propose("default", { concurrency: 2 })
    yield* H.enqueueMany(4)
    yield* H.exchange("dying", { lease: 200, demand: [{ queue: "default", slots: 5, share: 5 }], total: 5 })
    assert.strictEqual((yield* H.claim("w", 5)).length, 0)
    yield* H.advance(300)
    yield* H.maintainAll
    assert.strictEqual((yield* H.claim("w", 5)).length, 2)
    assert.strictEqual((yield* H.claim("v", 5)).length, 0)
  }),
  fact("a limit that is lower than what runs holds for whoever comes next, alone and with other keys", function*() {
    const limited = (limit: number, given: Partial<JobStore.NewRecord> = {}) =>
      H.enqueue({ concurrency: { key: "k", limit }, ...given })
    yield* limited(2)
    yield* limited(2)
    const [one, other] = yield* H.claim("w", 2)
    const third = yield* limited(1, { idempotencyKey: "i" })
    yield* limited(1, { unique: { key: "k", until: "finished", onConflict: "keep" } })
    yield* H.settle("w", one!, H.complete)
    assert.deepStrictEqual(yield* H.claim("w", 2), [])
    yield* H.settle("w", other!, H.complete)
    assert.deepStrictEqual((yield* H.claim("w", 2)).map(({ id }) => id), [third.id])
  }),
  fact("a key of a space counts over jobs and queues, and what waits for it hides no other key", function*() {
    yield* propose("@space", { concurrency: 2 })
    yield* H.enqueueMany(3, keyed("a"))
    const other = yield* H.enqueue(keyed("a", { tag: "Other", queue: "q" }))
    const behind = yield* H.enqueue(keyed("b"))
    const claimed = yield* H.claim("w", 10)
    assert.strictEqual(claimed.length, 3)
    assert.isTrue(claimed.some(({ id }) => id === behind.id))
    assert.strictEqual((yield* H.claim("w", 1, "q")).length, 0)
    assert.deepStrictEqual((yield* H.get(other.id)).blocked, { reason: "ConcurrencyKey", on: "@space/a" })
    for (const { fence, id } of claimed) yield* H.settle("w", { id, fence }, H.complete)
    assert.strictEqual((yield* H.claim("w", 10)).length, 1)
    assert.strictEqual((yield* H.claim("w", 10, "q")).length, 1)
  }),
  fact("racing claims never exceed the concurrency of a key", function*() {
    yield* propose("@space", { concurrency: 2 })
    yield* H.enqueueMany(20, keyed("a"))
    for (let round = 0; round < 3; round++) {
      const racing = yield* Effect.all(["a", "b", "c", "d"].map((worker) => H.claim(worker, 10)), {
        concurrency: "unbounded"
      })
      const claimed = [...racing.flat(), ...(yield* H.claim("e", 10))]
      assert.strictEqual(claimed.length, 2)
      for (const { fence, id } of claimed) yield* H.settle("e", { id, fence }, H.complete)
    }
  }),
  fact("a key starts no more than its rate in any window, each as soon as it may", function*() {
    yield* propose("@space", { rate })
    yield* H.enqueueMany(9, keyed("a"))
    const claimed = yield* drain(9)
    const starts = yield* claimedAt(claimed)
    assert.isAtMost(densest(starts, rate), rate.limit + rate.burst - 1)
    const gaps = starts.slice(rate.burst).map((at, i) => at - starts[i + rate.burst - 1]!)
    assert.isAtLeast(starts.at(-1)! - starts[0]!, (9 - rate.burst) * 100)
    assert.isTrue(gaps.every((gap) => gap >= 0))
  }),
  fact("a key of which nothing is left keeps its rate: what comes then starts no sooner", function*() {
    yield* propose("@space", { rate: { limit: 1, perMillis: 1000, burst: 1 } })
    yield* H.enqueue(keyed("a"))
    yield* H.settle("w", yield* H.claimOne("w"), H.complete)
    const { id } = yield* H.enqueue(keyed("a"))
    assert.deepStrictEqual(yield* H.claim("w"), [])
    yield* H.advance(1001)
    assert.strictEqual((yield* H.claimOne("w")).id, id)
  }),
  fact("a key of which nothing is left keeps count of its failures in a row", function*() {
    yield* propose("@space", { breaker: { consecutive: 2, openMillis: 60_000 } })
    for (let i = 0; i < 2; i++) {
      yield* H.enqueue(keyed("a"))
      yield* H.settle("w", yield* H.claimOne("w"), H.dead)
    }
    yield* H.enqueue(keyed("a"))
    assert.deepStrictEqual(yield* H.claim("w"), [])
  }),
  fact("a queue starts no more than its rate in any window, and asks to be looked at when it may again", function*() {
    yield* propose("default", { rate })
    yield* H.enqueueMany(8)
    const starts = yield* claimedAt(yield* drain(8))
    assert.isAtMost(densest(starts, rate), rate.limit + rate.burst - 1)
    assert.isAtLeast(starts.at(-1)! - starts[0]!, (8 - rate.burst) * 100)
  }),
  fact("a token is taken by the start: records that were ready for long start at the rate too", function*() {
    const slow = { limit: 2, perMillis: 120_000, burst: 2 }
    yield* propose("@space", { rate: slow })
    yield* H.enqueueMany(5, keyed("a"))
    yield* H.advance(500)
    assert.strictEqual((yield* H.claim("w", 5)).length, 2)
    assert.strictEqual((yield* H.claim("w", 5)).length, 0)
  }),
  fact("no more records of a key are ready than its burst lets start", function*() {
    yield* propose("@space", { rate: { limit: 2, perMillis: 120_000, burst: 2 } })
    yield* H.enqueueMany(50, keyed("a"))
    assert.strictEqual((yield* H.statsOf()).counts.ready, 2)
    yield* H.claim("w", 5)
    assert.strictEqual((yield* H.statsOf()).counts.blocked, 48)
  }),
  fact("a key that was limited gives nothing out, charges no attempt, and goes on at its old place", function*() {
    yield* propose("@space", { concurrency: 2 })
    const [first, second, third] = yield* H.enqueueMany(3, keyed("a"))
    const other = yield* H.enqueue(keyed("b"))
    const [one, two] = yield* H.claim("w", 2)
    assert.strictEqual(
      yield* H.settle("w", one!, { _tag: "SnoozeFor", delay: 1500, closes: "key" }),
      "Done"
    )
    yield* H.settle("w", two!, H.complete)
    assert.deepStrictEqual((yield* H.claim("w", 5)).map(({ id }) => id), [other.id])
    const [key] = yield* keys
    assert.deepStrictEqual([key!.key, key!.waiting, key!.running], ["@space/a", 2, 0])
    assert.isDefined(key!.limitedUntil)
    yield* H.advance(1600)
    const again = yield* H.claim("w", 5)
    assert.deepStrictEqual(again.map(({ id }) => id), [first, third])
    assert.strictEqual(again[0]!.attempt, 1)
    assert.strictEqual(yield* H.stateOf(second!), "completed")
  }),
  fact("a record whose attempt closes its key keeps its unique key, and its successor waits for its end", function*() {
    const unique: JobStore.UniqueClaim = { key: "u", until: "finished", onConflict: "runAfter" }
    const { id } = yield* H.enqueue(keyed("a", { unique }))
    const attempt = yield* H.claimOne("w")
    const successor = yield* H.enqueue(keyed("a", { unique }))
    yield* H.settle("w", attempt, { _tag: "SnoozeFor", delay: 1000, closes: "key" })
    assert.strictEqual((yield* H.enqueue(keyed("a", { unique: { ...unique, onConflict: "keep" } }))).id, id)
    yield* H.advance(1100)
    const again = yield* H.claimOne("w")
    assert.deepStrictEqual([again.id, yield* H.stateOf(successor.id)], [id, "blocked"])
    yield* H.settle("w", again, H.complete)
    assert.strictEqual((yield* H.claimOne("w")).id, successor.id)
  }),
  fact(
    "a key whose attempts fail in a row starts nothing for a while, then one probes: its failure opens the circuit again, its success closes it",
    function*() {
      yield* propose("@space", { concurrency: 5, breaker: { consecutive: 2, openMillis: 400 } })
      yield* H.enqueueMany(7, keyed("a"))
      const other = yield* H.enqueue(keyed("b"))
      const running = yield* H.claim("w", 3)
      yield* H.settle("w", running[0]!, H.dead)
      yield* H.settle("w", running[1]!, H.retryAfter(60_000))
      // It began before, and changes nothing.
      yield* H.settle("w", running[2]!, H.complete)
      assert.deepStrictEqual((yield* H.claim("w", 5)).map(({ id }) => id), [other.id])
      assert.deepStrictEqual((yield* keys).map(({ failed, key }) => [key, failed])[0], ["@space/a", 2])
      yield* H.advance(450)
      const probe = yield* H.claim("w", 5)
      assert.deepStrictEqual(probe.map(({ attempt }) => attempt), [1])
      yield* H.settle("w", probe[0]!, H.dead)
      assert.deepStrictEqual(yield* H.claim("w", 5), [])
      yield* H.advance(450)
      const again = yield* H.claim("w", 5)
      assert.strictEqual(again.length, 1)
      yield* H.settle("w", again[0]!, H.complete)
      assert.strictEqual((yield* H.claim("w", 5)).length, 2)
    }
  ),
  fact(
    "a success between two failures keeps a circuit closed, and a snooze or a release counts for nothing",
    function*() {
      yield* propose("@space", { breaker: { consecutive: 2, openMillis: 60_000 } })
      yield* H.enqueueMany(9, keyed("a"))
      const ends: ReadonlyArray<JobStore.Outcome> = [
        H.dead,
        { _tag: "SnoozeFor", delay: 60_000 },
        { _tag: "RetryAfter", delay: 60_000, failure: H.failure, uncharged: true },
        H.complete,
        H.dead,
        { _tag: "Cancel", reason: "r" },
        H.complete
      ]
      for (const end of ends) yield* H.settle("w", yield* H.claimOne("w"), end)
      assert.strictEqual((yield* H.claim("w", 5)).length, 2)
    }
  ),
  fact("a queue that was limited gives nothing out until then", function*() {
    const [first] = yield* H.enqueueMany(2)
    const attempt = yield* H.claimOne("w")
    yield* H.settle("w", attempt, { _tag: "SnoozeFor", delay: 1000, closes: "queue" })
    const reply = yield* exchangeFor("w", 5)
    assert.deepStrictEqual(reply.claimed, [])
    assert.isAtMost(reply.nextDueIn!, 1000)
    yield* H.advance(1100)
    const again = yield* H.claim("w", 5)
    assert.deepStrictEqual(again.map(({ attempt, id }) => [attempt, id])[0], [1, first])
    assert.strictEqual(again.length, 2)
  }),
  fact("the proposal of the highest release holds, and an operator's value wins until it is cleared", function*() {
    yield* propose("default", { concurrency: 2, rate }, 7)
    yield* propose("default", { concurrency: 1 }, 6)
    const proposed = { concurrency: 2, rate }
    assert.deepStrictEqual(yield* change(), [{ name: "default", release: 7, proposed, override: undefined }])
    yield* override("default", { concurrency: 3 })
    yield* propose("default", { concurrency: 4 }, 8)
    assert.deepStrictEqual(yield* change(), [
      { name: "default", release: 8, proposed: { concurrency: 4 }, override: { concurrency: 3 } }
    ])
    yield* H.enqueueMany(10)
    assert.strictEqual((yield* H.claim("w", 10)).length, 3)
    yield* override("default", undefined)
    assert.strictEqual((yield* H.claim("w", 10)).length, 1)
  }),
  fact("a limit that is lowered holds for what is ready already, and what waited comes when it is raised", function*() {
    yield* propose("@space", { concurrency: 3 })
    const ids = yield* H.enqueueMany(5, keyed("a"))
    yield* override("@space", { concurrency: 1 })
    const [first, ...others] = yield* H.claim("w", 5)
    assert.deepStrictEqual([first!.id, others], [ids[0], []])
    yield* override("@space", { concurrency: 4 })
    const more = yield* H.claim("w", 5)
    assert.deepStrictEqual(more.map(({ id }) => id), ids.slice(1, 4))
  }),
  fact("an override of 0 stops a key, and clearing it lets it go on", function*() {
    yield* propose("@space", { concurrency: 3 })
    yield* H.enqueueMany(2, keyed("a"))
    yield* override("@space", { concurrency: 0 })
    assert.strictEqual((yield* H.claim("w", 5)).length, 0)
    yield* override("@space", undefined)
    assert.strictEqual((yield* H.claim("w", 5)).length, 2)
  }),
  fact("what was enqueued before a limit was known keeps to it", function*() {
    // Until then it is what they carry.
    yield* H.enqueueMany(4, { concurrency: { key: "@space/b", limit: 3 }, queue: "other" })
    assert.strictEqual((yield* H.claim("w", 10, "other")).length, 3)
    yield* H.enqueueMany(6, keyed("a"))
    yield* propose("@space", { concurrency: 2 })
    assert.strictEqual((yield* H.claim("w", 10)).length, 2)
    assert.strictEqual((yield* H.claim("w", 10)).length, 0)
    const [key] = yield* keys
    assert.deepStrictEqual([key!.waiting, key!.ready, key!.running], [4, 0, 2])
  }),
  fact("a key's slot is free again however its record ends", function*() {
    yield* propose("@space", { concurrency: 1 })
    const ends: ReadonlyArray<JobStore.Outcome> = [
      H.complete,
      H.dead,
      { _tag: "Cancel", reason: "r" },
      H.retryAfter(60_000),
      { _tag: "SnoozeFor", delay: 60_000 },
      { _tag: "WaitFor", waitpoint: "w" },
      { _tag: "Park", reason: "NoHandler" }
    ]
    yield* H.enqueueMany(ends.length + 1, keyed("a"))
    for (const end of ends) {
      const attempt = yield* H.claimOne("w")
      assert.strictEqual((yield* H.claim("v", 5)).length, 0)
      yield* H.settle("w", attempt, end)
    }
    const last = yield* H.claimOne("w")
    yield* H.settle("w", last, { _tag: "Release" })
    assert.strictEqual((yield* H.claimOne("v")).id, last.id)
    const [key] = yield* keys
    assert.deepStrictEqual([key!.waiting, key!.ready, key!.running], [0, 0, 1])
  }),
  fact("a record of a key that waits is cancelled and deleted like any other, and the key goes on", function*() {
    yield* propose("@space", { concurrency: 1 })
    const ids = yield* H.enqueueMany(5, keyed("a"))
    yield* H.control({ _tag: "Cancel", reason: "r" }, ids[0]!, ids[2]!)
    yield* H.control({ _tag: "Delete" }, ids[1]!)
    assert.strictEqual((yield* H.claimOne("w")).id, ids[3])
    assert.strictEqual((yield* H.claim("w", 5)).length, 0)
  }),
  fact(
    "keys of a fair limit take turns, so that the first record of one does not wait behind another's backlog",
    function*() {
      yield* propose("@space", { order: "fair" })
      const big = yield* H.enqueueMany(20, keyed("big"))
      for (const { fence, id } of yield* H.claim("w", 10)) yield* H.settle("w", { id, fence }, H.complete)
      const small = yield* H.enqueueMany(2, keyed("small"))
      const next = yield* H.claim("w", 4)
      assert.deepStrictEqual(next.map(({ id }) => big.includes(id)).toSorted(), [false, false, true, true])
      assert.isTrue(next.slice(0, 2).some(({ id }) => id === small[0]))
    }
  ),
  fact("keys of a limit that only an enqueuer has told of take turns, and its records carry all else", function*() {
    assert.deepStrictEqual(yield* propose("@space", { order: "fair", concurrency: 0 }, -1), [])
    yield* H.enqueueMany(20, keyed("big"))
    const lone = yield* H.enqueueMany(2, { concurrency: { key: "@space/lone", limit: 1 } })
    const batch = yield* Effect.flatMap(
      JobStore.JobStore,
      (store) => store.enqueue({ records: ["big", "small"].map((key) => H.record(keyed(key))) })
    )
    const rows = yield* propose("@space", { order: "fair", concurrency: 50 })
    // A worker has come, and later another enqueuer.
    assert.deepStrictEqual(yield* propose("@space", { order: "fair" }, -1), rows)
    const first = (yield* H.claim("w", 3)).map(({ id }) => id)
    assert.includeMembers(first, [lone[0]!, batch[1]!.id])
    assert.notInclude(first, lone[1]!)
  }),
  fact("a higher priority comes before the turns of fair keys, and a record without a key before them", function*() {
    yield* propose("@space", { order: "fair" })
    const [first] = yield* H.enqueueMany(2, keyed("a"))
    const high = yield* H.enqueue(keyed("a", { priority: 5 }))
    const plain = yield* H.enqueue()
    assert.deepStrictEqual((yield* H.claim("w", 3)).map(({ id }) => id), [high.id, plain.id, first])
  }),
  fact(
    "of a batch with many keys as many are ready as each has slots, the first ones; the others wait in their order",
    function*() {
      yield* propose("@space", { concurrency: 2 })
      const { records, waits } = batchOfKeys()
      const answers = yield* Effect.flatMap(JobStore.JobStore, (store) => store.enqueue({ records }))
      assert.deepStrictEqual(answers, records.map(({ id }) => ({ id, outcome: "Inserted" })))
      const found = yield* Effect.forEach(records, ({ id }) => Effect.map(H.get(id), ({ state }) => state))
      assert.deepStrictEqual(
        found,
        records.map(({ delay, id }) => delay > 0 ? "scheduled" : waits.has(id) ? "blocked" : "ready")
      )
      const { counts } = yield* H.statsOf()
      assert.deepStrictEqual([counts.ready, counts.blocked, counts.scheduled], [7, 4, 2])
      const claimed = yield* H.claim("w", 20)
      assert.deepStrictEqual(new Set(claimed.map(({ id }) => id)), new Set(ready(records, waits)))
      // Sent again it stores nothing.
      const again = yield* Effect.flatMap(JobStore.JobStore, (store) => store.enqueue({ records }))
      assert.deepStrictEqual(again, records.map(({ id }) => ({ id, outcome: "Existing" })))
      assert.strictEqual((yield* H.statsOf()).counts.blocked, 4)
    }
  ),
  fact("records of a batch that have keys are found by their job", function*() {
    const store = yield* JobStore.JobStore
    for (const space of ["Own", "@space"]) {
      const tag = `Of ${space}`
      const records = ["a", "b"].map((key) => H.record({ tag, concurrency: { key: `${space}/${key}`, limit: 9 } }))
      yield* store.enqueue({ records })
      const found = yield* store.query({ where: { tag }, order: "oldest", limit: 9 })
      assert.deepStrictEqual(new Set(found.records.map(({ id }) => id)), new Set(records.map(({ id }) => id)))
    }
  }),
  fact("a batch that has a record twice stores and counts it once, and it takes one slot of its key", function*() {
    yield* propose("@space", { concurrency: 2 })
    const { enqueue } = yield* JobStore.JobStore
    const given: ReadonlyArray<Partial<JobStore.NewRecord>> = [
      {},
      { concurrency: { key: "Own/a", limit: 2 } },
      keyed("a")
    ]
    for (const [i, one] of given.entries()) {
      const [twice, other] = [H.record(one), H.record(one)]
      const answers = yield* enqueue({ records: [twice, twice, other] })
      assert.deepStrictEqual(answers.map(({ outcome }) => outcome), ["Inserted", "Existing", "Inserted"])
      assert.strictEqual((yield* H.statsOf()).counts.ready, 2, `both have a slot: ${i}`)
      const claimed = yield* H.claim("w", 9)
      assert.deepStrictEqual(new Set(claimed.map(({ id }) => id)), new Set([twice.id, other.id]))
      for (const attempt of claimed) yield* H.settle("w", attempt, H.complete)
    }
  }),
  fact("what ends in one exchange gives each key as many slots back as it held, to those that came first", function*() {
    yield* propose("@space", { concurrency: 2 })
    const { records, waits } = batchOfKeys()
    yield* Effect.flatMap(JobStore.JobStore, (store) => store.enqueue({ records }))
    const claimed = yield* H.claim("w", 20)
    const settlements = claimed.map(({ fence, id }) => ({ id, fence, outcome: H.complete, finishedAfter: 1 }))
    const reply = yield* H.exchange("w", {
      settlements,
      demand: [{ queue: "default", slots: 20, share: 20 }],
      total: 20
    })
    assert.deepStrictEqual(reply.settled, settlements.map(() => "Done"))
    assert.deepStrictEqual(new Set(reply.claimed.map(({ id }) => id)), new Set(waits))
    for (const { fence, id } of reply.claimed) yield* H.settle("w", { id, fence }, H.complete)
    // All slots are free again: as many run as at first.
    const next = batchOfKeys()
    yield* Effect.flatMap(JobStore.JobStore, (store) => store.enqueue({ records: next.records }))
    assert.strictEqual((yield* H.claim("w", 20)).length, 7)
  }),
  fact("one claim takes a token for each record that it starts, of each key as many as there are", function*() {
    yield* propose("@space", { rate: { limit: 3, perMillis: 180_000, burst: 3 } })
    const records = ["a", "b", "a", "b", "a", "b", "a", "b"].map((key) => H.record(keyed(key)))
    yield* Effect.flatMap(JobStore.JobStore, (store) => store.enqueue({ records }))
    yield* override("@space", { rate: { limit: 2, perMillis: 120_000, burst: 2 } })
    const claimed = yield* H.claim("w", 10)
    assert.deepStrictEqual(new Set(claimed.map(({ id }) => id)), new Set(records.slice(0, 4).map(({ id }) => id)))
    for (const { fence, id } of claimed) yield* H.settle("w", { id, fence }, H.complete)
    assert.deepStrictEqual(yield* H.claim("w", 10), [])
  }),
  fact("records of fair keys that come in one batch take turns, one each", function*() {
    yield* propose("@space", { order: "fair" })
    const records = ["a", "a", "a", "b", "b", "c"].map((key) => H.record(keyed(key)))
    yield* Effect.flatMap(JobStore.JobStore, (store) => store.enqueue({ records }))
    const keysOf = (claimed: ReadonlyArray<JobStore.Claimed>) =>
      claimed.map(({ id }) => records.find((record) => record.id === id)!.concurrency!.key).toSorted()
    assert.deepStrictEqual(keysOf(yield* H.claim("w", 3)), ["@space/a", "@space/b", "@space/c"])
    assert.deepStrictEqual(keysOf(yield* H.claim("w", 2)), ["@space/a", "@space/b"])
    assert.deepStrictEqual(keysOf(yield* H.claim("w", 2)), ["@space/a"])
  }),
  fact("a key is listed that only waits, only runs, is only ready, or is only closed", function*() {
    yield* propose("@space", { rate: { limit: 1, perMillis: 60_000, burst: 1 } })
    for (const key of ["waits", "waits", "runs", "closed"]) yield* H.enqueue(keyed(key))
    const [waits, , closed] = yield* H.claim("w", 3)
    yield* H.settle("w", waits!, H.complete)
    yield* H.settle("w", closed!, { _tag: "SnoozeFor", delay: 30_000, closes: "key" })
    yield* H.control({ _tag: "Cancel", reason: "r" }, closed!.id)
    yield* H.enqueue(keyed("ready"))
    assert.deepStrictEqual(
      (yield* keys).map(({ key, limitedUntil, ready, running, waiting }) => [
        key,
        waiting,
        ready,
        running,
        limitedUntil !== undefined
      ]),
      [
        ["@space/closed", 0, 0, 0, true],
        ["@space/ready", 0, 1, 0, false],
        ["@space/runs", 0, 0, 1, false],
        ["@space/waits", 1, 0, 0, false]
      ]
    )
  }),
  fact("keys are listed by name, page by page, while anything of them waits or runs", function*() {
    const store = yield* JobStore.JobStore
    yield* propose("@space", { concurrency: 1 })
    for (const key of ["b", "a", "c"]) yield* H.enqueueMany(2, keyed(key))
    yield* H.enqueue({ concurrency: { key: "Task/b", limit: 1 } })
    const first = yield* store.keys({ name: "@space", limit: 2 })
    assert.deepStrictEqual(first.map(({ key, ready, waiting }) => [key, ready, waiting]), [
      ["@space/a", 1, 1],
      ["@space/b", 1, 1]
    ])
    const rest = yield* store.keys({ name: "@space", limit: 2, after: "@space/b" })
    assert.deepStrictEqual(rest.map(({ key }) => key), ["@space/c"])
    for (let i = 0; i < 2; i++) {
      for (const { fence, id } of yield* H.claim("w", 10)) yield* H.settle("w", { id, fence }, H.complete)
    }
    assert.deepStrictEqual(yield* keys, [])
  })
]
