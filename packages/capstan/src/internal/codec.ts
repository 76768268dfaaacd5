/**
 * A schema as JSON text and back, compiled once per job.
 *
 * `null` is not stored: the result of a job without one costs nothing, and reads back as what it was.
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"

export interface Codec {
  readonly encode: (value: unknown) => Effect.Effect<string | undefined, Schema.SchemaError>
  readonly decode: (json: string | undefined) => Effect.Effect<unknown, Schema.SchemaError>
}

/**
 * The services of the schema are read from the fiber that encodes or decodes; the public types of a job carry them, so
 * they are not repeated here.
 */
export const make = (schema: Schema.Top): Codec => {
  if (schema.ast._tag === "Void") return nothing
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

/** Most jobs have no result: no schema runs for it. */
const nothing: Codec = { encode: () => Effect.undefined, decode: () => Effect.undefined }

const stringify = (value: unknown): Effect.Effect<string | undefined> =>
  Effect.succeed(value === null ? undefined : JSON.stringify(value))

/**
 * Whether `encode` takes something else than a caller gives: defaults are to be filled in, classes instantiated. A schema
 * that has neither is not gone through twice, because encoding checks the same: a sixth of what an enqueue costs.
 */
export const isConstructed = (schema: Schema.Top): () => boolean => {
  let isNeeded: boolean | undefined
  return () => isNeeded ??= needsConstruction(SchemaAST.toType(schema.ast), new Set())
}

const needsConstruction = (ast: SchemaAST.AST, seen: Set<SchemaAST.AST>): boolean => {
  if (ast.context?.constructorDefault !== undefined) return true
  if (seen.has(ast)) return false
  seen.add(ast)
  const inside = (ast: SchemaAST.AST) => needsConstruction(ast, seen)
  switch (ast._tag) {
    case "Objects":
      return ast.propertySignatures.some(({ type }) => inside(type)) ||
        ast.indexSignatures.some(({ type }) => inside(type))
    case "Arrays":
      return ast.elements.some(inside) || ast.rest.some(inside)
    case "Union":
      return ast.types.some(inside)
    case "Suspend":
      return inside(ast.thunk())
    case "Declaration":
      return true
    default:
      return false
  }
}

const format = /* @__PURE__ */ SchemaIssue.makeFormatterDefault()

/** What is wrong with a value, and where, for people. */
export const issueOf = (error: unknown): string =>
  Schema.isSchemaError(error)
    ? error.message
    : SchemaIssue.isIssue(error)
    ? format(error)
    : error instanceof Error
    ? error.message
    : String(error)

/** Text that is no JSON cannot satisfy a schema: it is handed on as a value that none accepts. */
const unreadable = Symbol("unreadable")

const parse = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return unreadable
  }
}
