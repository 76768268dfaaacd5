import { assert, describe, it } from "@effect/vitest"
import { Effect, Option, Redacted, Schema } from "effect"
import { maskError, maskJson, pointers } from "../src/internal/sensitive.ts"

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

/** An error, the pointers into it, a message, and what is left of that. */
const messages: ReadonlyArray<
  readonly [name: string, error: unknown, at: ReadonlyArray<string>, message: string, left: string]
> = [
  ["a value as often as it is there", { a: "x1" }, ["/a"], "x1 is x1", "<redacted> is <redacted>"],
  ["a short value", { a: "7" }, ["/a"], "7 of 17", "<redacted> of 1<redacted>"],
  ["a value that begins with another one", { a: "41", b: "4111" }, ["/a", "/b"], "n 4111", "n <redacted>"],
  ["values that overlap", { a: "abc", b: "cde" }, ["/a", "/b"], "-abcde-", "-<redacted>-"],
  ["a value that the mask is made of", { a: "red", b: "x" }, ["/a", "/b"], "x red", "<redacted> <redacted>"],
  ["numbers and truth values", { a: 1.5, b: true }, ["/*"], "1.5 true 2", "<redacted> <redacted> 2"],
  ["what is within a value", { a: { k: ["v", 9] } }, ["/a"], "v, 9, k!", "<redacted>, <redacted>, <redacted>!"],
  ["a value within JSON", { a: "q\"\n" }, ["/a"], `{"a":"q\\"\\n"}`, `{"a":"<redacted>"}`],
  ["a value that was stored without NUL", { a: "s\0t" }, ["/a"], "is st", "is <redacted>"],
  ["the beginning of a value where the message was cut", { a: "secret" }, ["/a"], "for secr…", "for <redacted>…"],
  ["the same within a character", { a: "s😀t" }, ["/a"], "for s\uFFFD…", "for <redacted>\uFFFD…"],
  ["an empty value", { a: "" }, ["/a"], "as it was", "as it was"],
  ["a value that only looks like a pattern", { a: "." }, ["/a"], "a.b", "a<redacted>b"]
]

describe("a message", () => {
  for (const [name, error, at, message, left] of messages) {
    it(`hides ${name}`, () => {
      assert.strictEqual(maskError({ error: JSON.stringify(error), message }, at).message, left)
    })
  }

  it("is masked whole when its error is no JSON any more", () => {
    const cut = { error: `{"a":"secr`, message: "for secret" }
    assert.deepStrictEqual(maskError(cut, ["/a"]), { error: `"<redacted>"`, message: "<redacted>" })
  })
})
