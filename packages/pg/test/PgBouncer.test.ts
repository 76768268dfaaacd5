/** The store behind a transaction pooler: no session is its own, so nothing is prepared and nobody listens. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobWorker } from "capstan"
import { Effect, Layer, Redacted, Schema } from "effect"
import { beforeAll } from "vitest"
import * as Harness from "./harness.ts"
import * as PgBouncer from "./pgbouncer.ts"

const schema = Harness.schemaName("pooled")
const url = Harness.shared(schema, PgBouncer.start)

beforeAll(() => void PgBouncer.program(), 240_000)

class Double extends Job.make("Double", { payload: { n: Schema.Int }, success: Schema.Int }) {}

const pooled = Effect.flatMap(
  url,
  (url) => Harness.open(schema, { listen: false }, { url: Redacted.make(url), prepare: false })
)

describe("behind PgBouncer in transaction mode", () => {
  it.live("records are stored, run and awaited, in many fibers at once", () =>
    Effect.gen(function*() {
      const one = yield* pooled
      yield* Harness.empty(one)
      yield* Effect.gen(function*() {
        const group = JobGroup.make(Double)
        yield* Layer.build(
          JobWorker.layer(group, { pollInterval: "100 millis", shutdownGrace: 0 }).pipe(
            Layer.provide(group.toLayer({ Double: ({ n }) => Effect.succeed(2 * n) }))
          )
        )
        const numbers = Array.from({ length: 200 }, (_, n) => n)
        const handles = yield* Effect.forEach(numbers, (n) => Double.enqueue({ n }), { concurrency: "unbounded" })
        const results = yield* Effect.forEach(handles, (handle) => handle.await, { concurrency: "unbounded" })
        assert.deepStrictEqual(results, numbers.map((n) => 2 * n))
      }).pipe(Effect.provideContext(one.context), Effect.scoped)
      yield* Harness.assertSound(one)
    }).pipe(Effect.scoped))

  it.live("transactions hold together", () =>
    Effect.gen(function*() {
      const one = yield* pooled
      yield* Harness.empty(one)
      const rollback = Effect.fail("rollback" as const)
      const both = Effect.andThen(Harness.enqueue(one), Harness.enqueue(one, Harness.keyed("k")))
      yield* Effect.all([
        one.sql.withTransaction(both),
        Effect.flip(one.sql.withTransaction(Effect.andThen(both, rollback))),
        one.sql.withTransaction(both)
      ], { concurrency: 3 })
      const claimed = yield* Harness.claim(one, 10)
      assert.strictEqual(claimed.length, 3, "two plain ones, and the first of the key")
    }).pipe(Effect.scoped))
})
