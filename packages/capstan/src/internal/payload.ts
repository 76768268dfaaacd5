/**
 * The payload of a record: decoded with the schema of its own version, then lifted step by step to the present one.
 */
import * as Effect from "effect/Effect"
import type { Definition } from "./definition.ts"

export const decode = (
  job: Definition,
  record: { readonly payload: string; readonly version: number }
): Effect.Effect<unknown, unknown> => {
  if (record.version === job.version) return job.payload.decode(record.payload)
  const from = job.previous.findIndex(({ version }) => version === record.version)
  if (from < 0) {
    return Effect.fail(new Error(`payload version ${record.version} is not among the previous versions of ${job.tag}`))
  }
  const older = job.previous.slice(from)
  return Effect.flatMap(older[0]!.codec.decode(record.payload), (value) =>
    Effect.flatMap(
      Effect.try({
        try: () => older.reduce((lifted: unknown, { lift }) => lift(lifted as never), value),
        catch: (error) => error
      }),
      job.make
    ))
}
