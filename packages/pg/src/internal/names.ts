/** What a store takes as its options. */
import { JobError } from "capstan"
import * as Effect from "effect/Effect"
import type { Names } from "./schema/migrations.ts"

export const namesOf = (schema = "capstan"): Effect.Effect<Names, JobError.JobStoreError> =>
  /^[a-z_][a-z0-9_]{0,39}$/.test(schema) && !schema.startsWith("pg_")
    ? Effect.succeed({ schema: `"${schema}"`, channel: `capstan_${schema}` })
    : incompatible(
      `option schema: ${JSON.stringify(schema)} is no name that a store takes: up to 40 lower case letters, ` +
        `digits and underscores, not beginning with a digit or pg_`
    )

export const maxCrashesOf = (maxCrashes = 3): Effect.Effect<number, JobError.JobStoreError> =>
  Number.isInteger(maxCrashes) && maxCrashes >= 1 && maxCrashes <= 100
    ? Effect.succeed(maxCrashes)
    : incompatible(`option maxCrashes: must be an integer from 1 to 100, it is ${maxCrashes}`)

const incompatible = (detail: string) =>
  Effect.fail(new JobError.JobStoreError({ reason: new JobError.Incompatible({ operation: "layer", detail }) }))
