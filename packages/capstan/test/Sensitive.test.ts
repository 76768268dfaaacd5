import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Redacted, Schema } from "effect"
import { maskJson, pointers } from "../src/internal/sensitive.ts"

const Secret = Schema.String.annotate({ sensitive: true })

class Card extends Schema.Class<Card>("Card")({ number: Secret, pin: Schema.RedactedFromValue(Schema.String) }) {}

interface Tree {
  readonly secret: string
  readonly name: string
  readonly kids: ReadonlyArray<Tree>
}
const Tree = Schema.Struct({
  secret: Secret,
  name: Schema.String,
  kids: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
})
class Node extends Schema.Class<Node>("Node")({
  secret: Secret,
  kids: Schema.Array(Schema.suspend((): Schema.Codec<Node, unknown> => Node as never))
}) {}

interface Branch {
  readonly twigs: ReadonlyArray<Branch>
}
const Branch = Schema.Struct({ twigs: Schema.Array(Schema.suspend((): Schema.Codec<Branch> => Branch)) })

const card = new Card({ number: "SECRET", pin: Redacted.make("SECRET") })

/** A schema, a value of it whose secrets say so, and the pointers that lead to them. */
const cases: ReadonlyArray<readonly [name: string, schema: Schema.Top, value: unknown, at: ReadonlyArray<string>]> = [
  ["an annotated field", Schema.Struct({ a: Secret }), { a: "SECRET" }, ["/a"]],
  ["an annotation under a check", Secret.check(Schema.isMinLength(1)), "SECRET", [""]],
  ["an annotation on a check", Schema.String.check(Schema.isMinLength(1)).annotate({ sensitive: true }), "SECRET", [
    ""
  ]],
  ["an annotation under two checks", Secret.check(Schema.isMinLength(1)).check(Schema.isMaxLength(9)), "SECRET", [""]],
  [
    "a struct under a check",
    Schema.Struct({ a: Schema.String }).annotate({ sensitive: true }).check(Schema.makeFilter(() => true)),
    { a: "SECRET" },
    [""]
  ],
  [
    "an annotated key",
    Schema.Struct({ a: Schema.String.annotateKey({ sensitive: true } as {}) }),
    { a: "SECRET" },
    ["/a"]
  ],
  ["a redacted value", Schema.Struct({ a: Schema.RedactedFromValue(Schema.String) }), {
    a: Redacted.make("SECRET")
  }, ["/a"]],
  [
    "a redacted value under a check",
    Schema.Struct({ a: Schema.RedactedFromValue(Schema.String).check(Schema.makeFilter(() => true)) }),
    { a: Redacted.make("SECRET") },
    ["/a"]
  ],
  ["a class", Schema.Struct({ card: Card }), { card }, ["/card/number", "/card/pin"]],
  [
    "a class that is made from a plain struct",
    Schema.Struct({ number: Secret, pin: Schema.String }).pipe(Schema.decodeTo(Card)),
    card,
    [""]
  ],
  [
    "renamed keys of which one is told from the encoded side and one is not",
    Schema.Struct({ a: Schema.RedactedFromValue(Schema.String), b: Secret }).pipe(Schema.encodeKeys({ a: "x" })),
    { a: Redacted.make("SECRET"), b: "SECRET" },
    [""]
  ],
  [
    "as many sensitive places on both sides, and not the same",
    Schema.Struct({ a: Schema.RedactedFromValue(Schema.String), b: Secret.pipe(Schema.decodeTo(Schema.String)) }).pipe(
      Schema.encodeKeys({ a: "x" })
    ),
    { a: Redacted.make("SECRET"), b: "SECRET" },
    [""]
  ],
  ["a recursive struct", Tree, {
    secret: "SECRET",
    name: "n",
    kids: [{ secret: "SECRET", name: "n", kids: [] }]
  }, ["/secret", "/kids/*"]],
  ["a recursive class", Node, new Node({ secret: "SECRET", kids: [new Node({ secret: "SECRET", kids: [] })] }), [
    "/secret",
    "/kids/*"
  ]],
  ["a recursive struct without secrets", Branch, { twigs: [{ twigs: [] }] }, []],
  ["a record", Schema.Record(Schema.String, Secret), { a: "SECRET" }, ["/*"]],
  ["a record with sensitive keys", Schema.Record(Secret, Schema.Number), { SECRET: 1 }, [""]],
  ["a tuple", Schema.Tuple([Schema.Number, Secret]), [1, "SECRET"], ["/1"]],
  ["an Option", Schema.Struct({ a: Schema.Option(Secret) }), { a: Option.some("SECRET") }, ["/a"]],
  ["a map", Schema.ReadonlyMap(Schema.String, Secret), new Map([["a", "SECRET"]]), [""]],
  ["JSON within JSON", Schema.fromJsonString(Schema.Struct({ a: Secret })), { a: "SECRET" }, [""]],
  ["a template", Schema.TemplateLiteral(["x-", Secret]), "x-SECRET", [""]],
  ["what is decoded from an annotated value", Secret.pipe(Schema.decodeTo(Schema.Trim)), "SECRET", [""]]
]

describe("sensitive values", () => {
  for (const [name, schema, value, at] of cases) {
    it.effect(`are masked in ${name}`, () =>
      Effect.gen(function*() {
        assert.deepStrictEqual(pointers(schema), at)
        const encode = Schema.encodeUnknownEffect(Schema.toCodecJson(schema as Schema.Codec<unknown>))
        const json = JSON.stringify(yield* encode(value))
        assert.strictEqual(json.includes("SECRET"), at.length > 0)
        assert.notInclude(maskJson(json, pointers(schema)), "SECRET")
      }))
  }
})
