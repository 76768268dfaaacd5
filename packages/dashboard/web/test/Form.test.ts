/** Forms of schemas, without a browser: what is a field, what comes out of what was typed, and where a fault is shown. */
import { Schema } from "effect"
import { assert, describe, it } from "vitest"
import { placed, read, rootOf, typedOf } from "../src/form.ts"

const schemaOf = (schema: Schema.Top) => {
  const { definitions, schema: root } = Schema.toJsonSchemaDocument(Schema.toCodecJson(schema))
  return { ...root, $defs: definitions }
}

class Address
  extends Schema.Class<Address>("Address")({ street: Schema.String, zip: Schema.optionalKey(Schema.String) })
{}

const Payload = Schema.Struct({
  to: Schema.String,
  amount: Schema.Number,
  count: Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 9 })),
  isUrgent: Schema.Boolean,
  colour: Schema.Literals(["red", "blue"]),
  note: Schema.NullOr(Schema.String),
  nick: Schema.optionalKey(Schema.String),
  address: Address,
  lines: Schema.Array(Schema.String),
  extra: Schema.optionalKey(Schema.Record(Schema.String, Schema.Number)),
  "a/b": Schema.Unknown
})

const root = rootOf(schemaOf(Payload))
const fields = root.kind === "group" ? root.fields : []

const good = {
  "/to": "ada",
  "/amount": "1.5",
  "/count": "3",
  "/isUrgent": "true",
  "/colour": "\"red\"",
  "/address/street": "Main",
  "/lines": "[\"x\"]",
  "/a~1b": "{}"
}

describe("a form", () => {
  it("has a field for each property, of its kind", () => {
    assert.deepStrictEqual(fields.map(({ kind, name }) => [name, kind]), [
      ["to", "text"],
      ["amount", "number"],
      ["count", "number"],
      ["isUrgent", "boolean"],
      ["colour", "choice"],
      ["note", "text"],
      ["nick", "text"],
      ["address", "group"],
      ["lines", "json"],
      ["extra", "json"],
      ["a/b", "json"]
    ])
    assert.deepStrictEqual(fields.filter(({ isRequired }) => !isRequired).map(({ name }) => name), ["nick", "extra"])
    assert.include(fields[2]!.hint, "from 1")
  })

  it("makes what the schema takes, without what was left empty", () => {
    const { problems, value } = read(root, good)
    assert.deepStrictEqual(problems, {})
    assert.deepStrictEqual(value, {
      to: "ada",
      amount: 1.5,
      count: 3,
      isUrgent: true,
      colour: "red",
      note: null,
      address: { street: "Main" },
      lines: ["x"],
      "a/b": {}
    })
    assert.instanceOf(Schema.decodeUnknownSync(Schema.toCodecJson(Payload))(value).address, Address)
  })

  it("goes on with what was written as JSON", () => {
    const { value } = read(root, good)
    assert.deepStrictEqual(read(root, typedOf(root, value)), { problems: {}, value })
  })

  it("says at the field what nobody can read", () => {
    const { problems } = read(root, { ...good, "/amount": "much", "/lines": "[", "/isUrgent": "" })
    assert.deepStrictEqual(Object.keys(problems), ["/amount", "/isUrgent", "/lines"])
    assert.strictEqual(problems["/amount"], "is no number")
  })

  it("shows what the server found at the field that is nearest", () => {
    const issues = [
      { pointer: "/to", message: "too short" },
      { pointer: "/lines/3", message: "no text" },
      { pointer: "/address/street", message: "unknown" },
      { pointer: "", message: "all wrong" }
    ]
    assert.deepStrictEqual(placed(root, issues), {
      "/to": "too short",
      "/lines": "/3: no text",
      "/address/street": "unknown",
      "": "all wrong"
    })
  })

  it("of a payload that is no group is JSON", () => {
    assert.strictEqual(rootOf(schemaOf(Schema.Array(Schema.String))).kind, "json")
    assert.strictEqual(rootOf({}).kind, "json")
    assert.strictEqual(rootOf(undefined).kind, "json")
  })
})
