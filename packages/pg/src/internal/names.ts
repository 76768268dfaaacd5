/** Names that a store takes for its schema. */
import { JobError } from "capstan"
import * as Effect from "effect/Effect"
import type { Names } from "./schema/migrations.ts"

export const namesOf = (schema = "capstan"): Effect.Effect<Names, JobError.JobStoreError> =>
  /^[a-z_][a-z0-9_]{0,39}$/.test(schema) && !schema.startsWith("pg_")
    ? Effect.succeed({ schema: `"${schema}"`, channel: `capstan_${schema}` })
    : Effect.fail(
      new JobError.JobStoreError({
        reason: new JobError.Incompatible({
          operation: "layer",
          detail:
            `option schema: ${JSON.stringify(schema)} is no name that a store takes: up to 40 lower case letters, ` +
            `digits and underscores, not beginning with a digit or pg_`
        })
      })
    )
