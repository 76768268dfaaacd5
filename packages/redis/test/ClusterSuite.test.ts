/** The store suite on a cluster of three masters and three replicas. */
import { JobStoreSuite } from "@capstan/testing"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll } from "vitest"
import * as Cluster from "./cluster.ts"
import * as Harness from "./harness.ts"

const prefix = "suite"
const servers = await Cluster.start()
const operator = ManagedRuntime.make(Layer.orDie(Cluster.client(servers, prefix)))

afterAll(() => operator.dispose().finally(() => servers.stop()))

const layer = Harness.storeOf(prefix, Harness.frozenClock).pipe(
  Layer.provideMerge(Layer.effectDiscard(Effect.andThen(Harness.empty(prefix), Harness.freeze(prefix)))),
  Layer.provide(Cluster.client(servers, prefix)),
  Layer.orDie
)

JobStoreSuite.suite("a cluster of redis", layer, {
  timeout: 30_000,
  advance: (millis) => Effect.promise(() => operator.runPromise(Harness.advance(prefix, millis)))
})
