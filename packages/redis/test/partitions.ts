/** What the tests of partitions are written with: stores of several, each with a clock that stands still. */
import { JobStoreSuite } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { JobError, JobStore } from "capstan"
import { Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { type Calls, Client } from "../src/internal/client.ts"
import { serviceOf } from "../src/internal/nodes.ts"
import type { Choose, Counts } from "../src/internal/partitions/choose.ts"
import { choosing } from "../src/internal/partitions/choose.ts"
import { clientsOf } from "../src/internal/partitions/open.ts"
import { makePartitioned } from "../src/internal/partitions/store.ts"
import { type Scripts, scripts } from "../src/internal/scripts.ts"
import { type Settings, usualSettings } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"

/**
 * Facts about a limit of a whole queue, and about a schedule that looks at the run before of a job with keys, which a queue of several
 * partitions refuses with CrossPartition; and one about when a record is given out that has crashed others: that is done by one
 * partition after the other.
 */
const without: ReadonlySet<string> = new Set([
  "a queue's concurrency holds for all workers together, whatever claims race, and an end lets the next one start",
  "a queue that is full hides no other queue",
  "records of a dead worker count for its queue until they are given back",
  "a queue starts no more than its rate in any window, and asks to be looked at when it may again",
  "the proposal of the highest release holds, and an operator's value wins until it is cleared",
  "a tick whose record another one stands for leaves that alone, and its next tick too",
  "what crashed its worker, what was given back and what nobody has touched come by their priority"
])

export const facts = JobStoreSuite.facts.filter(({ name }) => !without.has(name))

/** The queues in which the facts store records. */
const queues = [
  "default",
  "children",
  "other",
  "first",
  "second",
  "third",
  "adds",
  "later",
  "leaves",
  "sink",
  "after",
  "a",
  "b",
  "low",
  "high",
  "ends",
  "q",
  "qa",
  "waits",
  "wanted",
  "works",
  ...Array.from({ length: 24 }, (_, i) => `q${i}`)
]

/** Every queue of the facts has as many partitions. */
export const countsOf = (many: number): Counts => new Map(queues.map((queue) => [queue, many]))

/**
 * Chooses for the facts. A queue that is not listed has one partition: what another choice puts elsewhere, nobody claims, and
 * the records of the facts are not spread.
 */
export const choosingFor = (choose: Choose): Choose => (record) => {
  assert.include(queues, record.queue, "partitions.ts lists the queues in which the facts store records")
  return choose(record)
}

/** Clients of which the third one calls in another way. */
export const withThird = (
  clients: ReadonlyArray<Calls>,
  call: (client: Calls) => Calls["call"]
): ReadonlyArray<Calls> =>
  clients.map((client, at): Calls =>
    at !== 2 ? client : {
      redis: client.redis,
      key: client.key,
      send: client.send,
      replicated: client.replicated,
      call: call(client)
    }
  )

export const unavailable = Effect.fail(
  new JobError.JobStoreError({ reason: new JobError.Unavailable({ operation: "exchange", detail: "test" }) })
)

export const refused = Effect.fail(
  new JobError.JobStoreError({ reason: new JobError.Incompatible({ operation: "exchange", detail: "test" }) })
)

/** Declares the facts that hold in one of several partitions; of those, one in `every`. */
export const suite = (
  title: string,
  layer: Layer.Layer<JobStore.JobStore>,
  advance: (millis: number) => Effect.Effect<void>,
  every = 1
): void => {
  describe(title, () => {
    for (const { name, run } of facts.filter((_, i) => i % every === 0)) {
      it.effect(
        name,
        () => Effect.provideService(Effect.provide(run, Layer.fresh(layer)), Suite.Advance, advance),
        30_000
      )
    }
  })
}

export interface Options {
  readonly counts: ReadonlyMap<string, number>
  readonly many: number
  readonly clock?: string
  readonly choose?: Choose
  readonly settings?: Partial<Settings>
  readonly scripts?: Scripts
  /** Changes how partitions are called. */
  readonly altered?: (clients: ReadonlyArray<Calls>) => ReadonlyArray<Calls>
}

export const open = (prefix: string, options: Options) =>
  Effect.gen(function*() {
    const key = `{${prefix}}`
    const all = options.scripts ?? scripts(options.clock, true)
    const home = new Client(yield* serviceOf(yield* Redis.Redis, key), key, all, yield* Effect.scope)
    const clients = yield* clientsOf(home, prefix, options.many, all)
    const altered = options.altered?.(clients) ?? clients
    const settings = { ...usualSettings, ...options.settings, identity: prefix }
    return yield* makePartitioned(altered, options.counts, settings, options.choose ?? choosing(options.counts))
  })

export const storeOf = (prefix: string, options: Options) => Layer.effect(JobStore.JobStore, open(prefix, options))

/** With the service that sends to the node of each partition. */
const each = <A, E>(
  prefix: string,
  many: number,
  run: (key: string) => Effect.Effect<A, E, Redis.Redis>
) =>
  Effect.scoped(Effect.gen(function*() {
    const redis = yield* Redis.Redis
    for (let at = 0; at < many; at++) {
      const key = at === 0 ? `{${prefix}}` : `{${prefix}/${at}}`
      yield* Effect.provideService(run(key), Redis.Redis, yield* serviceOf(redis, key))
    }
  }))

export const empty = (prefix: string, many: number) => each(prefix, many, Harness.emptyOf)

export const freeze = (prefix: string, many: number) =>
  each(prefix, many, (key) => Harness.send("SET", `${key}:now`, "1800000000000"))

export const advance = (prefix: string, many: number, millis: number) =>
  each(prefix, many, (key) => Harness.send("INCRBY", `${key}:now`, String(Math.ceil(millis))))

/** The simulation has fractions of a millisecond; a server has none. */
export const setClock = (prefix: string, many: number, now: number) =>
  each(prefix, many, (key) => Harness.send("SET", `${key}:now`, String(Math.floor(now))))
