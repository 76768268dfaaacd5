/**
 * All that a memory store holds, and the few moves that every verb is made of.
 *
 * Each verb is one synchronous function over this state, so it is atomic: no fiber sees half of it. The only clock is the
 * `now` that a verb is given.
 */
import { type BlockedReason, isFinal, type JobId, type State } from "../../JobRecord.ts"
import type { NewRecord, RecordEvent, ScheduleRow, StoreEvent, UniqueClaim, WorkerProcess } from "../../JobStore.ts"
import { allows, type Event } from "../../Lifecycle.ts"
import { Agenda } from "./agenda.ts"
import { Catalogue } from "./catalogue.ts"
import { Deque } from "./deque.ts"
import { ended, forgetChildren } from "./edges.ts"
import { fill, Limits, watch } from "./limits.ts"
import { Listening, listens } from "./listening.ts"
import { fairFrom, QueueState } from "./queue.ts"
import { dueAt, type Row, type Spec } from "./row.ts"
import { forgetSteps } from "./write.ts"

/** A worker as the store knows it. */
export class WorkerState {
  readonly id: string
  /** How long a lease is, in milliseconds. */
  lease = 0
  leaseUntil = 0
  queues: ReadonlyArray<string> = []
  process: WorkerProcess | undefined
  /** The newest payload version that it runs, by tag. */
  handles: ReadonlyMap<string, number> = new Map()
  /** By id: a settlement finds its row here, in a small map that the processor has at hand. */
  readonly held = new Map<string, Row>()
  /** How many of the held rows have crashed a worker before. */
  suspects = 0
  /** Held rows whose cancel request it has not been told. */
  cancel: Array<Row> = []

  constructor(id: string) {
    this.id = id
  }
}

/** The rows of one job that finished alike and are kept by the same rule, oldest first. */
class Shelf {
  readonly state: State
  readonly age: number
  readonly count: number
  readonly rows = new Deque()

  constructor(state: State, age: number, count: number) {
    this.state = state
    this.age = age
    this.count = count
  }
}

/** Who holds a unique key, and until when a window keeps it. */
interface UniqueHolder {
  readonly row: Row
  readonly until: number | undefined
}

export interface Hints {
  /** A record of the queue became ready: somebody is to look. */
  readonly ready: (queue: QueueState) => void
  /** A record of the queue is due at this instant, earlier than all others: somebody is to look then. */
  readonly later: (queue: QueueState, at: number) => void
  /** A key holds back none of its records from this instant on, earlier than all others. */
  readonly keyLater: (at: number) => void
  /** Whoever serves the queue is to look. */
  readonly work: (queue: string) => void
  readonly worker: (worker: string) => void
  readonly all: () => void
  /** Whether a worker waits for wake-ups. */
  readonly isAwaiting: (worker: string) => boolean
  /** Whether anybody listens to events: nothing is allocated for nobody. */
  readonly heard: boolean
  readonly event: (event: StoreEvent) => void
}

const none: ReadonlyArray<never> = []

/** What is remembered of a row that is removed. */
interface Gone {
  /** That of its last settlement, which is known so when it is sent again (P13). */
  readonly fence: number | undefined
  readonly by: "Operator" | "Retention"
}

/** How many removed rows are remembered. */
const keptGone = 10_000

export const scoped = (tag: string, key: string): string => `${tag}\u0000${key}`

const isAlike = (a: Spec, b: NewRecord): boolean =>
  a.version === b.version && a.queue === b.queue && a.priority === b.priority && a.delay === b.delay &&
  a.runAt === b.runAt && a.startBefore === b.startBefore && a.retention === b.retention &&
  a.sensitive === b.sensitive && a.tags === b.tags && a.headers === b.headers && a.rateKey === b.rateKey &&
  a.batchKey === b.batchKey && a.partitionKey === b.partitionKey && a.flowId === b.flowId && a.parent === b.parent &&
  a.followed === b.followed

export class MemoryState {
  readonly maxCrashes: number
  readonly maxFinished: number
  readonly hints: Hints
  readonly rows = new Map<string, Row>()
  readonly catalogue = new Catalogue()
  readonly queues = new Map<string, QueueState>()
  readonly workers = new Map<string, WorkerState>()
  readonly limits = new Limits()
  readonly unique = new Map<string, UniqueHolder>()
  readonly idempotent = new Map<string, Row>()
  readonly listening = new Listening()
  readonly parked = new Map<string, Set<Row>>()
  /** One for each rule that a job has had in this process: a few, which stay. */
  readonly shelves: Array<Shelf> = []
  private readonly shelvesOf = new Map<string, Array<Shelf>>()
  readonly schedules = new Map<string, ScheduleRow>()
  /** By tag: what the last records of a job share. */
  private readonly specs = new Map<string, Spec>()
  /** Waiting rows that are dead unless they start in time. */
  readonly expiring = new Agenda()
  /** The last rows that are gone. */
  readonly gone = new Map<string, Gone>()
  private readonly lastGone: Array<JobId> = []
  private nextGone = 0
  /** Rows that have ended and of which those who wait for them are still to be told. */
  ended: Array<Row> = []
  finished = 0
  /** No later than the next instant at which `maintain` has work. */
  maintainAt = Infinity
  private nextSeq = 0
  private nextPlace = 0

  constructor(options: { readonly maxCrashes: number; readonly maxFinished: number; readonly hints: Hints }) {
    this.maxCrashes = options.maxCrashes
    this.maxFinished = options.maxFinished
    this.hints = options.hints
  }

  queue(name: string): QueueState {
    let queue = this.queues.get(name)
    if (queue === undefined) this.queues.set(name, queue = new QueueState(name))
    return queue
  }

  worker(id: string): WorkerState {
    let worker = this.workers.get(id)
    if (worker === undefined) this.workers.set(id, worker = new WorkerState(id))
    return worker
  }

  /**
   * Until when a worker counts as there. One that holds nothing and waits for wake-ups is in this process, and has nothing to renew
   * its lease for.
   */
  leaseOf({ held, id, lease, leaseUntil }: WorkerState, now: number): number {
    return held.size === 0 && this.hints.isAwaiting(id) ? Math.max(leaseUntil, now + lease) : leaseUntil
  }

  /** What a record has in common with the one of its job before it, where that is all but its id and its payload. */
  shared(record: NewRecord): Spec {
    const { concurrency, dependencies, dependents, idempotencyKey, tag, unique } = record
    if (
      unique !== undefined || concurrency !== undefined || idempotencyKey !== undefined || dependencies !== undefined ||
      dependents !== undefined || listens(record)
    ) {
      return record
    }
    const last = this.specs.get(tag)
    if (last !== undefined && isAlike(last, record)) return last
    const spec: Spec = { ...record, payload: "" } as Spec
    this.specs.set(tag, spec)
    return spec
  }

  seq(): number {
    return this.nextSeq++
  }

  /** `maintain` has work at this instant, or earlier. */
  foresee(at: number): void {
    if (at >= this.maintainAt) return
    this.maintainAt = at
    // Whoever it was that caused it may be dead by then: a worker that sleeps must know of it too.
    this.hints.all()
  }

  tell(type: RecordEvent["type"], row: Row, now: number, reason?: string, snoozed?: true): void {
    if (!this.hints.heard) return
    this.hints.event({
      type,
      id: row.id,
      tag: row.spec.tag,
      queue: row.queue.name,
      at: now,
      attempt: row.attempt,
      reason,
      snoozed,
      readyAt: type === "started" ? row.readyAt : undefined
    })
  }

  /** A new row. It is blocked until it is moved: whoever lets it stay so says for what. */
  add(row: Row): void {
    this.rows.set(row.id, row)
    row.queue.counts.blocked++
    this.catalogue.add(row)
  }

  /** Takes a row out of wherever it waits and moves it to another state, as the table allows. */
  move(row: Row, event: Event, to: State): void {
    if (!allows(event, row.state, to)) throw new Error(`record ${row.id} cannot ${event} from ${row.state} to ${to}`)
    if (row.home !== undefined) row.home.remove(row)
    if (row.state === "blocked") this.unpark(row)
    if (row.spec.startBefore !== undefined && (to === "running" || isFinal(to))) this.expiring.remove(row)
    row.queue.counts[row.state]--
    row.queue.counts[to]++
    this.catalogue.moved(row, row.state, to)
    if (row.state === "running" && row.queue.limit !== undefined) this.hints.work(row.queue.name)
    row.state = to
  }

  private unpark(row: Row): void {
    const more = row.more
    if (more?.blocked === undefined) return
    this.catalogue.blocked(row, more.blocked, undefined)
    if (more.blocked === "NoHandler" || more.blocked === "NewerPayload") {
      this.parked.get(row.spec.tag)?.delete(row)
      row.queue.parked--
    }
    more.blocked = undefined
    more.blockedOn = undefined
  }

  block(row: Row, event: Event, reason: BlockedReason, on?: string): void {
    this.move(row, event, "blocked")
    this.waitFor(row, reason, on)
  }

  /** What a blocked row waits for. */
  waitFor(row: Row, reason: BlockedReason, on?: string): void {
    const more = row.grow()
    this.catalogue.blocked(row, more.blocked, reason)
    more.blocked = reason
    more.blockedOn = on
  }

  /** A row goes on at this instant; a blocked one, when nothing else lets it before. */
  wakeAt(row: Row, at: number): void {
    row.at = at
    row.queue.due.push(row)
    if (row.queue.due.peek() === row) this.hints.later(row.queue, at)
  }

  /** Lets a row run at an instant: scheduled when that is to come, else ready with a new place. */
  run(row: Row, event: Event, now: number, dueAt: number): void {
    if (dueAt > now) {
      this.freeSlot(row, now)
      this.move(row, event, "scheduled")
      this.wakeAt(row, dueAt)
    } else {
      row.place = this.placeOf(row)
      row.readyAt = row.state === "scheduled" ? Math.min(row.at, now) : now
      this.admit(row, event, now)
    }
  }

  /** When it became ready, as a rank; where its limit is fair, the turn of its key. */
  private placeOf(row: Row): number {
    const concurrency = row.spec.concurrency
    if (concurrency !== undefined && this.limits.isFair(concurrency.key)) {
      return fairFrom + row.queue.turns.next(concurrency.key)
    }
    return ++this.nextPlace
  }

  /** Makes a row ready at the place that it has, or blocked while its key does not let it start. */
  admit(row: Row, event: Event, now: number): void {
    const concurrency = row.spec.concurrency
    if (concurrency !== undefined) {
      const key = this.limits.key(concurrency.key, now)
      key.stamped = concurrency.limit
      if (!row.admitted && !key.admits(now)) {
        this.block(row, event, "ConcurrencyKey", concurrency.key)
        key.waiting.push(row)
        return watch(this, key, now)
      }
      if (!row.admitted) key.used++
      if (!row.admitted || row.state !== "ready") key.ready++
      row.admitted = true
    }
    this.move(row, event, "ready")
    row.at = now
    row.queue.push(row)
    this.hints.ready(row.queue)
  }

  /** New contents of a waiting row, and when it is due. A ready row keeps its place unless it is to run later. */
  edit(row: Row, spec: Spec, dueAt: number, now: number): void {
    if (row.spec.concurrency?.key !== spec.concurrency?.key) this.freeSlot(row, now)
    this.listening.remove(row)
    this.catalogue.removeContents(row)
    row.spec = { ...spec, runAt: dueAt, delay: 0 }
    this.catalogue.addContents(row)
    row.fence++
    this.listening.add(row)
    this.watchExpiry(row)
    if (row.state === "blocked" && row.more?.blocked !== "ConcurrencyKey") {
      // What it waits for decides when it runs. A worker that sleeps may have the version of the new contents.
      this.hints.work(row.queue.name)
    } else if (dueAt > now || row.state === "scheduled") this.run(row, "edit", now, dueAt)
    else this.admit(row, "edit", now)
  }

  /** Watches that a waiting row starts in time, from whenever that instant changes until it starts or ends. */
  watchExpiry(row: Row): void {
    const at = row.untouched ? row.expiresAt : undefined
    if (at === undefined) return this.expiring.remove(row)
    this.expiring.set(row, at)
    this.foresee(at)
  }

  /** Gives the slot of a row's key to the next row that waits for it. */
  freeSlot(row: Row, now: number): void {
    if (!row.admitted) return
    row.admitted = false
    const key = this.limits.key(row.spec.concurrency!.key, now)
    key.used--
    if (row.state === "ready") key.ready--
    fill(this, key, now)
  }

  /**
   * Who holds a unique key now.
   *
   * With `until: "started"` it is the record that waits. One that was claimed and is given back unstarted has its key
   * again, unless an enqueue took it meanwhile: both were acknowledged, so both wait then, and the later one has the key.
   * The promise is that no enqueue adds a record while the holder waits, not that two never wait.
   */
  holder(tag: string, claim: UniqueClaim, now: number): Row | undefined {
    const held = this.unique.get(scoped(tag, claim.key))
    if (held === undefined) return undefined
    const { row, until } = held
    if (until !== undefined) return now < until ? row : undefined
    if (row.spec.unique?.until === "started") return row.waits ? row : undefined
    return isFinal(row.state) ? undefined : row
  }

  /** Gives a row its unique key. A window counts from here. */
  hold(row: Row, now: number): void {
    const claim = row.spec.unique
    if (claim === undefined) return
    const from = claim.onConflict === "trailing" ? Math.max(now, dueAt(row)) : now
    const until = typeof claim.until === "object" ? from + claim.until.windowMillis : undefined
    this.unique.set(scoped(row.spec.tag, claim.key), { row, until })
  }

  /** Until when a window keeps the key of a row that has it. */
  heldUntil(row: Row): number | undefined {
    return this.unique.get(scoped(row.spec.tag, row.spec.unique!.key))?.until
  }

  /** Frees the unique key of a row, if it still has it. */
  freeUnique(row: Row): void {
    const claim = row.spec.unique
    if (claim === undefined) return
    const key = scoped(row.spec.tag, claim.key)
    if (this.unique.get(key)?.row === row) this.unique.delete(key)
  }

  /** The row that waits for the end of this one: one that was cancelled, deleted or has expired meanwhile does not. */
  successorOf(row: Row): Row | undefined {
    const successor = row.more?.successor
    return successor?.state === "blocked" && successor.more?.blocked === "Unique" ? successor : undefined
  }

  /** Lets the successor of a row go on, with the key unless a third one has it: the window of this one may be over. */
  private releaseSuccessor(row: Row, now: number): void {
    const successor = this.successorOf(row)
    if (successor === undefined) return
    row.more!.successor = undefined
    const { delay, runAt, tag, unique } = successor.spec
    const holder = this.holder(tag, unique!, now)
    if (holder === undefined || holder === row) this.hold(successor, now)
    const more = successor.more!
    if (more.pending === 0) return this.run(successor, "unblock", now, runAt ?? successor.enqueuedAt + delay)
    this.waitFor(successor, "Dependencies")
  }

  /** Ends a row's life, and lets go on who waited for the end. */
  finish(row: Row, event: Event, to: "completed" | "cancelled" | "dead", now: number, reason?: string): void {
    this.freeSlot(row, now)
    this.move(row, event, to)
    row.at = now
    if (listens(row.spec)) this.listening.remove(row)
    if (row.spec.unique !== undefined) {
      // A window outlives a completed record; cancelled and dead ones free their key at once.
      if (to !== "completed" || typeof row.spec.unique.until !== "object") this.freeUnique(row)
      this.releaseSuccessor(row, now)
    }
    this.shelve(row, to)
    this.tell(to, row, now, reason)
    ended(this, row, now)
  }

  /** A final row begins a new life, with a fresh budget of attempts. It waits for what of its dependencies has not ended. */
  begin(row: Row, now: number): void {
    this.finished--
    const more = row.grow()
    forgetSteps(row)
    row.attempt = 0
    row.begun = false
    row.begunAt = -1
    row.crashes = 0
    more.failures = none
    more.result = undefined
    more.cancelReason = undefined
    more.progress = undefined
    // Its start is asked for by hand: neither its old due instant nor its old expiry holds any more.
    row.spec = { ...row.spec, delay: 0, runAt: undefined, startBefore: undefined }
    this.hold(row, now)
    this.listening.add(row)
    forgetChildren(row)
    if (more.pending > 0) this.block(row, "replay", "Dependencies")
    else this.run(row, "replay", now, now)
    // Only now: it has left the list of those that died of the same.
    more.deadReason = undefined
  }

  private shelve(row: Row, to: "completed" | "cancelled" | "dead"): void {
    const { age, count } = row.spec.retention[to]
    const shelf = this.shelf(row.spec.tag, to, age, count)
    shelf.rows.push(row)
    this.finished++
    if (shelf.rows.size > count || this.finished > this.maxFinished) this.foresee(row.at)
    else this.foresee(row.at + age)
  }

  private shelf(tag: string, to: State, age: number, count: number): Shelf {
    let shelves = this.shelvesOf.get(tag)
    if (shelves === undefined) this.shelvesOf.set(tag, shelves = [])
    for (const shelf of shelves) {
      if (shelf.state === to && shelf.age === age && shelf.count === count) return shelf
    }
    const shelf = new Shelf(to, age, count)
    shelves.push(shelf)
    this.shelves.push(shelf)
    return shelf
  }

  /** The finished rows of one state. */
  *finishedOf(state: State): Iterable<Row> {
    for (const shelf of this.shelves) if (shelf.state === state) yield* shelf.rows
  }

  /** Forgets a row. */
  remove(row: Row, now: number, by: Gone["by"]): void {
    this.freeSlot(row, now)
    if (row.home !== undefined) row.home.remove(row)
    if (row.state === "blocked") this.unpark(row)
    if (row.spec.startBefore !== undefined) this.expiring.remove(row)
    row.queue.counts[row.state]--
    if (isFinal(row.state)) this.finished--
    this.listening.remove(row)
    if (row.spec.unique !== undefined) {
      this.freeUnique(row)
      this.releaseSuccessor(row, now)
    }
    this.forgetKeys(row)
    this.rows.delete(row.id)
    row.isGone = true
    this.catalogue.remove(row)
    this.remember(row.id, { fence: row.settledFence > 0 ? row.settledFence : undefined, by })
    ended(this, row, now)
    this.tell("deleted", row, now)
  }

  private forgetKeys(row: Row): void {
    const { idempotencyKey, tag } = row.spec
    if (idempotencyKey !== undefined) this.idempotent.delete(scoped(tag, idempotencyKey))
    for (const key of row.more?.keys ?? none) this.idempotent.delete(scoped(tag, key))
  }

  /** A ring of ids beside the map: finding a map's oldest key passes over all that were deleted before it. */
  private remember(id: JobId, gone: Gone): void {
    const oldest = this.lastGone[this.nextGone]
    if (oldest !== undefined) this.gone.delete(oldest)
    this.lastGone[this.nextGone] = id
    this.nextGone = (this.nextGone + 1) % keptGone
    this.gone.set(id, gone)
  }
}
