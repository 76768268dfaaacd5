/**
 * How a flow was declared, kept with the record that stands for it: whoever looks later need not have its code.
 */
import * as Option from "effect/Option"
import type { JobRecord } from "../../JobRecord.ts"
import { type Graph, headOf, type Policy } from "./graph.ts"

export interface OutlineNode {
  readonly name: string
  readonly isList: boolean
  readonly after: Readonly<Record<string, Policy>>
}

export interface Outline {
  readonly name: string
  readonly head: string
  readonly nodes: ReadonlyArray<OutlineNode>
}

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

/** None of a record that stands for no flow, and of one that a release before stored. */
export const decode = ({ headers }: Pick<JobRecord, "headers">): Option.Option<Outline> => {
  const text = headers[outlineHeader]
  if (text === undefined) return Option.none()
  try {
    const outline: Partial<Outline> | null = JSON.parse(text)
    return Array.isArray(outline?.nodes) ? Option.some(outline as Outline) : Option.none()
  } catch {
    // A user may have given a header of this name to a record of another kind.
    return Option.none()
  }
}
