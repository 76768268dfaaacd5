/**
 * A started flow, without its types: its members are found by label, in pages.
 */
import * as Effect from "effect/Effect"
import * as Job from "../../Job.ts"
import { JobControlError, type JobStoreError } from "../../JobError.ts"
import * as JobHandle from "../../JobHandle.ts"
import type { JobId, State } from "../../JobRecord.ts"
import { type ControlAction, JobStore, type Selection } from "../../JobStore.ts"
import { closure, endsOf, type Graph, idOfNode, labelOf, type Node, nodeOf } from "./graph.ts"
import type { Started } from "./start.ts"

/** A node with all that waits for it, or with all that it waits for. */
export interface Part {
  readonly from?: string | undefined
  readonly to?: string | undefined
}

export type Counts = Readonly<Record<State, number>>

export interface Status {
  /** Every member has ended. */
  readonly isFinished: boolean
  readonly counts: Counts
  readonly nodes: Readonly<Record<string, Counts>>
}

const chunk = 500

const noCounts = (): Record<State, number> => ({
  blocked: 0,
  scheduled: 0,
  ready: 0,
  running: 0,
  completed: 0,
  cancelled: 0,
  dead: 0
})

export class Handle {
  readonly id: JobId
  readonly outcome: Started["outcome"]
  private readonly graph: Graph

  constructor(graph: Graph, { id, outcome }: Started) {
    this.graph = graph
    this.id = id
    this.outcome = outcome
  }

  readonly node = (name: string) => {
    const node = nodeOf(this.graph, name)
    if (node.isList) throw new Error(`flow ${this.graph.name}, node ${name}: it is a list, use members`)
    return JobHandle.make(node.job[Job.TypeId], idOfNode(this.graph, this.id, name), "Existing")
  }

  readonly members = (name: string) =>
    Effect.suspend(() => {
      const node = nodeOf(this.graph, name)
      return Effect.map(
        this.idsOf(node),
        (ids) => ids.map((id) => JobHandle.make(node.job[Job.TypeId], id, "Existing"))
      )
    })

  get await() {
    return Effect.suspend(() =>
      Effect.map(
        Effect.forEach(endsOf(this.graph), (node) => Effect.map(this.awaitNode(node), (value) => [node.name, value]), {
          concurrency: "unbounded"
        }),
        (entries): Readonly<Record<string, unknown>> => Object.fromEntries(entries)
      )
    )
  }

  private awaitNode(node: Node): Effect.Effect<unknown, JobHandle.Ended | JobStoreError, JobStore> {
    if (!node.isList) return this.node(node.name).await
    return Effect.flatMap(
      this.members(node.name),
      (members) => Effect.forEach(members, (member) => member.await, { concurrency: "unbounded" })
    )
  }

  get status(): Effect.Effect<Status, JobStoreError, JobStore> {
    const nodes = Object.fromEntries([...this.graph.nodes.keys()].map((name) => [name, noCounts()]))
    const counts = noCounts()
    return Effect.map(
      this.each({}, ({ state, tags }) => {
        counts[state]++
        const name = [...this.graph.nodes.keys()].find((name) => tags.includes(labelOf(this.graph, name)))
        if (name !== undefined) nodes[name]![state]++
      }),
      () => ({
        isFinished: counts.blocked + counts.scheduled + counts.ready + counts.running === 0,
        counts,
        nodes
      })
    )
  }

  /** What waits for others first: else these would be dead for want of what they wait for. */
  readonly cancel = ({ reason, ...part }: Part & { readonly reason: string }) =>
    this.control({ _tag: "Cancel", reason }, part, [...this.graph.nodes.values()].toReversed())

  /** What others wait for first, which then wait again. */
  readonly retry = (part: Part = {}) =>
    this.control({ _tag: "Retry" }, part, [...this.graph.nodes.values()], ["dead", "cancelled"])

  private readonly control = (
    action: ControlAction,
    part: Part,
    nodes: ReadonlyArray<Node>,
    states?: ReadonlyArray<State>
  ): Effect.Effect<
    { readonly changed: number; readonly requested: number },
    JobStoreError | JobControlError,
    JobStore
  > =>
    Effect.gen({ self: this }, function*() {
      const store = yield* JobStore
      const chosen = partOf(this.graph, part)
      if (chosen instanceof JobControlError) return yield* chosen
      let changed = 0
      let requested = 0
      for (const { name } of nodes) {
        if (!chosen.has(name)) continue
        let cursor: string | undefined
        do {
          const where: Selection = { flowId: this.id, label: labelOf(this.graph, name), states }
          const reply = yield* store.control({ action, where, limit: chunk, cursor })
          for (const { outcome } of reply.outcomes) {
            if (outcome === "Changed") changed++
            else if (outcome === "Requested") requested++
          }
          cursor = reply.cursor
        } while (cursor !== undefined)
      }
      return { changed, requested }
    })

  private idsOf({ name }: Node): Effect.Effect<ReadonlyArray<JobId>, JobStoreError, JobStore> {
    const ids: Array<JobId> = []
    return Effect.as(this.each({ label: labelOf(this.graph, name) }, ({ id }) => ids.push(id)), ids)
  }

  private each(
    where: Selection,
    see: (record: { readonly id: JobId; readonly state: State; readonly tags: ReadonlyArray<string> }) => void
  ): Effect.Effect<void, JobStoreError, JobStore> {
    const selection = { ...where, flowId: this.id }
    return Effect.gen(function*() {
      const store = yield* JobStore
      let cursor: string | undefined
      do {
        const page = yield* store.query({ where: selection, order: "oldest", limit: chunk, cursor })
        for (const record of page.records) see(record)
        cursor = page.cursor
      } while (cursor !== undefined)
    })
  }
}

const partOf = (graph: Graph, { from, to }: Part): ReadonlySet<string> | JobControlError => {
  if (from !== undefined && to !== undefined) {
    return new JobControlError({ option: "to", issue: "give either from or to, not both" })
  }
  const name = from ?? to
  if (name === undefined) return new Set(graph.nodes.keys())
  return closure(graph, name, from === undefined ? "to" : "from")
}
