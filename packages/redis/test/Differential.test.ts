/** The same random programs on Redis and in memory: the same answers, records and figures after every step. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Redis } from "effect/persistence"
import { explore, type Subject } from "../../testing/src/internal/differential.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

const prefix = Harness.prefixOf("differential")

const subject = Effect.gen(function*() {
  const redis = yield* Redis.Redis
  const on = <A, E>(effect: Effect.Effect<A, E, Redis.Redis>) =>
    Effect.asVoid(Effect.orDie(Effect.provideService(effect, Redis.Redis, redis)))
  const store = yield* Harness.open(prefix, Harness.frozenClock)
  yield* Effect.addFinalizer(() => on(Harness.empty(prefix)))
  return {
    empty: Effect.as(on(Effect.andThen(Harness.empty(prefix), Harness.freeze(prefix))), store),
    setClock: (now) => on(Partitions.setClock(prefix, 1, now))
  } satisfies Subject
})

describe("the same random programs", () => {
  it.live("have the same history on Redis as in memory", () =>
    Effect.gen(function*() {
      const found = yield* explore(yield* subject, process.env)
      assert.isUndefined(found, found)
    }).pipe(Effect.scoped, Effect.provide(Harness.client())), 3_600_000)
})
