/**
 * Storing a flow: every member becomes a record, in one call of the store that takes all or none; and adding to one that runs.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as Job from "../../Job.ts"
import { JobContext } from "../../JobContext.ts"
import { Begun, EnqueueError, InvalidOption, type JobStoreError } from "../../JobError.ts"
import type { JobId } from "../../JobRecord.ts"
import { type Dependency, type Enqueued, JobStore, type NewRecord } from "../../JobStore.ts"
import { attemptOf, type Options, prepareMany, refusalOf } from "../enqueue.ts"
import { isStored, type Stored } from "../stored.ts"
import * as Uuid from "../uuid.ts"
import { dependentsOf, type Graph, headOf, idOfNode, labelOf, type Node, nodeOf, toStore } from "./graph.ts"
import { idsOf } from "./ids.ts"
import * as Outline from "./outline.ts"

export interface StartOptions extends Omit<Options, "idempotencyKey" | "unique"> {
  readonly idempotencyKey?: string | undefined
}

export interface Started {
  readonly id: JobId
  readonly outcome: "Inserted" | "Existing" | "Deferred"
}

/** A list of a thousand that waits for a list of a thousand has a million edges: a node between the two has two thousand. */
export const maxEdges = 200_000

type Payloads = Readonly<Record<string, unknown>>

export const start = (
  graph: Graph,
  payloads: Payloads,
  options: StartOptions
): Effect.Effect<Started, EnqueueError | JobStoreError, JobStore> =>
  Effect.withFiber((fiber) => {
    const flowId = Uuid.make(fiber)
    return Effect.flatMap(
      membersOf(graph, flowId, payloads, options),
      (records) => store(graph, fiber, flowId, records)
    )
  })

const membersOf = Effect.fnUntraced(function*(
  graph: Graph,
  flowId: JobId,
  payloads: Payloads,
  { idempotencyKey, ...options }: StartOptions
): Effect.fn.Return<ReadonlyArray<NewRecord>, EnqueueError> {
  const head = headOf(graph)
  const outline = { [Outline.outlineHeader]: Outline.encode(graph) }
  const ids = new Map<string, ReadonlyArray<JobId>>()
  const records: Array<NewRecord> = []
  let edges = 0
  for (const node of graph.nodes.values()) {
    const given = node.isList ? [...payloads[node.name] as Iterable<unknown>] : [payloads[node.name]]
    const prepared = yield* prepareMany(node.job[Job.TypeId], given, {
      ...options,
      ...(node === head && idempotencyKey !== undefined ? { idempotencyKey: keyOf(graph, idempotencyKey) } : undefined),
      tags: [...options.tags ?? [], labelOf(graph, node.name)]
    })
    const own = node.isList
      ? given.map((_, i) => i).map(idsOf(flowId, node.name))
      : [idOfNode(graph, flowId, node.name)]
    ids.set(node.name, own)
    const dependencies = dependenciesOf(graph, node, ids)
    edges += dependencies.length * own.length
    if (edges > maxEdges) return yield* tooMany(node, edges)
    for (let i = 0; i < own.length; i++) {
      records.push({
        ...prepared[i]!,
        ...(node === head ? { headers: { ...prepared[i]!.headers, ...outline } } : undefined),
        id: own[i]!,
        flowId,
        ...(dependencies.length > 0 ? { dependencies } : undefined)
      })
    }
  }
  return records
})

const keyOf = ({ name }: Graph, key: string): string => `flow/${name}/${key}`

/**
 * What a node's records wait for. In place of a list that has no records yet they wait for what the list waits for, under
 * a name that no node has: what is found there may be added to the list.
 */
const dependenciesOf = (
  graph: Graph,
  node: Node,
  ids: ReadonlyMap<string, ReadonlyArray<JobId>>
): ReadonlyArray<Dependency> =>
  Object.entries(node.after).flatMap(([name, policy]) => {
    const onFailure = toStore(policy)
    const awaited = ids.get(name)!
    if (awaited.length > 0) return awaited.map((id): Dependency => ({ name, id, onFailure }))
    return dependenciesOf(graph, nodeOf(graph, name), ids).map((behind): Dependency => ({
      name: `${name}/${behind.name}`,
      id: behind.id,
      onFailure: behind.onFailure === "continue" ? "continue" : onFailure
    }))
  })

const tooMany = ({ job, name }: Node, edges: number): Effect.Effect<never, EnqueueError> =>
  Effect.fail(
    new EnqueueError({
      reason: new InvalidOption({
        job: job._tag,
        option: "after",
        issue:
          `with node ${name} its flow has ${edges} pairs of records that wait for each other, at most ${maxEdges} are ` +
          "allowed: put a node that is one record between two lists"
      })
    })
  )

const store = Effect.fnUntraced(function*(
  graph: Graph,
  fiber: Fiber.Fiber<unknown, unknown>,
  flowId: JobId,
  records: ReadonlyArray<NewRecord>
): Effect.fn.Return<Started, EnqueueError | JobStoreError, JobStore> {
  const answers = yield* (yield* JobStore).enqueue({ records, by: attemptOf(fiber), whole: flowId })
  const stored = yield* accepted(graph, records, answers)
  const at = records.findIndex(({ id }) => id === flowId)
  const { id, outcome } = stored[at]!
  // What is one thing replaces nothing.
  return { id, outcome: outcome === "Replaced" ? "Existing" : outcome }
})

/** Of a flow, all of it or nothing is stored: a conflict is the caller's to solve. */
const accepted = (
  graph: Graph,
  records: ReadonlyArray<NewRecord>,
  answers: ReadonlyArray<Enqueued>
): Effect.Effect<ReadonlyArray<Stored>, EnqueueError | JobStoreError> => {
  if (answers.every(isStored)) return Effect.succeed(answers)
  const at = answers.findIndex(({ outcome }) => outcome === "UniqueConflict" || outcome === "Begun")
  const blamed = answers[at]
  return Effect.fail(
    blamed?.outcome === "Begun"
      ? new EnqueueError({ reason: new Begun({ flow: graph.name, job: records[at]!.tag, holder: blamed.id }) })
      : refusalOf(records, answers)
  )
}

// -------------------------------------------------------------------------------------------------------------- adding

/**
 * Which ones of a thing an attempt has added, by number: a second one of it is another record, a second attempt's is the same.
 * What a call has failed to add is free again, and is what the next one adds: that may be the same call once more, whose reply
 * was lost.
 */
class Numbers {
  private readonly byThing = new Map<string, { last: number; readonly free: Array<number> }>()

  take(thing: string): number {
    let numbers = this.byThing.get(thing)
    if (numbers === undefined) this.byThing.set(thing, numbers = { last: 0, free: [] })
    return numbers.free.pop() ?? ++numbers.last
  }

  giveBack(taken: ReadonlyArray<readonly [thing: string, number: number]>): void {
    for (const [thing, number] of taken) this.byThing.get(thing)!.free.push(number)
    // The least one comes first again.
    for (const thing of new Set(taken.map(([thing]) => thing))) this.byThing.get(thing)!.free.sort((a, b) => b - a)
  }
}

const added = new WeakMap<object, Numbers>()

/**
 * Adds members to a node of the flow that the attempt belongs to. Their ids follow from the attempt's record and what is
 * added, so that an attempt that runs again adds nothing twice.
 */
export const add = (
  graph: Graph,
  name: string,
  payloads: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<JobId>, EnqueueError | JobStoreError, JobContext | JobStore> =>
  Effect.withFiber((fiber) =>
    Effect.gen(function*() {
      const attempt = yield* JobContext
      const flowId = attempt.flow._tag === "Some" ? attempt.flow.value : undefined
      const isOfFlow = attempt.tags.some((tag) => tag.startsWith(labelOf(graph, "")))
      if (flowId === undefined || !isOfFlow) {
        return yield* Effect.die(new Error(`${graph.name}.add was called in an attempt of no record of this flow`))
      }
      const node = nodeOf(graph, name)
      const prepared = yield* prepareMany(node.job[Job.TypeId], payloads, { tags: [labelOf(graph, name)] })
      const dependencies = Object.entries(node.after).map(([name, policy]): Dependency => ({
        name,
        id: idOfNode(graph, flowId, name),
        onFailure: toStore(policy)
      }))
      const dependents = dependentsOf(graph, name).map(({ after, name: other }): Dependency => ({
        name,
        id: idOfNode(graph, flowId, other),
        onFailure: toStore(after[name]!)
      }))
      let numbers = added.get(attempt)
      if (numbers === undefined) added.set(attempt, numbers = new Numbers())
      const make = idsOf(flowId, name)
      const taken: Array<readonly [thing: string, number: number]> = []
      const records = prepared.map((record): NewRecord => {
        const thing = `${name}/${record.payload}`
        const number = numbers.take(thing)
        taken.push([thing, number])
        const id = make(`${attempt.id}/${number}/${record.payload}`)
        return {
          ...record,
          id,
          flowId,
          ...(dependencies.length > 0 ? { dependencies } : undefined),
          ...(dependents.length > 0 ? { dependents } : undefined)
        }
      })
      if (records.length === 0) return []
      return yield* (yield* JobStore).enqueue({ records, by: attemptOf(fiber) }).pipe(
        Effect.flatMap((answers) => accepted(graph, records, answers.map(asOwn(records)))),
        Effect.map((stored) => stored.map(({ id }) => id)),
        Effect.onError(() => Effect.sync(() => numbers.giveBack(taken)))
      )
    })
  )

/** A member of a flow is no other record: whoever waits for the list would not wait for that one. */
const asOwn = (records: ReadonlyArray<NewRecord>) => (answer: Enqueued, i: number): Enqueued =>
  isStored(answer) && answer.id !== records[i]!.id ? { id: answer.id, outcome: "UniqueConflict" } : answer
