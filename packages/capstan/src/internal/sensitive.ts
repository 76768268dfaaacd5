/**
 * Which parts of an encoded value no reader may see, and how they are masked.
 *
 * Guarantee: where a value of `Schema.Redacted`, or of a schema annotated `sensitive: true`, is encoded, a pointer leads
 * there; where the place cannot be told from the schema (a recursion, keys that an encoding renames), the pointer leads to
 * what surrounds it, so that too much is masked and never too little.
 */
import type * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"

export const mask = "<redacted>"

/** JSON pointers (RFC 6901), with `*` for every key or index. */
export const pointers = (schema: Schema.Top): ReadonlyArray<string> => [...new Set(walk(schema.ast, new Map()))]

const isMarked = (annotations: Schema.Annotations.Annotations | undefined): boolean => {
  if (annotations === undefined) return false
  const representation = annotations["representation"] as { readonly id?: unknown } | undefined
  return annotations["sensitive"] === true || representation?.id === "effect/schema/Redacted"
}

/** An annotation stays where it was made: on the schema, on one of its checks, or on its key in a struct. */
const isSensitive = ({ annotations, checks, context }: SchemaAST.AST): boolean =>
  isMarked(annotations) || isMarked(context?.annotations) ||
  (checks?.some((check) => isMarked(check.annotations)) ?? false)

const escape = (key: PropertyKey): string => String(key).replaceAll("~", "~0").replaceAll("/", "~1")

type Known = Map<SchemaAST.AST, ReadonlyArray<string>>

const walk = (ast: SchemaAST.AST, known: Known): ReadonlyArray<string> => {
  let found = known.get(ast)
  if (found === undefined) known.set(ast, found = find(ast, known))
  return found
}

const find = (ast: SchemaAST.AST, known: Known): ReadonlyArray<string> => {
  if (isSensitive(ast)) return whole
  // A recursive schema has no finite list of pointers: when anything in it is sensitive, all of it is masked.
  if (ast._tag === "Suspend") return contains(ast, new Set()) ? whole : []
  const inside = parts(ast).flatMap(([step, part]) => walk(part, known).map((pointer) => step + pointer))
  const links = ast.encoding ?? []
  const encoded = links.at(-1)?.to
  // What a type without an encoding of its own looks like in JSON is its codec's matter.
  if (encoded === undefined) return ast._tag === "Declaration" && inside.length > 0 ? whole : inside
  // The stored value is the encoded one, so its pointers count, if they lead to all that is marked on the way to it.
  const found = walk(encoded, known)
  const nearer = [...inside, ...links.slice(0, -1).flatMap(({ to }) => walk(to, known))]
  return nearer.every((pointer) => found.some((at) => pointer === at || pointer.startsWith(`${at}/`))) ? found : whole
}

const whole: ReadonlyArray<string> = [""]

/** Whether anything in a schema, on any side of it, is sensitive. */
const contains = (ast: SchemaAST.AST, seen: Set<SchemaAST.AST>): boolean => {
  if (seen.has(ast)) return false
  seen.add(ast)
  return isSensitive(ast) || parts(ast).some(([, part]) => contains(part, seen)) ||
    (ast.encoding?.some(({ to }) => contains(to, seen)) ?? false)
}

/** What a schema is made of, with the step that leads there from its own place. */
const parts = (ast: SchemaAST.AST): ReadonlyArray<readonly [step: string, part: SchemaAST.AST]> => {
  switch (ast._tag) {
    case "Objects":
      return [
        ...ast.propertySignatures.map(({ name, type }) => [`/${escape(name)}`, type] as const),
        // Keys have no pointer: where they are sensitive, the place of the record has to do.
        ...ast.indexSignatures.flatMap(({ parameter, type }) => [["", parameter], ["/*", type]] as const)
      ]
    case "Arrays":
      return [
        ...ast.elements.map((element, i) => [`/${i}`, element] as const),
        ...ast.rest.map((rest) => ["/*", rest] as const)
      ]
    case "Union":
      return ast.types.map((type) => ["", type])
    case "Suspend":
      return [["", ast.thunk()]]
    case "Declaration":
      return ast.typeParameters.map((type) => ["", type])
    case "TemplateLiteral":
      return ast.parts.map((part) => ["", part])
    default:
      return []
  }
}

/** The JSON text with every pointed-at value replaced. Text that is no JSON is masked whole. */
export const maskJson = (json: string, at: ReadonlyArray<string>): string =>
  at.length === 0 ? json : hide(json, at).json

/** What is left to be seen of a JSON text, and what was hidden of it; of a text that is no JSON that cannot be told. */
const hide = (
  json: string,
  at: ReadonlyArray<string>
): { readonly json: string; readonly hidden: ReadonlyArray<unknown> | undefined } => {
  const hidden: Array<unknown> = []
  try {
    let value: unknown = JSON.parse(json)
    for (const pointer of at) value = maskAt(value, pointer === "" ? [] : pointer.slice(1).split("/"), 0, hidden)
    return { json: JSON.stringify(value), hidden }
  } catch {
    return { json: JSON.stringify(mask), hidden: undefined }
  }
}

const maskAt = (value: unknown, path: ReadonlyArray<string>, depth: number, hidden: Array<unknown>): unknown => {
  if (depth === path.length) {
    hidden.push(value)
    return mask
  }
  if (typeof value !== "object" || value === null) return value
  const key = path[depth]!.replaceAll("~1", "/").replaceAll("~0", "~")
  if (Array.isArray(value)) {
    return value.map((item, i) => key === "*" || key === String(i) ? maskAt(item, path, depth + 1, hidden) : item)
  }
  return Object.fromEntries(
    Object.entries(value).map((
      [name, item]
    ) => [name, key === "*" || key === name ? maskAt(item, path, depth + 1, hidden) : item])
  )
}

/**
 * An error's JSON and its message, both without what the pointers hide. Of an error that is no JSON the message is masked whole.
 *
 * A value is found in the message as it is encoded. What a message makes of it otherwise (a date in words, half of a number)
 * is not known for it.
 */
export const maskError = (
  { error, message }: { readonly error: string; readonly message: string },
  at: ReadonlyArray<string>
): { readonly error: string; readonly message: string } => {
  const { hidden, json } = hide(error, at)
  return { error: json, message: hidden === undefined ? mask : maskText(message, textsOf(hidden)) }
}

/** How a text may show values: each leaf and key by itself, as it is and within JSON. */
const textsOf = (values: ReadonlyArray<unknown>): ReadonlySet<string> => {
  const texts = new Set<string>()
  const add = (value: unknown): void => {
    if (typeof value === "object" && value !== null) {
      if (!Array.isArray(value)) Object.keys(value).forEach(add)
      return Object.values(value).forEach(add)
    }
    // As a message is stored.
    const text = String(value).replaceAll("\0", "").toWellFormed()
    texts.add(text).add(JSON.stringify(text).slice(1, -1))
  }
  values.forEach(add)
  texts.delete("")
  return texts
}

/** Every place is looked at before any is masked: a shorter text takes nothing from a longer one, or from one that it overlaps. */
const maskText = (message: string, texts: ReadonlySet<string>): string => {
  const isHidden = new Array<boolean>(message.length).fill(false)
  // A message that was cut may end within a text, and within a character of it.
  const end = message.endsWith("…") ? message.replace(/\uFFFD?…$/, "").length : undefined
  for (const text of texts) {
    for (let i = message.indexOf(text); i >= 0; i = message.indexOf(text, i + 1)) {
      isHidden.fill(true, i, i + text.length)
    }
    if (end === undefined) continue
    for (let i = Math.max(0, end - text.length); i < end; i++) {
      if (text.startsWith(message.slice(i, end))) {
        isHidden.fill(true, i, end)
        break
      }
    }
  }
  let shown = ""
  for (let i = 0; i < message.length; i++) {
    if (!isHidden[i]) shown += message[i]
    else if (!isHidden[i - 1]) shown += mask
  }
  return shown
}

/**
 * The text with each mask that was left in it replaced by what the other one has at its place; or why that cannot be done.
 */
export const restored = (
  json: string,
  original: string,
  at: ReadonlyArray<string>
): string | { readonly issue: string } => {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    return { issue: `is no JSON: ${error instanceof Error ? error.message : String(error)}` }
  }
  if (at.length === 0) return json
  const before = parsed(original)
  const issues: Array<string> = []
  for (const pointer of at) {
    value = restoreAt(value, before, pointer === "" ? [] : pointer.slice(1).split("/"), "", issues)
  }
  const [issue] = issues
  return issue === undefined ? JSON.stringify(value) : { issue }
}

/** Nothing is kept of a text that is no JSON. */
const parsed = (json: string): unknown => {
  try {
    return JSON.parse(json)
  } catch {
    return undefined
  }
}

const restoreAt = (
  value: unknown,
  before: unknown,
  path: ReadonlyArray<string>,
  here: string,
  issues: Array<string>
): unknown => {
  const [step, ...rest] = path
  if (step === undefined) {
    if (value !== mask || before !== undefined) return value === mask ? before : value
    issues.push(`is masked at ${here === "" ? "its top" : here}, and there is nothing to keep: write a value`)
    return value
  }
  if (typeof value !== "object" || value === null) return value
  const key = step.replaceAll("~1", "/").replaceAll("~0", "~")
  const isHere = (name: string) => key === "*" || key === name
  const old = typeof before === "object" && before !== null ? before : {}
  if (Array.isArray(value)) {
    const isSame = Array.isArray(before) && before.length === value.length
    return value.map((item, i) =>
      // Which item is which is not known any more: none is taken for another.
      isHere(String(i)) ? restoreAt(item, isSame ? before[i] : undefined, rest, `${here}/${i}`, issues) : item
    )
  }
  return Object.fromEntries(
    Object.entries(value).map(([name, item]) => [
      name,
      isHere(name)
        ? restoreAt(
          item,
          Object.hasOwn(old, name) ? (old as Readonly<Record<string, unknown>>)[name] : undefined,
          rest,
          `${here}/${escape(name)}`,
          issues
        )
        : item
    ])
  )
}
