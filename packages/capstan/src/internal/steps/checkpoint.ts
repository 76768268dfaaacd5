/**
 * What is kept of a step, as text: a line that says what it is, and the value as JSON under it.
 *
 * Stores and operators read the first line without the schema of the second.
 */
import * as Effect from "effect/Effect"
import type * as Schema from "effect/Schema"
import * as Codec from "../codec.ts"
import type { Failures } from "./failure.ts"

/**
 * - `step`: the result of an effect
 * - `timer`: until when it sleeps, by the store's clock
 * - `signal`: what a waitpoint was completed with
 * - `timeout`: nobody completed the waitpoint in time, or the record that it invokes did not end by then
 * - `child`: the id of the record that it invokes
 * - `answer`: how that record ended
 * - `cursor`: how far it is in its items
 * - `items`: how many there were, once it is through
 * - `undone`: what it did was undone
 */
export type Kind = "step" | "timer" | "signal" | "timeout" | "child" | "answer" | "cursor" | "items" | "undone"

export interface Checkpoint {
  readonly kind: Kind
  readonly version: number
  /** It is undone when the record ends without success. */
  readonly undo: boolean
  /** The steps that had failed when it began, and how: only of one that is to be undone. */
  readonly failed: Failures | undefined
  /** The step that it stands in: no attempt asks for it once that is kept. */
  readonly inside: string | undefined
  /** JSON; `undefined` when there is none. */
  readonly value: string | undefined
}

export const write = ({ failed, inside, kind, undo = false, value, version = 1 }: Given): string => {
  const head = JSON.stringify({
    kind,
    version: version === 1 ? undefined : version,
    undo: undo ? true : undefined,
    failed,
    inside
  })
  return value === undefined ? head : `${head}\n${value}`
}

/** What is not said is not so. */
export type Given = Partial<Checkpoint> & Pick<Checkpoint, "kind">

/** A text that is none is taken for a signal with that value: a store's own client may have sent it. */
export const read = (text: string): Checkpoint => {
  const end = text.indexOf("\n")
  const head = parse(end < 0 ? text : text.slice(0, end))
  if (head === undefined) {
    return { kind: "signal", version: 1, undo: false, failed: undefined, inside: undefined, value: text }
  }
  return {
    kind: head.kind,
    version: head.version ?? 1,
    undo: head.undo === true,
    failed: head.failed,
    inside: head.inside,
    value: end < 0 ? undefined : text.slice(end + 1)
  }
}

interface Head {
  readonly kind: Kind
  readonly version?: number
  readonly undo?: true
  readonly failed?: Failures
  readonly inside?: string
}

const parse = (line: string): Head | undefined => {
  try {
    const head: unknown = JSON.parse(line)
    return typeof head === "object" && head !== null && "kind" in head ? head as Head : undefined
  } catch {
    return undefined
  }
}

const codecs = new WeakMap<Schema.Top, Codec.Codec>()

/** Compiled once per schema: one that is made in the handler anew is compiled with each attempt. */
export const codecOf = (schema: Schema.Top): Codec.Codec => {
  let codec = codecs.get(schema)
  if (codec === undefined) codecs.set(schema, codec = Codec.make(schema))
  return codec
}

/** What a waitpoint is completed with. */
export const signalOf = (success: Schema.Top, value: unknown): Effect.Effect<string, Schema.SchemaError> =>
  Effect.map(
    codecOf(success).encode(value),
    (json) => write({ kind: "signal", value: json })
  )
