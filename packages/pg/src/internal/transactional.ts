/**
 * A handler's own writes, its children, its result and its completion in one transaction (P5); or those of one of its steps.
 *
 * Guarantee: when the attempt is stale at the end, the transaction is rolled back with `LeaseLost`, and nothing of it has
 * happened. The record is locked by the last statement before the commit, so no settlement waits for a handler.
 */
import { JobError, type Transactional } from "capstan"
import * as Effect from "effect/Effect"
import type { Client } from "./client.ts"
import * as Codec from "./codec.ts"

export const make = (client: Client, identity: string): Transactional.Shape => ({
  identity,
  commit: (at, effect, complete) =>
    Effect.withFiber((fiber) => {
      if (client.isInTransaction(fiber.context)) return Effect.fail(nested)
      client.warnOfForeignTransaction(fiber.context)
      const inside = Effect.gen(function*() {
        const value = yield* effect
        const { finishedAfter, result } = yield* complete(value)
        const [row] = yield* client.ambient<{ settled: string }>(
          "commit",
          `SELECT ${client.schema}.commit_one($1::text::json) AS settled`,
          [JSON.stringify({ ...at, after: Math.ceil(finishedAfter), outcome: "Complete", result })]
        )
        if (row?.settled === "Done") return value
        return yield* new JobError.JobStoreError({ reason: new JobError.LeaseLost(at) })
      })
      return client.transaction("commit", inside)
    }),
  step: (effect, entryOf) =>
    Effect.withFiber((fiber) => {
      if (client.isInTransaction(fiber.context)) return Effect.fail(nested)
      client.warnOfForeignTransaction(fiber.context)
      const inside = Effect.gen(function*() {
        const value = yield* effect
        const entry = yield* entryOf(value)
        const [row] = yield* client.ambient<{ kept: string }>(
          "commit",
          `SELECT (${client.schema}.write_entries($1::text::json))[1] AS kept`,
          [JSON.stringify([Codec.writeJson(entry)])]
        )
        if (row?.kept === "Done") return value
        return yield* new JobError.JobStoreError({ reason: new JobError.LeaseLost(entry.at) })
      })
      return client.transaction("commit", inside)
    })
})

/** It would end the attempt before the outer transaction has committed, and hold its locks until then. */
const nested = new JobError.JobStoreError({
  reason: new JobError.Incompatible({
    operation: "commit",
    detail: "it opens a transaction of its own, and one is open already: call commit outside of withTransaction"
  })
})
