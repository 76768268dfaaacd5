/**
 * How a flow was declared, kept with the record that stands for it: whoever looks later need not have its code.
 */
import type * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { JobRecord } from "../../JobRecord.ts"
import { type Graph, headOf, policies } from "./graph.ts"

const Outline = Schema.Struct({
  name: Schema.String,
  head: Schema.String,
  nodes: Schema.Array(Schema.Struct({
    name: Schema.String,
    isList: Schema.Boolean,
    after: Schema.Record(Schema.String, Schema.Literals(policies))
  }))
})

export type Outline = typeof Outline.Type

/** The header that has it, as JSON. */
export const outlineHeader = "capstan-flow"

export const encode = (graph: Graph): string =>
  JSON.stringify(
    {
      name: graph.name,
      head: headOf(graph).name,
      nodes: [...graph.nodes.values()].map(({ after, isList, name }) => ({ name, isList, after }))
    } satisfies Outline
  )

const decodeHeader = Schema.decodeUnknownOption(Schema.fromJsonString(Outline))

/** None of a record that stands for no flow, of one that a release before stored, and where a user's header has this name. */
export const decode = ({ headers }: Pick<JobRecord, "headers">): Option.Option<Outline> =>
  decodeHeader(headers[outlineHeader])
