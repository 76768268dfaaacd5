/**
 * Where those who search find a row: the lists of a store and of each of its queues, and when a row comes into which.
 *
 * Guarantee: whoever changes a row says so here, so that each list has what all rows say at any time. Cost: see `lists.ts`.
 */
import type { BlockedReason, State } from "../../JobRecord.ts"
import { Log, Named, Sorted } from "./lists.ts"
import type { Row } from "./row.ts"

/** The rows of one queue. */
export class QueueLists {
  readonly all = new Log()
  /** Those in states that few rows are ever in, or that last. */
  readonly states: Readonly<Partial<Record<State, Sorted>>> = {
    scheduled: new Sorted(),
    cancelled: new Sorted(),
    dead: new Sorted()
  }
  /** Those that are blocked, by the reason. */
  readonly blocked = new Named()
}

export class Catalogue {
  /** All rows in the order of their enqueue. */
  readonly order = new Log()
  /** Whether what was enqueued later has a later instant: the clock was not set back. */
  isInTime = true
  readonly ofJob = new Map<string, Log>()
  readonly deadOf = new Named()
  readonly deadFor = new Named()
  readonly withError = new Named()
  readonly withLabel = new Named()
  readonly ofFlow = new Named()
  readonly childrenOf = new Named()

  add(row: Row): void {
    const { tag } = row.spec
    if (row.enqueuedAt < (this.order.last?.enqueuedAt ?? -Infinity)) this.isInTime = false
    this.order.push(row)
    row.queue.lists.all.push(row)
    let ofJob = this.ofJob.get(tag)
    if (ofJob === undefined) this.ofJob.set(tag, ofJob = new Log())
    ofJob.push(row)
    this.addContents(row)
  }

  /** What a row died of is to be known before it is dead, and for as long. */
  moved(row: Row, from: State, to: State): void {
    const { states } = row.queue.lists
    states[from]?.remove(row)
    states[to]?.add(row)
    if (from === "dead") this.removeDead(row)
    else if (to === "dead") this.addDead(row)
    if (row.more !== undefined) this.noteError(row)
  }

  /** What a blocked row waits for is another thing, or nothing any more. */
  blocked(row: Row, was: BlockedReason | undefined, now: BlockedReason | undefined): void {
    const { blocked } = row.queue.lists
    if (was !== undefined) blocked.remove(was, row)
    if (now !== undefined) blocked.add(now, row)
  }

  /** Puts a row where its contents say; also after `removeContents`, when they have changed. */
  addContents(row: Row): void {
    const { flowId, parent, tags } = row.spec
    for (let i = 0; i < tags.length; i++) this.withLabel.add(tags[i]!, row)
    if (flowId !== undefined) this.ofFlow.add(flowId, row)
    if (parent !== undefined) this.childrenOf.add(parent, row)
  }

  removeContents(row: Row): void {
    const { flowId, parent, tags } = row.spec
    for (let i = 0; i < tags.length; i++) this.withLabel.remove(tags[i]!, row)
    if (flowId !== undefined) this.ofFlow.remove(flowId, row)
    if (parent !== undefined) this.childrenOf.remove(parent, row)
  }

  /** A row is gone, as `isGone` says already. */
  remove(row: Row): void {
    const { more, queue: { lists } } = row
    lists.states[row.state]?.remove(row)
    this.removeContents(row)
    if (row.state === "dead") this.removeDead(row)
    if (more?.errorTag !== undefined) this.withError.remove(more.errorTag, row)
    this.order.lose()
    lists.all.lose()
    this.ofJob.get(row.spec.tag)!.lose()
  }

  private addDead(row: Row): void {
    this.deadOf.add(row.spec.tag, row)
    if (row.more?.deadReason !== undefined) this.deadFor.add(row.more.deadReason, row)
  }

  private removeDead(row: Row): void {
    this.deadOf.remove(row.spec.tag, row)
    if (row.more?.deadReason !== undefined) this.deadFor.remove(row.more.deadReason, row)
  }

  /** Its last failure may be another one, or forgotten. */
  private noteError(row: Row): void {
    const more = row.more!
    const tag = more.failures.at(-1)?.tag
    if (tag === more.errorTag) return
    if (more.errorTag !== undefined) this.withError.remove(more.errorTag, row)
    if (tag !== undefined) this.withError.add(tag, row)
    more.errorTag = tag
  }
}
