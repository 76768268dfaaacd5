/** What an exchange has claimed that failed elsewhere: its worker is told by the next one, as long as it holds it. */
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect, Exit } from "effect"
import { Redis } from "effect/persistence"
import { Advance } from "../../testing/src/internal/suite/harness.ts"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import type { Calls } from "../src/internal/client.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

const many = 4
const counts = new Map([["mail", many]])

/** While `broken.is`, one partition answers no to every exchange. */
const breaking = (broken: { readonly is: boolean }) => (clients: ReadonlyArray<Calls>): ReadonlyArray<Calls> =>
  Partitions.withThird(
    clients,
    (client) => (operation, verb, args) =>
      Effect.suspend(() => broken.is && verb === "exchange" ? Partitions.refused : client.call(operation, verb, args))
  )

const demand = [{ queue: "mail", slots: 8, share: 8 }]
const claimSome = Suite.exchange("w", { demand, total: 8 })

/** The worker `w` holds records that it has not been told of. */
const holdSome = (broken: { is: boolean }) =>
  Effect.gen(function*() {
    yield* Suite.enqueueMany(40, { queue: "mail" })
    const { claimed } = yield* claimSome
    const settlements = claimed.map(({ fence, id }) => ({ id, fence, outcome: Suite.complete, finishedAfter: 0 }))
    broken.is = true
    assert.isTrue(Exit.isFailure(yield* Effect.exit(Suite.exchange("w", { settlements, demand, total: 8 }))))
    broken.is = false
  })

const on = (
  theme: string,
  run: (broken: { is: boolean }) => Effect.Effect<void, unknown, JobStore.JobStore>
) =>
  Effect.gen(function*() {
    const prefix = Harness.prefixOf(theme)
    yield* Partitions.empty(prefix, many)
    yield* Partitions.freeze(prefix, many)
    const broken = { is: false }
    const store = yield* Partitions.open(prefix, {
      counts,
      many,
      clock: Harness.frozenClock,
      altered: breaking(broken)
    })
    const redis = yield* Redis.Redis
    yield* run(broken).pipe(
      Effect.provideService(JobStore.JobStore, store),
      Effect.provideService(Advance, (millis) =>
        Effect.provideService(Effect.orDie(Partitions.advance(prefix, many, millis)), Redis.Redis, redis))
    )
    yield* Partitions.empty(prefix, many)
  }).pipe(Effect.scoped, Effect.provide(Harness.client()))

describe("records that a worker holds and has not been told of", () => {
  it.effect("are given back uncharged when it leaves", () =>
    on("kept_leaves", (broken) =>
      Effect.gen(function*() {
        yield* holdSome(broken)
        const { running } = (yield* Suite.statsOf("mail")).counts
        assert.isAbove(running, 2, "more than what the broken partition could not settle")
        yield* Suite.renew("w", { lease: 0, queues: [], reconcileOlderThan: 0 })
        const { counts } = yield* Suite.statsOf("mail")
        assert.deepStrictEqual([counts.running, counts.ready + counts.completed], [0, 40])
        const { query } = yield* JobStore.JobStore
        const { records } = yield* query({ where: { states: ["ready"] }, order: "oldest", limit: 40 })
        assert.deepStrictEqual(new Set(records.map(({ attempt, crashes }) => attempt + crashes)), new Set([0]))
      })))

  it.effect("are not given out any more when their lease has ended", () =>
    on("kept_lost", (broken) =>
      Effect.gen(function*() {
        yield* holdSome(broken)
        yield* Suite.advance(Suite.lease)
        yield* Suite.maintain
        yield* Suite.claim("v", 40, "mail")
        assert.isAbove((yield* Suite.renew("w", { queues: ["mail"] })).lost.length, 0)
        const { claimed } = yield* claimSome
        for (const { fence, id } of claimed) {
          const record = yield* Suite.get(id)
          assert.deepStrictEqual([record.worker, record.fence], ["w", fence])
        }
      })))
})
