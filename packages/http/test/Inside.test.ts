/** How much one request looks into, where payloads are searched. */
import { assert, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect, Layer } from "effect"
import { mostLooked } from "../src/internal/inside.ts"
import { Greet, serve } from "./harness.ts"

/** A store that says that it has looked at so many records whenever it is asked. */
const wide = Layer.effect(
  JobStore.JobStore,
  Effect.map(JobStore.JobStore, (store) => ({
    ...store,
    isCursor: () => true,
    query: (request: JobStore.QueryRequest) =>
      Effect.map(store.query(request), (reply) => ({ ...reply, cursor: reply.cursor ?? "on", looked: mostLooked / 20 }))
  }))
).pipe(Layer.provide(JobStore.layerMemory()))

it.live("an action that would have to look at too many records changes none, and says what to do", () =>
  Effect.gen(function*() {
    const { client, context, jobs } = yield* serve({ store: wide })
    const { id } = yield* Effect.provide(Greet.enqueue({ name: "ada" }), context)
    const { records } = yield* client("admin")
    const where = { queue: "mail", payload: { "/name": "ada" } } as const
    const counted = yield* records.count({ query: { ...where, action: "delete" } })
    assert.isTrue(counted.isAtLeast)
    assert.isAtLeast(counted.applies, 1)
    const refused = yield* Effect.flip(records.delete({ payload: { where } }))
    assert.strictEqual(refused._tag, "BadRequest")
    assert.include(refused.message, "more than 100,000 records")
    assert.include(refused.message, "nothing was changed")
    assert.strictEqual((yield* jobs.get(id))._tag, "Some")
  }).pipe(Effect.scoped))
