/**
 * The payload of a record: decoded with the schema of its own version, then lifted step by step to the present one.
 */
import * as Effect from "effect/Effect"
import { issueOf } from "./codec.ts"
import type { Definition } from "./definition.ts"
import { maskError } from "./sensitive.ts"

/** What is wrong with a payload, for people, without what the pointers hide of it: a lift, or a check, may name a value. */
export const issueWithout = (error: unknown, payload: string, at: ReadonlyArray<string>): string => {
  // As it is stored, which is how values are looked for.
  const message = issueOf(error).replaceAll("\0", "").toWellFormed()
  return at.length === 0 ? message : maskError({ error: payload, message }, at).message
}

/** Where the payload of a record is masked: by the schema of its own version, and by the present one. */
export const maskedAt = ({ previous, sensitive }: Definition, version: number): ReadonlyArray<string> => {
  const own = previous.find((older) => older.version === version)?.sensitive() ?? []
  return [...new Set([...own, ...sensitive().payload])]
}

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
