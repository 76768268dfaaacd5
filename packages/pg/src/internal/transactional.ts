/**
 * A handler's own writes, its children, its result and its completion in one transaction (P5).
 *
 * Guarantee: when the attempt is stale at the end, the transaction is rolled back with `LeaseLost`, and nothing of it has
 * happened. The record is locked by the last statement before the commit, so no settlement waits for a handler.
 */
import { JobError, type Transactional } from "capstan"
import * as Effect from "effect/Effect"
import type { Client } from "./client.ts"

export const make = (client: Client, identity: string): Transactional.Shape => ({
  identity,
  commit: (at, effect, complete) =>
    client.transaction(
      "commit",
      Effect.gen(function*() {
        const value = yield* effect
        const { finishedAfter, result } = yield* complete(value)
        const settlement = JSON.stringify({
          ...at,
          after: Math.ceil(finishedAfter),
          outcome: "Complete",
          result
        })
        const [row] = yield* client.ambient<{ settled: string }>(
          "commit",
          `SELECT ${client.schema}.settle_one($1::text::json, ${client.schema}.clock()) AS settled`,
          [settlement]
        )
        if (row?.settled === "Done") return value
        return yield* new JobError.JobStoreError({ reason: new JobError.LeaseLost(at) })
      })
    )
})
