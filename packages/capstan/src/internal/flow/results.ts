/**
 * What a record of a flow finds of those that it waited for, decoded by their jobs.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Job from "../../Job.ts"
import { JobContext } from "../../JobContext.ts"
import type { JobStoreError } from "../../JobError.ts"
import { readFinal } from "../../JobHandle.ts"
import type { JobId } from "../../JobRecord.ts"
import { JobStore, type ResultAnswer } from "../../JobStore.ts"
import { type Graph, labelOf, type Node, nodeOf, type Policy } from "./graph.ts"
import { idsOf } from "./ids.ts"

/** How many a call of the store answers. */
const page = 1000

export const results = (
  graph: Graph,
  name: string
): Effect.Effect<Readonly<Record<string, unknown>>, JobStoreError, JobContext | JobStore> =>
  Effect.gen(function*() {
    const attempt = yield* JobContext
    const node = nodeOf(graph, name)
    if (attempt.flow._tag === "None" || !attempt.tags.includes(labelOf(graph, name))) {
      return yield* Effect.die(
        new Error(`${graph.name}.results("${name}") was called in an attempt of ${attempt.job} that is no such node`)
      )
    }
    const answers = yield* answersOf(attempt.id)
    const found: Record<string, unknown> = {}
    for (const [other, policy] of Object.entries(node.after)) {
      const source = nodeOf(graph, other)
      const values = yield* Effect.forEach(
        inOrder(attempt.flow.value, source, answers.get(other) ?? []),
        (answer) => valueOf(source, policy, answer)
      )
      found[other] = source.isList
        ? (policy === "ignore" ? values.filter(Option.isOption).flatMap(Option.toArray) : values)
        : values[0]
    }
    return found
  })

const answersOf = Effect.fnUntraced(function*(
  id: JobId
): Effect.fn.Return<ReadonlyMap<string, Array<ResultAnswer>>, JobStoreError, JobStore> {
  const store = yield* JobStore
  const answers = new Map<string, Array<ResultAnswer>>()
  let cursor: string | undefined
  do {
    const reply = yield* store.dependencies({ id, limit: page, cursor })
    for (const { answer, name } of reply.dependencies) {
      const some = answers.get(name)
      if (some === undefined) answers.set(name, [answer])
      else some.push(answer)
    }
    cursor = reply.cursor
  } while (cursor !== undefined)
  return answers
})

/** Those of the start as they were given, then what was added. */
const inOrder = (
  flowId: JobId,
  { isList, name }: Node,
  answers: ReadonlyArray<ResultAnswer>
): ReadonlyArray<ResultAnswer> => {
  if (!isList) return answers
  const make = idsOf(flowId, name)
  const places = new Map<string, number>()
  for (let i = 0; i < answers.length; i++) places.set(make(i), i)
  const placeOf = ({ id }: ResultAnswer) => places.get(id) ?? Infinity
  return answers.toSorted((a, b) => {
    const [first, second] = [placeOf(a), placeOf(b)]
    return first === second ? (a.id < b.id ? -1 : 1) : first - second
  })
}

/** A result that no longer decodes is a defect: a deploy may mend it. */
const valueOf = ({ job, name }: Node, policy: Policy, answer: ResultAnswer): Effect.Effect<unknown> => {
  if (answer._tag === "Pending") {
    return Effect.die(new Error(`${name}, record ${answer.id}, runs again: its result is not there yet`))
  }
  const value = readFinal(job[Job.TypeId], answer, true)
  return policy === "continue"
    ? Effect.exit(value)
    : policy === "ignore"
    ? Effect.map(Effect.exit(value), (exit) => Exit.isSuccess(exit) ? Option.some(exit.value) : Option.none())
    : Effect.orDie(value)
}
