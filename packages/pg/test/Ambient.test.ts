/** The facts of the suite, asked by transactions of a caller's: they hold from the first exchange after a commit on (P2). */
import { describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import { Advance } from "../../testing/src/internal/suite/harness.ts"
import { factsInTransactions, inTransactions } from "./ambient.ts"
import * as Harness from "./harness.ts"

const schema = Harness.schemaName("ambient")

const shared = Harness.shared(
  schema,
  Effect.gen(function*() {
    const side = yield* Harness.open(schema)
    return { side, advance: yield* Effect.orDie(Effect.provide(Harness.frozen(schema), side.context)) }
  })
)

describe("in transactions of the caller's", () => {
  for (const fact of factsInTransactions) {
    it.effect(fact.name, () =>
      Effect.gen(function*() {
        const { advance, side } = yield* shared
        yield* Harness.empty(side)
        yield* inTransactions(side.sql)(fact).run.pipe(
          Effect.provideService(JobStore.JobStore, side.store),
          Effect.provideService(Advance, (millis) => Effect.orDie(advance(millis)))
        )
      }), 30_000)
  }
})
