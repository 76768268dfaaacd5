/**
 * A schema as JSON text and back, compiled once per job.
 *
 * `null` is not stored: the result of a job without one costs nothing, and reads back as what it was.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"

export interface Codec {
  readonly encode: (value: unknown) => Effect.Effect<string | undefined, Schema.SchemaError>
  readonly decode: (json: string | undefined) => Effect.Effect<unknown, Schema.SchemaError>
}

/**
 * The services of the schema are read from the fiber that encodes or decodes; the public types of a job carry them, so
 * they are not repeated here.
 */
export const make = (schema: Schema.Top): Codec => {
  // Compiled with the first use: an application declares many jobs and each process runs some of them.
  let encode: ((value: unknown) => Effect.Effect<unknown, Schema.SchemaError>) | undefined
  let decode: ((value: unknown) => Effect.Effect<unknown, Schema.SchemaError>) | undefined
  return {
    encode: (value) => {
      encode ??= Schema.encodeUnknownEffect(Schema.toCodecJson(schema)) as NonNullable<typeof encode>
      return Effect.flatMapEager(encode(value), stringify)
    },
    decode: (text) => {
      decode ??= Schema.decodeUnknownEffect(Schema.toCodecJson(schema)) as NonNullable<typeof decode>
      return decode(text === undefined ? null : parse(text))
    }
  }
}

const stringify = (value: unknown): Effect.Effect<string | undefined> =>
  Effect.succeed(value === null ? undefined : JSON.stringify(value))

/** Text that is no JSON cannot satisfy a schema: it is handed on as a value that none accepts. */
const unreadable = Symbol("unreadable")

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return unreadable
  }
}
