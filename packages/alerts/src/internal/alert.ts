/** What people are told. */
import * as Schema from "effect/Schema"

export const Severity = Schema.Literals(["warning", "critical"])

/** One message about one thing. */
export const Alert = Schema.Struct({
  /** The same for every message about the same thing: the rule and its subject. */
  key: Schema.String,
  state: Schema.Literals(["firing", "resolved"]),
  severity: Severity,
  title: Schema.String,
  detail: Schema.String,
  /** When it began, by the store's clock, in epoch milliseconds. */
  since: Schema.Number,
  /** When this was found. */
  at: Schema.Number
})

/** Something that a rule has found: it stands until the rule finds it no more. */
export const Finding = Schema.Struct({
  key: Schema.String,
  severity: Severity,
  title: Schema.String,
  detail: Schema.String
})

/** What a rule answers. */
export const Answer = Schema.Struct({
  ...Finding.fields,
  /** The figures may deceive: the queue in which to listen to what ends, before the rule is asked again. */
  doubt: Schema.optionalKey(Schema.String)
})
