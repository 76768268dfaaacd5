/**
 * Who waits for whom: the edges between records.
 *
 * An edge is open until the record that is waited for has ended, and keeps how it ended for as long as the record that waits
 * is there: a result outlives the retention of whoever made it. It opens again when that one runs again.
 *
 * Guarantee: a record that waits has an open edge, so nothing waits in vain. Cost: an end costs what its edges cost, however
 * many others the records that wait have; no call recurses along a chain.
 */
import type { Failure, JobId } from "../../JobRecord.ts"
import type { NewRecord, OnDependencyFailure, ResultAnswer } from "../../JobStore.ts"
import { cancel } from "./control.ts"
import { follow } from "./follow.ts"
import { answerOf } from "./query.ts"
import type { Row } from "./row.ts"
import type { MemoryState } from "./state.ts"

type Final = Exclude<ResultAnswer, { readonly _tag: "Pending" }>

export class Edge {
  readonly dependent: Row
  readonly id: JobId
  readonly name: string
  /** What a failure means for the record that waits. A child may end as it likes: the attempt that left it behind decides. */
  readonly onFailure: OnDependencyFailure
  /** How the record that is waited for ended; open without. */
  answer: Final | undefined = undefined
  /** The record that waited has begun a new life, whose children are others. */
  isOver = false
  /** It is a child with which the record is done: whether it runs again is all the same. */
  isKept = false

  constructor(dependent: Row, id: JobId, name: string, onFailure: OnDependencyFailure) {
    this.dependent = dependent
    this.id = id
    this.name = name
    this.onFailure = onFailure
  }

  /** Children are named by their ids. */
  get isChild(): boolean {
    return this.name === this.id
  }

  /** It ended otherwise than it had to. */
  get isBroken(): boolean {
    return this.onFailure !== "continue" && this.answer !== undefined && this.answer._tag !== "Completed"
  }
}

const isStrictlyBlocked = ({ more }: Row): boolean => more?.blocked === "Dependencies" || more?.blocked === "Unique"

/**
 * It waits for others, or has not begun to run: what it would find of them may still change. So may what it finds of a child
 * until it has kept that, whatever it does meanwhile.
 */
const mayWaitAgain = (row: Row, edge: Edge): boolean => edge.isChild || row.finished || row.waits

/** Lets a row wait for another one, or notes how that one has ended. */
export const connect = (state: MemoryState, edge: Edge): void => {
  const more = edge.dependent.grow()
  ;(more.waitsFor ??= []).push(edge)
  const dependency = state.rows.get(edge.id)
  if (dependency !== undefined) (dependency.grow().awaitedBy ??= []).push(edge)
  if (dependency === undefined || dependency.finished) edge.answer = answerOf(state, edge.id) as Final
  else more.pending++
}

/** A new row waits for its dependencies; it is dead when one of them has failed already. */
export const awaitAll = (
  state: MemoryState,
  row: Row,
  dependencies: NonNullable<NewRecord["dependencies"]>,
  now: number
): void => {
  const more = row.grow()
  if (more.blocked === undefined) state.waitFor(row, "Dependencies")
  for (const { id, name, onFailure } of dependencies) connect(state, new Edge(row, id, name, onFailure ?? "fail"))
  const broken = more.waitsFor?.find((edge) => edge.isBroken)
  if (broken !== undefined) die(state, row, broken, now)
  else goOn(state, row, now)
}

/** A row has ended, or is gone: whoever waits for it is told, and then whoever waited for those. */
export const ended = (state: MemoryState, row: Row, now: number): void => {
  if (row.more?.awaitedBy === undefined) return
  state.ended.push(row)
  if (state.ended.length > 1) return
  for (const one of state.ended) {
    for (const edge of one.more!.awaitedBy!) close(state, edge, answerOf(state, one.id) as Final, now)
  }
  state.ended = []
}

const close = (state: MemoryState, edge: Edge, answer: Final, now: number): void => {
  const row = edge.dependent
  if (row.isGone || edge.isOver || edge.answer !== undefined && answer._tag === "NotFound") return
  if (edge.answer === undefined) row.grow().pending--
  edge.answer = answer
  if (row.state !== "blocked") return
  if (edge.isBroken && isStrictlyBlocked(row)) die(state, row, edge, now)
  else goOn(state, row, now)
}

/** Lets a row run that waits for nobody any more. */
const goOn = (state: MemoryState, row: Row, now: number): void => {
  const more = row.grow()
  if (more.pending > 0 || (more.blocked !== "Dependencies" && more.blocked !== "Children")) return
  // What waits for its children has begun: when it was due once is over, also when somebody let it run before.
  state.run(row, "unblock", now, more.blocked === "Children" ? now : row.spec.runAt ?? row.enqueuedAt + row.spec.delay)
}

const die = (state: MemoryState, row: Row, edge: Edge, now: number): void => {
  const more = row.grow()
  row.fence++
  more.deadReason = "DependencyFailed"
  more.failures = [...more.failures, failureOf(row, edge, now)]
  state.finish(row, "dependencyFailed", "dead", now, "DependencyFailed")
  follow(state, row, now)
  if (edge.onFailure !== "cancelSiblings") return
  for (const { answer, id } of more.waitsFor!) {
    const sibling = answer === undefined ? state.rows.get(id) : undefined
    if (sibling !== undefined) cancel(state, sibling, siblingReason(edge), now)
  }
}

const failureOf = (row: Row, { answer, id, name }: Edge, now: number): Failure => ({
  attempt: row.attempt,
  kind: "Dependency",
  at: now,
  tag: "DependencyFailed",
  message: `it waited for ${name}, record ${id}, which ${words[answer!._tag]}`,
  error: undefined
})

const words = { Completed: "is completed", Dead: "is dead", Cancelled: "was cancelled", NotFound: "is gone" } as const

const siblingReason = ({ id, name }: Edge): string => `${name}, record ${id}, failed beside it`

/** Whether a record that it waits for has failed, and not been tried again since. */
export const isBroken = (row: Row): boolean => row.more?.waitsFor?.some((edge) => edge.isBroken) === true

const isDeadForWantOf = (row: Row): boolean => row.state === "dead" && row.more?.deadReason === "DependencyFailed"

/** Whether a final row may live again: no other row has its unique key. */
export const mayBegin = (state: MemoryState, row: Row, now: number): boolean => {
  if (row.spec.unique === undefined) return true
  const holder = state.holder(row.spec.tag, row.spec.unique, now)
  return holder === undefined || holder === row
}

/**
 * A row runs again: what has not begun to run waits for it once more, and what is dead because of it lives again, unless
 * another one that it needs has failed too.
 */
export const reopen = (state: MemoryState, row: Row, now: number): void => {
  const again = [row]
  for (const one of again) {
    for (const edge of one.more?.awaitedBy ?? []) {
      const { dependent } = edge
      if (edge.answer === undefined || edge.isOver || edge.isKept) continue
      if (dependent.isGone || !mayWaitAgain(dependent, edge)) continue
      edge.answer = undefined
      const more = dependent.grow()
      more.pending++
      // Who left it behind names it again where it still waits for it.
      if (edge.isChild) continue
      if (dependent.state === "ready" || dependent.state === "scheduled" || more.blocked === "ConcurrencyKey") {
        state.freeSlot(dependent, now)
        dependent.fence++
        state.block(dependent, "edit", "Dependencies")
      } else if (isDeadForWantOf(dependent) && !isBroken(dependent) && mayBegin(state, dependent, now)) {
        dependent.fence++
        state.begin(dependent, now)
        again.push(dependent)
      }
    }
  }
}

/** Forgets the children of the life before. */
export const forgetChildren = (row: Row): void => forget(row, (edge) => edge.isChild)

/**
 * The same of those that were waited for no longer than until an instant: who still waits for one names it again. Also of one with
 * which the record was done, if it runs again, and is named after all.
 */
export const forgetOpenChildren = (state: MemoryState, row: Row, named: ReadonlySet<JobId>): void =>
  forget(
    row,
    ({ answer, id, isChild, isKept }) =>
      isChild && (answer === undefined || isKept && named.has(id) && state.rows.get(id)?.finished === false)
  )

/** What waits for these children alone has kept how the others ended. */
export const keepOthers = (row: Row, named: ReadonlySet<JobId>): void => {
  for (const edge of row.more?.waitsFor ?? []) if (edge.isChild) edge.isKept = !named.has(edge.id)
}

const forget = (row: Row, isOver: (edge: Edge) => boolean): void => {
  const more = row.grow()
  more.waitsFor = more.waitsFor?.filter((edge) => {
    edge.isOver = isOver(edge)
    if (edge.isOver && edge.answer === undefined) more.pending--
    return !edge.isOver
  })
}

/** Rows that are to wait for a new one too. They must not have begun: answers the first that has, or is not there. */
export const unready = (state: MemoryState, { dependents }: NewRecord): JobId | undefined =>
  dependents?.find(({ id }) => {
    const row = state.rows.get(id)
    return row === undefined || row.state !== "blocked" || !isStrictlyBlocked(row)
  })?.id
