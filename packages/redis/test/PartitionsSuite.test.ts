/**
 * The store suite on a store of several partitions: with all records of a fact in one of them, and spread over all by the
 * store's own choice, where what is ordered is so within one.
 */
import { JobStoreSuite } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll } from "vitest"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

const many = 4
const operator = ManagedRuntime.make(Harness.client())
afterAll(() => operator.dispose())

/** Facts that do not hold over partitions, and why. */
const within: Readonly<Record<string, string>> = {
  "higher priorities come first, then first in, first out": "order",
  "a parked record keeps its attempt and place, is counted, and is released for a worker that has tag and version":
    "order",
  "a released record keeps its place at the front": "order",
  "results tells how awaited records stand, with their last progress": "order",
  "promote, reschedule and reprioritise move what waits": "order",
  "a retention by count keeps the newest, in bounded chunks": "a count of records",
  "a sweep of more than one call takes says that there is more to do": "the bound of a call",
  "an edited payload brings along which places are masked, and leaves the keys as they were stamped":
    "a record of two keys: CrossPartition"
}

const layerOf = (prefix: string, options: Partial<Partitions.Options>) => {
  afterAll(() => operator.runPromise(Partitions.empty(prefix, many)))
  const counts = new Map(["default", "other", "a", "b", "low", "high", "ends"].map((queue) => [queue, many]))
  return Partitions.storeOf(prefix, { counts, many, clock: Harness.frozenClock, ...options }).pipe(
    Layer.provideMerge(
      Layer.effectDiscard(Effect.andThen(Partitions.empty(prefix, many), Partitions.freeze(prefix, many)))
    ),
    Layer.provide(Harness.client()),
    Layer.orDie
  )
}

const advancing = (prefix: string) => (millis: number) =>
  Effect.promise(() => operator.runPromise(Partitions.advance(prefix, many, millis)))

const one = Harness.prefixOf("one")
JobStoreSuite.suite("all records in one of four partitions", layerOf(one, { choose: () => 2 }), {
  timeout: 30_000,
  advance: advancing(one)
})

describe("records in all of four partitions", () => {
  const spread = Harness.prefixOf("spread")
  const layer = layerOf(spread, {})
  const names = JobStoreSuite.facts.map(({ name }) => name)
  for (const name of Object.keys(within)) it(`there is a fact: ${name}`, () => assert.include(names, name))
  for (const { name, run } of JobStoreSuite.facts) {
    if (name in within) continue
    it.effect(
      name,
      () => Effect.provideService(Effect.provide(run, Layer.fresh(layer)), Suite.Advance, advancing(spread)),
      30_000
    )
  }
})
