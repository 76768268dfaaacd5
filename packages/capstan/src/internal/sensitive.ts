/**
 * Which parts of an encoded value no reader may see, and how they are masked.
 *
 * Guarantee: where a value of `Schema.Redacted`, or of a schema annotated `sensitive: true`, is encoded, a pointer leads
 * there; where the place cannot be told from the schema, the pointer leads to what surrounds it, so that too much is
 * masked and never too little.
 */
import type * as Schema from "effect/Schema"
import * as SchemaAST from "effect/SchemaAST"

export const mask = "<redacted>"

/** JSON pointers (RFC 6901), with `*` for every key or index. */
export const pointers = (schema: Schema.Top): ReadonlyArray<string> => [...new Set(walk(schema.ast, "", new Set()))]

const isSensitive = (ast: SchemaAST.AST): boolean => {
  const annotations = SchemaAST.resolve(ast)
  if (annotations === undefined) return false
  const representation = annotations["representation"] as { readonly id?: unknown } | undefined
  return annotations["sensitive"] === true || representation?.id === "effect/schema/Redacted"
}

const escape = (key: PropertyKey): string => String(key).replaceAll("~", "~0").replaceAll("/", "~1")

const walk = (ast: SchemaAST.AST, path: string, above: ReadonlySet<SchemaAST.AST>): ReadonlyArray<string> => {
  if (isSensitive(ast)) return [path]
  if (above.has(ast)) return []
  const inside = new Set(above).add(ast)
  const encoded = ast.encoding?.at(-1)?.to
  if (encoded !== undefined) {
    const found = walk(encoded, path, inside)
    return found.length > 0 ? found : children(ast, path, inside).length > 0 ? [path] : []
  }
  return children(ast, path, inside)
}

const children = (ast: SchemaAST.AST, path: string, above: ReadonlySet<SchemaAST.AST>): ReadonlyArray<string> => {
  switch (ast._tag) {
    case "Objects":
      return [
        ...ast.propertySignatures.flatMap((property) => walk(property.type, `${path}/${escape(property.name)}`, above)),
        ...ast.indexSignatures.flatMap((index) => walk(index.type, `${path}/*`, above))
      ]
    case "Arrays":
      return [
        ...ast.elements.flatMap((element, i) => walk(element, `${path}/${i}`, above)),
        ...ast.rest.flatMap((rest) => walk(rest, `${path}/*`, above))
      ]
    case "Union":
      return ast.types.flatMap((type) => walk(type, path, above))
    case "Suspend":
      // A recursive schema has no finite list of pointers: when anything in it is sensitive, all of it is masked.
      return walk(ast.thunk(), path, above).length > 0 ? [path] : []
    case "Declaration":
      return ast.typeParameters.some((type) => walk(type, path, above).length > 0) ? [path] : []
    default:
      return []
  }
}

/** The JSON text with every pointed-at value replaced. Text that is no JSON is masked whole. */
export const maskJson = (json: string, at: ReadonlyArray<string>): string => {
  if (at.length === 0) return json
  try {
    let value: unknown = JSON.parse(json)
    for (const pointer of at) value = maskAt(value, pointer === "" ? [] : pointer.slice(1).split("/"), 0)
    return JSON.stringify(value)
  } catch {
    return JSON.stringify(mask)
  }
}

const maskAt = (value: unknown, path: ReadonlyArray<string>, depth: number): unknown => {
  if (depth === path.length) return mask
  if (typeof value !== "object" || value === null) return value
  const key = path[depth]!.replaceAll("~1", "/").replaceAll("~0", "~")
  if (Array.isArray(value)) {
    return value.map((item, i) => key === "*" || key === String(i) ? maskAt(item, path, depth + 1) : item)
  }
  return Object.fromEntries(
    Object.entries(value).map((
      [name, item]
    ) => [name, key === "*" || key === name ? maskAt(item, path, depth + 1) : item])
  )
}
