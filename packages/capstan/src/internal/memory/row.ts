/**
 * A record as the memory store holds it: what it was enqueued with, beside what changes.
 *
 * What only some records have is kept in `more`, so that a waiting record of the common kind stays small.
 */
import {
  type Attempt,
  type BlockedReason,
  type DeadReason,
  type Failure,
  isFinal,
  type JobId,
  type JobRecord,
  type LogLine,
  type State
} from "../../JobRecord.ts"
import type { NewRecord } from "../../JobStore.ts"
import type { Edge } from "./edges.ts"
import type { QueueState } from "./queue.ts"
import type { WorkerState } from "./state.ts"

const none: ReadonlyArray<never> = []

/** What a row, or an entry for one, can be in: in one at a time. */
export interface Home<in T> {
  remove(item: T): void
}

/**
 * What a record has beside its id and its payload. Rows of one job that were enqueued alike share it: it is a third of
 * what a waiting record takes, and what stays is what the garbage collector copies.
 */
export type Spec = Omit<NewRecord, "id" | "payload">

/** What only some rows have. */
export class More {
  result: string | undefined = undefined
  failures: ReadonlyArray<Failure> = none
  /** That by which it is found: of its last failure, as of its last move. */
  errorTag: string | undefined = undefined
  attempts: ReadonlyArray<Attempt> = none
  logs: ReadonlyArray<LogLine> = none
  progress: string | undefined = undefined
  blocked: BlockedReason | undefined = undefined
  blockedOn: string | undefined = undefined
  deadReason: DeadReason | undefined = undefined
  cancelReason: string | undefined = undefined
  checkpoints: Record<string, string> | undefined = undefined
  /** One of its steps can be undone. */
  undo = false
  /** Of the records that it waits for, or has waited for. */
  waitsFor: Array<Edge> | undefined = undefined
  /** How many of these are open. */
  pending = 0
  /** Of those that wait for this one, or have waited. */
  awaitedBy: Array<Edge> | undefined = undefined
  /** The row that waits, blocked for `Unique`, until this one has ended; see `MemoryState.successorOf`. */
  successor: Row | undefined = undefined
  /** Idempotency keys beside that of its contents: of calls whose contents were replaced, or that only moved it. */
  keys: Array<string> | undefined = undefined
}

export class Row {
  readonly id: JobId
  payload: string
  spec: Spec
  readonly seq: number
  readonly queue: QueueState
  readonly enqueuedAt: number
  state: State = "blocked"
  priority: number
  attempt = 0
  fence = 0
  /** The fence of the last attempt that settled, so that its settlement sent again is known. */
  settledFence = 0
  crashes = 0
  /** Its turn within its priority: when it became ready, as a rank. Kept by a release and a rescue. */
  place = 0
  /** The instant that goes with its state: due, became ready, claimed, finished. */
  at = 0
  worker: WorkerState | undefined = undefined
  home: Home<Row> | undefined = undefined
  index = -1
  /** An attempt of its present life has ended otherwise than unstarted. */
  begun = false
  /** Two instants in two fields, which mean another two once `ranBy` is set: see `begunAt`, `readyAt` and `ran`. */
  private firstAt = -1
  private secondAt = 0
  private ranBy: string | undefined = undefined
  /** It holds a slot of its concurrency key. */
  admitted = false
  more: More | undefined = undefined
  /** It is removed. */
  isGone = false

  constructor({ id, payload }: NewRecord, spec: Spec, queue: QueueState, seq: number, now: number) {
    this.id = id
    this.payload = payload
    this.spec = spec
    this.queue = queue
    this.seq = seq
    this.enqueuedAt = now
    this.priority = spec.priority
  }

  /** When the first attempt of its present life was claimed, of those that were not given back; -1 before. Unknown of a row that `ran`. */
  get begunAt(): number {
    return this.firstAt
  }

  set begunAt(at: number) {
    this.firstAt = at
  }

  /** When it became ready. Unknown of a row that `ran`. */
  get readyAt(): number {
    return this.secondAt
  }

  set readyAt(at: number) {
    this.secondAt = at
  }

  /**
   * All of its history is one attempt that completed: that of most rows. An old row that points to a young object costs
   * the garbage collector as much as the attempt costs us, so this history takes the place of two instants that a
   * completed row has no use for.
   */
  ran(worker: string, startedAt: number, endedAt: number): void {
    this.ranBy = worker
    this.firstAt = startedAt
    this.secondAt = endedAt
  }

  /** Makes room for what only some rows have. */
  grow(): More {
    if (this.more !== undefined) return this.more
    const { attempts } = this
    const more = new More()
    more.attempts = attempts
    this.ranBy = undefined
    return this.more = more
  }

  get attempts(): ReadonlyArray<Attempt> {
    if (this.more !== undefined) return this.more.attempts
    if (this.ranBy === undefined) return none
    return [{
      attempt: this.attempt,
      worker: this.ranBy,
      startedAt: this.firstAt,
      endedAt: this.secondAt,
      decision: "completed"
    }]
  }

  /** No attempt of its present life has begun, or it was given back before it did. */
  get untouched(): boolean {
    return this.attempt === 0 && !this.begun
  }

  get finished(): boolean {
    return isFinal(this.state)
  }

  /** It waits for its first start. */
  get waits(): boolean {
    return this.untouched && this.state !== "running" && !isFinal(this.state)
  }

  /** Nobody may start it any more, when nothing of it has begun by then. */
  get expiresAt(): number | undefined {
    const { delay, runAt, startBefore } = this.spec
    return startBefore === undefined ? undefined : (runAt ?? this.enqueuedAt + delay) + startBefore
  }
}

/** When it was to run, as it was enqueued or put off. */
export const dueAt = ({ enqueuedAt, spec }: Row): number => spec.runAt ?? enqueuedAt + spec.delay

/** A row as a reader sees it. */
export const view = (row: Row): JobRecord => {
  const { more, spec } = row
  return {
    id: row.id,
    tag: spec.tag,
    version: spec.version,
    queue: spec.queue,
    priority: row.priority,
    state: row.state,
    payload: row.payload,
    result: more?.result,
    attempt: row.attempt,
    fence: row.fence,
    crashes: row.crashes,
    enqueuedAt: row.enqueuedAt,
    dueAt: row.state === "scheduled" || row.state === "blocked" && row.home === row.queue.due ? row.at : undefined,
    claimedAt: row.state === "running" ? row.at : undefined,
    worker: row.worker?.id,
    finishedAt: row.state === "completed" || row.state === "cancelled" || row.state === "dead" ? row.at : undefined,
    expiresAt: row.untouched ? row.expiresAt : undefined,
    blocked: row.state === "blocked" && more?.blocked !== undefined
      ? { reason: more.blocked, on: more.blockedOn }
      : undefined,
    deadReason: row.state === "dead" ? more?.deadReason : undefined,
    cancelRequested: more?.cancelReason,
    progress: more?.progress,
    failures: more?.failures ?? none,
    attempts: row.attempts,
    logs: more?.logs ?? none,
    tags: spec.tags,
    headers: spec.headers,
    idempotencyKey: spec.idempotencyKey,
    uniqueKey: spec.unique?.key,
    concurrencyKey: spec.concurrency?.key,
    rateKey: spec.rateKey,
    batchKey: spec.batchKey,
    flowId: spec.flowId,
    parent: spec.parent,
    sensitive: spec.sensitive
  }
}
