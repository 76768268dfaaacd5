/**
 * Under random calls every index says what the records say: `repair`, which makes them anew, finds nothing to do and makes
 * what was there, and what waits for something waits for what is there.
 */
import { assert, describe, it } from "@effect/vitest"
import { JobRecord, JobStore } from "capstan"
import { Effect, Option, Random, Stream } from "effect"
import { Redis } from "effect/persistence"
import { Advance } from "../../testing/src/internal/suite/harness.ts"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { Client } from "../src/internal/client.ts"
import { examine } from "../src/internal/examine.ts"
import { repair } from "../src/internal/repair.ts"
import { scripts } from "../src/internal/scripts.ts"
import { make, usualSettings } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"

const workers = ["a", "b", "c"]
const queues = ["default", "other"]
const pick = <A>(from: ReadonlyArray<A>) => Effect.map(Random.nextIntBetween(0, from.length - 1), (i) => from[i]!)

interface Held {
  readonly worker: string
  readonly attempt: JobStore.Claimed
}

const keep: JobRecord.Keep = { age: 60_000, count: 5 }
const retention: JobRecord.Retention = { completed: keep, cancelled: { age: 30_000, count: Infinity }, dead: keep }

const calls = (ids: Array<JobRecord.JobId>, held: Array<Held>) => {
  const policies = ["keep", "replace", "reschedule", "runAfter"] as const
  const untils = ["started", "finished", { windowMillis: 20_000 }] as const
  const given = Effect.gen(function*() {
    const kind = yield* Random.nextIntBetween(0, 9)
    const delay = kind % 2 === 0 ? 0 : yield* Random.nextIntBetween(0, 5000)
    const more: Partial<JobStore.NewRecord> = kind === 0
      ? { concurrency: { key: yield* pick(["k", "l"]), limit: 2 } }
      : kind <= 4
      ? { unique: { key: "u", until: yield* pick(untils), onConflict: yield* pick(policies) } }
      : kind === 5
      ? { startBefore: 8000, tags: ["t"] }
      : kind === 6 && ids.length > 0
      ? { dependencies: [{ name: "d", id: yield* pick(ids) }, { name: "e", id: yield* pick(ids) }] }
      : kind === 7
      ? { idempotencyKey: yield* pick(["x", "y"]), version: 2 }
      : {}
    return { delay, retention, queue: yield* pick(queues), priority: yield* Random.nextIntBetween(-1, 1), ...more }
  })
  const add = Effect.gen(function*() {
    const { id } = yield* Suite.enqueue(yield* given)
    if (!ids.includes(id)) ids.push(id)
  })
  const addMany = Effect.gen(function*() {
    const records = yield* Effect.forEach(
      Array.from({ length: yield* Random.nextIntBetween(2, 6) }),
      () =>
        Effect.gen(function*() {
          const key = yield* pick(["k", "l", "m", "n"])
          return Suite.record({ retention, queue: "default", concurrency: { key, limit: 2 } })
        })
    )
    yield* (yield* JobStore.JobStore).enqueue({ records })
    for (const { id } of records) ids.push(id)
  })
  const claim = Effect.gen(function*() {
    const worker = yield* pick(workers)
    for (const attempt of yield* Suite.claim(worker, 3, yield* pick(queues))) held.push({ worker, attempt })
  })
  const settle = Effect.gen(function*() {
    if (held.length === 0) return
    const { attempt, worker } = yield* pick(held)
    const outcomes: ReadonlyArray<JobStore.Outcome> = [
      Suite.complete,
      Suite.complete,
      { _tag: "Complete", result: "1" },
      Suite.dead,
      Suite.retryAfter(yield* Random.nextIntBetween(0, 3000)),
      { _tag: "SnoozeFor", delay: 100 },
      { _tag: "Release" },
      { _tag: "Park", reason: "NoHandler" },
      { _tag: "Cancel", reason: "r" },
      { _tag: "WaitFor", waitpoint: "w" },
      { _tag: "WaitForChildren" }
    ]
    const outcome = yield* pick(outcomes)
    const children = outcome._tag === "WaitForChildren" ? { children: [Suite.record({ retention })] } : {}
    yield* Suite.settle(worker, attempt, outcome, children)
    for (const child of children.children ?? []) ids.push(child.id)
  })
  const completeAll = Effect.gen(function*() {
    const worker = yield* pick(workers)
    const settlements = held.filter((one) => one.worker === worker).map(({ attempt: { fence, id } }) => ({
      id,
      fence,
      outcome: Suite.complete,
      finishedAfter: 0
    }))
    yield* Suite.exchange(worker, { settlements })
  })
  const operate = Effect.gen(function*() {
    if (ids.length === 0) return
    const sensitive = { payload: [], result: [], error: [], progress: [] }
    const action = yield* pick<JobStore.ControlAction>([
      { _tag: "Cancel", reason: "r" },
      { _tag: "Retry" },
      { _tag: "Retry", payload: { json: "2", version: 2, sensitive } },
      { _tag: "Promote" },
      { _tag: "Reschedule", delay: yield* Random.nextIntBetween(0, 2000) },
      { _tag: "Reprioritise", priority: yield* Random.nextIntBetween(-2, 2) },
      { _tag: "Delete" }
    ])
    yield* Suite.control(action, yield* pick(ids))
  })
  const signal = Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    if (ids.length > 0) yield* store.signal({ id: yield* pick(ids), waitpoint: "w", value: "1" })
  })
  const renew = Effect.gen(function*() {
    const worker = yield* pick(workers)
    const holding = held.filter((one) => one.worker === worker).map(({ attempt }) => attempt)
    const reconcileOlderThan = yield* pick([0, Infinity])
    const handles = yield* pick([[], [{ tag: "Task", version: 2 }]])
    yield* Suite.renew(worker, { holding: yield* pick([holding, holding.slice(1)]), reconcileOlderThan, handles })
  })
  const pass = Effect.gen(function*() {
    yield* Suite.advance(yield* Random.nextIntBetween(1, Suite.lease / 3))
    yield* Suite.maintain
  })
  return [
    add,
    add,
    add,
    addMany,
    claim,
    claim,
    settle,
    settle,
    settle,
    completeAll,
    operate,
    operate,
    signal,
    renew,
    pass
  ] as const
}

/** The store as everybody sees it. */
const picture = Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  const { records } = yield* store.query({ where: {}, order: "oldest", limit: 1000 })
  const { queues, workers } = yield* store.stats
  const found = (where: JobStore.Selection) =>
    Effect.map(store.query({ where, order: "oldest", limit: 1000 }), ({ records }) => records.map(({ id }) => id))
  return {
    records,
    queues: queues.map(({ counts, parked, queue }) => ({ queue, counts, parked })),
    holds: workers.map(({ holds, worker }) => [worker, holds]),
    searches: yield* Effect.forEach(
      [
        { states: ["dead"] },
        { states: ["cancelled"] },
        { blockedReason: "Unique" },
        { blockedReason: "Waitpoint" },
        {
          label: "t"
        },
        { errorTag: "Oops" },
        { queue: "default" },
        { states: ["ready", "running", "scheduled", "blocked"] }
      ] as const,
      found
    )
  }
})

const check = ({ holds, queues, records }: Effect.Success<typeof picture>) => {
  for (const { counts, parked, queue } of queues) {
    const own = records.filter((record) => record.queue === queue)
    for (const state of JobRecord.states) {
      assert.strictEqual(counts[state], own.filter((record) => record.state === state).length, `${queue}: ${state}`)
    }
    const isParked = ({ blocked }: JobRecord.JobRecord) =>
      blocked?.reason === "NoHandler" || blocked?.reason === "NewerPayload"
    assert.strictEqual(parked, own.filter(isParked).length, `${queue}: parked`)
  }
  for (const [worker, many] of holds) {
    assert.strictEqual(many, records.filter((record) => record.worker === worker).length, `held by ${worker}`)
  }
  const byId = new Map(records.map((record) => [record.id, record]))
  for (const { blocked, id, state } of records) {
    if (state !== "blocked") continue
    assert.isDefined(blocked, `${id} is blocked for nothing`)
    if (blocked?.reason !== "Unique") continue
    const holder = byId.get(JobRecord.JobId(blocked.on!))
    assert.isDefined(holder, `${id} waits for the end of what is gone`)
    assert.isFalse(JobRecord.isFinal(holder!.state), `${id} waits for what has ended`)
  }
}

/** Indexes that hold no more and no less than the records say; in others what has left is passed over. */
const isExact = (key: string): boolean => /^[^}]*}:((b|d|kw|pk|il|ie|if|ip|wn|ok):|(x|i|ku|kl|oe)$)/.test(key)

/** Which chunks of the log have records of a kind: one whose last record of it is gone may stay. */
const mayHaveMore = (key: string): boolean => key.includes("}:ok:")

const textsOf = (items: unknown): Array<string> => Array.isArray(items) ? items.map((item) => JSON.stringify(item)) : []

/** The exact indexes, with all that is in them. */
const indexes = (prefix: string) =>
  Effect.gen(function*() {
    const found: Record<string, unknown> = {}
    const [, keys] = yield* Harness.send<[string, ReadonlyArray<string>]>(
      "SCAN",
      "0",
      "MATCH",
      `{${prefix}}:*`,
      "COUNT",
      "100000"
    )
    for (const key of keys.filter(isExact)) {
      const isHash = (yield* Harness.send("TYPE", key)) === "hash"
      const flat = yield* isHash
        ? Harness.send<ReadonlyArray<string> | Readonly<Record<string, string>>>("HGETALL", key)
        : Harness.send<ReadonlyArray<string>>("ZRANGE", key, "0", "-1", "WITHSCORES")
      const items = Array.isArray(flat) ? flat as ReadonlyArray<string> : Object.entries(flat).flat()
      found[key] = isHash ?
        items.map((_, i) => items.slice(i, i + 2)).filter((_, i) => i % 2 === 0).filter(([, value]) => value !== "0")
          .toSorted() :
        items
    }
    return found
  })

describe("under random calls", () => {
  for (const seed of ["1", "2", "3", "4"]) {
    const prefix = Harness.prefixOf(`invariants_${seed}`)
    it.effect(`every index says what the records say (seed ${seed})`, () =>
      Effect.gen(function*() {
        yield* Harness.empty(prefix)
        yield* Harness.freeze(prefix)
        const client = new Client(yield* Redis.Redis, `{${prefix}}`, scripts(Harness.frozenClock), yield* Effect.scope)
        const store = yield* make(client, { ...usualSettings, identity: prefix })
        const advance = (millis: number) =>
          Effect.asVoid(Effect.orDie(Effect.provideService(Harness.advance(prefix, millis), Redis.Redis, client.redis)))
        yield* Effect.gen(function*() {
          const all = calls([], [])
          for (let i = 1; i <= 500; i++) {
            yield* yield* pick(all)
            if (i % 25 !== 0) continue
            const before = yield* picture
            check(before)
            const kept = yield* indexes(prefix)
            const looked = yield* examine([client])
            assert.deepStrictEqual(looked.map(({ is }) => is), ["ok"], `after ${i} calls: ${JSON.stringify(looked)}`)
            const repaired = yield* Stream.runLast(repair([client], false))
            assert.deepInclude(Option.getOrThrow(repaired), { missing: 0, lost: 0, lacking: [] }, `after ${i} calls`)
            assert.deepStrictEqual(yield* picture, before, `after ${i} calls`)
            if (Object.keys(kept).length > 0) yield* Harness.send("DEL", ...Object.keys(kept))
            yield* Stream.runDrain(repair([client], false))
            const anew = yield* indexes(prefix)
            for (const key of new Set([...Object.keys(kept), ...Object.keys(anew)])) {
              if (mayHaveMore(key)) {
                assert.includeMembers(textsOf(kept[key]), textsOf(anew[key]), key)
                continue
              }
              assert.deepStrictEqual(textsOf(kept[key]), textsOf(anew[key]), `${key} after ${i} calls`)
            }
          }
        }).pipe(
          Effect.provideService(JobStore.JobStore, store),
          Effect.provideService(Advance, advance),
          Random.withSeed(seed)
        )
        yield* Harness.empty(prefix)
      }).pipe(Effect.scoped, Effect.provide(Harness.client())), 60_000)
  }
})
