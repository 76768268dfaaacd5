/**
 * The fields of a form as a JSON Schema has them, and back to JSON what was typed into them. What a form says badly (lists, unions,
 * records, anything) is one field of JSON: the server decides by the schema itself.
 */

type Json = unknown
/** JSON Schema as it came: it may have any keyword, and each is looked at before it is believed. */
type Node = Readonly<Record<string, any>>

interface Named {
  /** A JSON pointer. */
  readonly pointer: string
  readonly name: string
  readonly isRequired: boolean
  /** Left empty it is `null`, where it may not be left out. */
  readonly isNullable?: boolean
  readonly hint: string | undefined
}

export type Field =
  | Named & { readonly kind: "text" | "number" | "boolean" | "json" }
  | Named & { readonly kind: "choice"; readonly choices: ReadonlyArray<Json> }
  | Named & { readonly kind: "group"; readonly fields: ReadonlyArray<Field> }

/** Deeper than this a group is JSON. */
const deepest = 3

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && !Array.isArray(value)

const escaped = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1")

/** What a node says itself, what it refers to, and what else is to hold. */
const plainOf = (node: unknown, root: Node, seen = 0): Node => {
  if (!isNode(node) || seen > 8) return {}
  const { $ref, allOf, ...own } = node
  const name = typeof $ref === "string" ? /^#\/(?:\$defs|definitions)\/(.+)$/.exec($ref)?.[1] : undefined
  const referred = name === undefined
    ? {}
    : plainOf(
      (root["$defs"] ?? root["definitions"])?.[name.replaceAll("~1", "/").replaceAll("~0", "~")],
      root,
      seen + 1
    )
  const others = Array.isArray(allOf) ? allOf.map((one) => plainOf(one, root, seen + 1)) : []
  return Object.assign({}, referred, ...others, own)
}

const scalar = (value: unknown): boolean => value === null || ["string", "number", "boolean"].includes(typeof value)

const choicesOf = (node: Node, root: Node): ReadonlyArray<Json> | undefined => {
  if ("const" in node && scalar(node["const"])) return [node["const"]]
  if (Array.isArray(node["enum"]) && node["enum"].every(scalar)) return node["enum"]
  if (!Array.isArray(node["anyOf"])) return undefined
  const all = node["anyOf"].map((one) => choicesOf(plainOf(one, root), root))
  return all.every((one) => one !== undefined) ? all.flat() : undefined
}

/** Numbers that JSON has not: nobody types them. */
const noNumbers: ReadonlySet<Json> = new Set(["NaN", "Infinity", "-Infinity"])

/** Of a choice of schemas the one that a field is for, where there is but one; and whether `null` is another. */
const onlyOf = (node: Node, root: Node): { readonly node: Node; readonly isNullable: boolean } => {
  if (!Array.isArray(node["anyOf"])) return { node, isNullable: false }
  const { anyOf, ...own } = node
  const all = anyOf.map((one) => plainOf(one, root)).filter((one) =>
    choicesOf(one, root)?.every((choice) => noNumbers.has(choice)) !== true
  )
  const rest = all.filter((one) => one["type"] !== "null")
  return rest.length === 1
    ? { node: { ...rest[0], ...own }, isNullable: rest.length < all.length }
    : { node, isNullable: false }
}

const hintOf = (node: Node): string | undefined => {
  const limits = [
    ["minLength", "at least", "characters"],
    ["maxLength", "at most", "characters"],
    ["minimum", "from", ""],
    ["exclusiveMinimum", "more than", ""],
    ["maximum", "to", ""],
    ["exclusiveMaximum", "less than", ""]
  ].flatMap(([name, before, after]) => node[name!] === undefined ? [] : [`${before} ${node[name!]} ${after}`.trim()])
  const all = [node["description"], node["format"], ...limits].filter((one) => typeof one === "string" && one !== "")
  return all.length === 0 ? undefined : all.join(", ")
}

const fieldOf = (
  schema: unknown,
  root: Node,
  named: Pick<Named, "pointer" | "name" | "isRequired">,
  depth: number
): Field => {
  const { isNullable, node } = onlyOf(plainOf(schema, root), root)
  const base = { ...named, hint: hintOf(node), ...isNullable ? { isNullable } : {} }
  const choices = choicesOf(node, root)
  if (choices !== undefined && choices.length > 0) return { ...base, kind: "choice", choices }
  switch (node["type"]) {
    case "string":
      return { ...base, kind: "text" }
    case "number":
    case "integer":
      return { ...base, kind: "number" }
    case "boolean":
      return { ...base, kind: "boolean" }
    case "object": {
      const properties = Object.entries(isNode(node["properties"]) ? node["properties"] : {})
      const isOpen = isNode(node["additionalProperties"]) || isNode(node["patternProperties"])
      if (depth >= deepest || isOpen || properties.length === 0 && depth > 0) return { ...base, kind: "json" }
      // A group that may be left out has no field to say that it is there.
      if (!named.isRequired || isNullable) return { ...base, kind: "json" }
      const required: ReadonlyArray<string> = Array.isArray(node["required"]) ? node["required"] : []
      return {
        ...base,
        kind: "group",
        fields: properties.map(([name, property]) =>
          fieldOf(
            property,
            root,
            { name, pointer: `${named.pointer}/${escaped(name)}`, isRequired: required.includes(name) },
            depth + 1
          )
        )
      }
    }
    default:
      return { ...base, kind: "json" }
  }
}

/** The field of a whole payload. */
export const rootOf = (schema: unknown): Field =>
  fieldOf(schema, isNode(schema) ? schema : {}, { pointer: "", name: "Payload", isRequired: true }, 0)

/** What was typed, by pointer. */
export type Typed = Readonly<Record<string, string>>

export type Problems = Readonly<Record<string, string>>

interface Read {
  /** Absent: the field was left empty, and may be. */
  readonly value: Json | undefined
  readonly problems: Problems
}

const wrong = ({ pointer }: Field, problem: string): Read => ({ value: undefined, problems: { [pointer]: problem } })
const right = (value: Json | undefined): Read => ({ value, problems: {} })

/** An empty text is one where a text is asked for: whether it may be is for the schema to say. */
export const read = (field: Field, typed: Typed): Read => {
  if (field.kind === "group") {
    const all = field.fields.map((one) => [one.name, read(one, typed)] as const)
    return {
      value: Object.fromEntries(all.flatMap(([name, { value }]) => value === undefined ? [] : [[name, value]])),
      problems: Object.assign({}, ...all.map(([, { problems }]) => problems))
    }
  }
  const text = typed[field.pointer] ?? ""
  if (text.trim() === "" && field.isNullable === true && field.isRequired) return right(null)
  if (field.kind === "text") return right(text === "" && !field.isRequired ? undefined : text)
  if (text.trim() === "") return field.isRequired ? wrong(field, "is missing") : right(undefined)
  switch (field.kind) {
    case "number": {
      const number = Number(text)
      return Number.isFinite(number) ? right(number) : wrong(field, "is no number")
    }
    case "boolean":
      return right(text === "true")
    case "choice":
    case "json":
      try {
        return right(JSON.parse(text))
      } catch (error) {
        return wrong(field, `is no JSON: ${error instanceof Error ? error.message : error}`)
      }
  }
}

/** What each field is to show of a value, so that what was written as JSON goes on as a form. */
export const typedOf = (field: Field, value: Json): Typed => {
  if (value === undefined || (value === null && field.isNullable === true)) return {}
  if (field.kind === "group") {
    return isNode(value)
      ? Object.assign({}, ...field.fields.map((one) => typedOf(one, value[one.name])))
      : {}
  }
  const isText = field.kind === "text" && typeof value === "string"
  return { [field.pointer]: isText ? value : JSON.stringify(value, null, field.kind === "json" ? 2 : undefined) }
}

const pointersOf = (field: Field): ReadonlyArray<string> =>
  field.kind === "group" ? [field.pointer, ...field.fields.flatMap(pointersOf)] : [field.pointer]

/** What the server found, each at the field that is nearest to where it found it. */
export const placed = (
  field: Field,
  issues: ReadonlyArray<{ readonly pointer: string; readonly message: string }>
): Problems => {
  const known = new Set(pointersOf(field))
  const problems: Record<string, string> = {}
  for (const { message, pointer } of issues) {
    let at = pointer
    while (at !== "" && !known.has(at)) at = at.slice(0, at.lastIndexOf("/"))
    const rest = pointer.slice(at.length)
    const said = rest === "" ? message : `${rest}: ${message}`
    problems[at] = problems[at] === undefined ? said : `${problems[at]}; ${said}`
  }
  return problems
}

/** The places of single values in a payload, those in lists and records left out. */
export const leavesOf = (field: Field): ReadonlyArray<Field> =>
  field.kind === "group" ? field.fields.flatMap(leavesOf) : field.kind === "json" || field.pointer === "" ? [] : [field]
