/**
 * A declared flow without its types: nodes in an order in which each comes after those that it waits for.
 */
import type { Any as AnyJob } from "../../Job.ts"
import type { JobId } from "../../JobRecord.ts"
import type { OnDependencyFailure } from "../../JobStore.ts"
import { name as validName } from "../definition.ts"
import { idsOf, only } from "./ids.ts"

export type Policy = OnDependencyFailure | "ignore"

export interface Node {
  readonly name: string
  readonly job: AnyJob
  /** It stands for as many records as the start has payloads for it. */
  readonly isList: boolean
  readonly after: Readonly<Record<string, Policy>>
}

export interface Graph {
  readonly name: string
  readonly nodes: ReadonlyMap<string, Node>
}

export const policies = ["fail", "cancelSiblings", "continue", "ignore"] as const satisfies ReadonlyArray<Policy>

export const empty = (name: string): Graph => ({ name: validName(`flow ${name}`, "name", name), nodes: new Map() })

/** A node waits for earlier ones alone, so there is no way to write a cycle. */
export const withNode = ({ name, nodes }: Graph, node: Node): Graph => {
  const where = `flow ${name}, node ${node.name}`
  validName(where, "name", node.name)
  if (node.name.includes("/")) throw new Error(`${where}: a name of a node has no /`)
  if (nodes.has(node.name)) throw new Error(`${where}: there is a node of this name already`)
  for (const [other, policy] of Object.entries(node.after)) {
    if (!nodes.has(other)) {
      throw new Error(
        `${where}: it waits for ${other}, which is no node before it; these are ${[...nodes.keys()].join(", ")}`
      )
    }
    if (!policies.includes(policy)) {
      throw new Error(
        `${where}: what a failure of ${other} means must be one of ${policies.join(", ")}, it is ${policy}`
      )
    }
  }
  return { name, nodes: new Map(nodes).set(node.name, node) }
}

export const nodeOf = ({ name, nodes }: Graph, node: string): Node => {
  const found = nodes.get(node)
  if (found === undefined) {
    throw new Error(`flow ${name}: it has no node ${node}, it has ${[...nodes.keys()].join(", ")}`)
  }
  return found
}

/** The nodes that nobody waits for: their results are those of the flow. */
export const endsOf = ({ nodes }: Graph): ReadonlyArray<Node> => {
  const awaited = new Set([...nodes.values()].flatMap(({ after }) => Object.keys(after)))
  return [...nodes.values()].filter(({ name }) => !awaited.has(name))
}

/** The node whose record stands for the flow: it has the flow's id and key, and as a rule ends last. */
export const headOf = (graph: Graph): Node => {
  const isOne = ({ isList }: Node) => !isList
  const head = endsOf(graph).findLast(isOne) ?? [...graph.nodes.values()].findLast(isOne)
  if (head !== undefined) return head
  throw new Error(
    `flow ${graph.name}: all of its nodes are lists; it needs one that is a single record, to stand for it`
  )
}

/** The id of a node that is one record. */
export const idOfNode = (graph: Graph, flowId: JobId, name: string): JobId =>
  name === headOf(graph).name ? flowId : idsOf(flowId, name)(only)

/** Those that wait for a node. */
export const dependentsOf = ({ nodes }: Graph, name: string): ReadonlyArray<Node> =>
  [...nodes.values()].filter(({ after }) => Object.hasOwn(after, name))

/** A node with all that waits for it, or all that it waits for, directly or through others. */
export const closure = (graph: Graph, name: string, direction: "from" | "to"): ReadonlySet<string> => {
  const found = new Set([nodeOf(graph, name).name])
  for (const each of found) {
    const next = direction === "from"
      ? dependentsOf(graph, each).map(({ name }) => name)
      : Object.keys(graph.nodes.get(each)!.after)
    for (const other of next) found.add(other)
  }
  return found
}

/** By which a member is found, and knows which node it is. */
export const labelOf = ({ name }: Graph, node: string): string => `${name}/${node}`

/** `ignore` and `continue` are one to a store: they differ in what the record that waits gets to see. */
export const toStore = (policy: Policy): OnDependencyFailure => policy === "ignore" ? "continue" : policy
