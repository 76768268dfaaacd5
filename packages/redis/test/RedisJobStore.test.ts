import { JobStoreSuite } from "@capstan/testing"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll } from "vitest"
import * as Harness from "./harness.ts"

const prefix = Harness.prefixOf("suite")
const operator = ManagedRuntime.make(Harness.client())

afterAll(() => operator.runPromise(Harness.empty(prefix)).finally(() => operator.dispose()))

const layer = Harness.storeOf(prefix, Harness.frozenClock).pipe(
  Layer.provideMerge(Layer.effectDiscard(Effect.andThen(Harness.empty(prefix), Harness.freeze(prefix)))),
  Layer.provide(Harness.client()),
  Layer.orDie
)

JobStoreSuite.suite("redis", layer, {
  // Random calls take a second or two, and more on a busy machine.
  timeout: 30_000,
  advance: (millis) => Effect.promise(() => operator.runPromise(Harness.advance(prefix, millis)))
})
