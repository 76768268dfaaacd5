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

interface Broken {
  /** One partition answers no to every exchange... */
  is: boolean
  /** ...or is not there at all. */
  isAway?: boolean
}

const breaking = (broken: Broken) => (clients: ReadonlyArray<Calls>): ReadonlyArray<Calls> =>
  Partitions.withThird(
    clients,
    (client) => (operation, verb, args) =>
      Effect.suspend(() =>
        broken.isAway === true
          ? Partitions.unavailable
          : broken.is && verb === "exchange"
          ? Partitions.refused
          : client.call(operation, verb, args)
      )
  )

const demand = [{ queue: "mail", slots: 8, share: 8 }]
const claimSome = Suite.exchange("w", { demand, total: 8 })

/** The worker `w` holds records that it has not been told of. */
const holdSome = (broken: Broken) =>
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
  run: (broken: Broken) => Effect.Effect<void, unknown, JobStore.JobStore>
) =>
  Effect.gen(function*() {
    const prefix = Harness.prefixOf(theme)
    yield* Partitions.empty(prefix, many)
    yield* Partitions.freeze(prefix, many)
    const broken: Broken = { is: false }
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

/** More than a process remembers the places of. */
const forgetOthers = Effect.gen(function*() {
  for (let i = 0; i < 66; i++) yield* Suite.enqueueMany(1000)
})

describe("where the records lie that a worker holds", () => {
  it.effect(
    "is not forgotten, so that a partition that is away keeps none of the others from being renewed and settled",
    () =>
      on("kept_places", (broken) =>
        Effect.gen(function*() {
          yield* Suite.enqueueMany(40, { queue: "mail" })
          const holding = yield* Suite.claim("w", 40, "mail")
          const renewed = Suite.renew("w", { queues: ["mail"], holding })
          yield* forgetOthers
          broken.isAway = true
          assert.deepStrictEqual((yield* renewed).lost, [])
          yield* forgetOthers
          assert.deepStrictEqual((yield* renewed).lost, [])
          const settlements = holding.map(({ fence, id }) => ({ id, fence, outcome: Suite.complete, finishedAfter: 0 }))
          const { settled } = yield* Suite.exchange("w", { settlements })
          assert.deepStrictEqual(new Set(settled), new Set(["Done", "Unreached"] as const))
        })),
    30_000
  )
})
