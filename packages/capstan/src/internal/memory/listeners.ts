/**
 * Who is told what. Neither a wake-up nor an event is lost, and no more workers are woken than a record needs: of those that
 * sleep beside a queue one is called for as many records as it has room for.
 *
 * The rule that nobody sleeps beside work rests on two facts. Who was called answers with an exchange, whatever became of
 * its room, and after each exchange the next one is called while something is left that it could claim. And who had no room
 * to sleep is told once that there is something, before it asks again.
 *
 * To wake everybody, as it was at first, took 86 exchanges per record with 300 workers at half load, more than half of them
 * for nothing; so it takes 1.4 (`npm run simulate -- --workers`).
 */
import * as Latch from "effect/Latch"
import * as Queue from "effect/Queue"
import type { ExchangeReply, ExchangeRequest, StoreEvent } from "../../JobStore.ts"
import type { QueueState } from "./queue.ts"
import type { Hints, MemoryState } from "./state.ts"

/** A worker that listens. One pending hint is enough for it: what it says is only "look". */
export class Member {
  readonly worker: string
  readonly queues: ReadonlySet<string>
  readonly queue: Queue.Queue<void>

  constructor(worker: string, queues: ReadonlyArray<string>, queue: Queue.Queue<void>) {
    this.worker = worker
    this.queues = new Set(queues)
    this.queue = queue
  }

  wake(): void {
    Queue.offerUnsafe(this.queue, undefined)
  }
}

/** Who listens beside one queue, by what its last exchange asked for. Who is in none of these knows that there is more. */
class Beside {
  /** Has not asked for records yet: it is told of everything. */
  readonly fresh = new Set<Member>()
  /** Found less than it asked for, and how many more it could take. Who has slept longest comes first. */
  readonly asleep = new Map<Member, number>()
  /** Was woken and has not exchanged since, and how many more it could take. */
  readonly called = new Map<Member, number>()
  /** Got all that it had room for, and was not told that there is more. */
  readonly full = new Set<Member>()

  forget(member: Member): void {
    this.fresh.delete(member)
    this.asleep.delete(member)
    this.called.delete(member)
    this.full.delete(member)
  }
}

/** The events that a reader has not taken yet. */
export class EventBuffer {
  private waiting: Array<StoreEvent> = [{ type: "missed" }]
  readonly filled = Latch.makeUnsafe(true)

  add(event: StoreEvent): void {
    if (this.waiting.length >= keptEvents) this.waiting = [{ type: "missed" }]
    else this.waiting.push(event)
    this.filled.openUnsafe()
  }

  take(): ReadonlyArray<StoreEvent> {
    const taken = this.waiting
    this.waiting = []
    this.filled.closeUnsafe()
    return taken
  }
}

/** A reader that is further behind is told that it missed some. */
const keptEvents = 4096

export class Listeners implements Hints {
  readonly events = new Set<EventBuffer>()
  private readonly members = new Set<Member>()
  private readonly byWorker = new Map<string, Set<Member>>()
  private readonly beside = new Map<string, Beside>()
  /** Queues in which something became ready while an exchange was at work: it may claim that itself. */
  private readonly meanwhile = new Set<QueueState>()
  private isExchanging = false

  add(member: Member): void {
    this.members.add(member)
    const same = this.byWorker.get(member.worker)
    if (same === undefined) this.byWorker.set(member.worker, new Set([member]))
    else same.add(member)
    for (const queue of member.queues) {
      let beside = this.beside.get(queue)
      if (beside === undefined) this.beside.set(queue, beside = new Beside())
      beside.fresh.add(member)
    }
  }

  /** It may have been called, and answers no more. */
  delete(member: Member, state: MemoryState, now: number): void {
    this.members.delete(member)
    const same = this.byWorker.get(member.worker)
    same?.delete(member)
    if (same?.size === 0) this.byWorker.delete(member.worker)
    for (const queue of member.queues) this.beside.get(queue)?.forget(member)
    for (const queue of member.queues) this.pass(state, state.queues.get(queue), now)
  }

  /** Something became ready. */
  readonly ready = (queue: QueueState): void => {
    if (this.isExchanging) {
      this.meanwhile.add(queue)
      return
    }
    const beside = this.beside.get(queue.name)
    if (beside === undefined) return
    for (const member of beside.fresh) member.wake()
    for (const [member, room] of beside.called) {
      if (room > 0) return void beside.called.set(member, room - 1)
    }
    for (const [member, room] of beside.asleep) return call(beside, member, room - 1)
    tell(beside)
  }

  /** Something changed that any of them may have to look at. */
  readonly work = (queue: string): void => {
    for (const member of this.members) if (member.queues.has(queue)) member.wake()
  }

  readonly worker = (worker: string): void => {
    for (const member of this.byWorker.get(worker) ?? []) member.wake()
  }

  readonly all = (): void => {
    for (const member of this.members) member.wake()
  }

  /** An exchange, with what it says of who sleeps. */
  exchange(state: MemoryState, request: ExchangeRequest, now: number, run: () => ExchangeReply): ExchangeReply {
    this.isExchanging = true
    let reply: ExchangeReply
    try {
      reply = run()
    } finally {
      this.isExchanging = false
    }
    for (const member of this.byWorker.get(request.worker) ?? []) {
      this.note(member, request, reply)
      for (const name of member.queues) this.pass(state, state.queues.get(name), now)
    }
    for (const queue of this.meanwhile) {
      for (const member of this.beside.get(queue.name)?.fresh ?? []) member.wake()
      this.pass(state, queue, now)
    }
    this.meanwhile.clear()
    return reply
  }

  /** Calls the next one while something is left that it could claim, and nobody is called who would see to that. */
  private pass(state: MemoryState, queue: QueueState | undefined, now: number): void {
    const beside = queue === undefined ? undefined : this.beside.get(queue.name)
    if (queue === undefined || beside === undefined || beside.called.size > 0) return
    if (beside.asleep.size === 0 && beside.full.size === 0) return
    if (queue.paused || queue.peek(true) === undefined || queue.room(now) <= 0) return
    for (const [member, room] of beside.asleep) {
      // What crashed a worker is not for one that has such a record already: it would ask in vain, and in turn for ever.
      const takesSuspects = (state.workers.get(member.worker)?.suspects ?? 0) === 0
      if (queue.peek(takesSuspects) !== undefined) return call(beside, member, room)
    }
    tell(beside)
  }

  private note(member: Member, { demand, total }: ExchangeRequest, { claimed, more }: ExchangeReply): void {
    for (const queue of member.queues) {
      const beside = this.beside.get(queue)!
      const asked = demand.find((one) => one.queue === queue)
      if (asked === undefined && demand.length === 0) {
        // It has no room at all. Who was woken looks when it has some, who was not is still to be told.
        if (beside.called.has(member)) beside.forget(member)
        else if (beside.asleep.delete(member)) beside.full.add(member)
        continue
      }
      beside.forget(member)
      // Of a queue that was left out it knows nothing, and asks when it has room.
      if (asked === undefined || more.includes(queue)) continue
      let got = 0
      for (const record of claimed) if (record.queue === queue) got++
      const room = Math.min(asked.slots - got, total - claimed.length)
      if (room > 0) beside.asleep.set(member, room)
      else beside.full.add(member)
    }
  }

  get heard(): boolean {
    return this.events.size > 0
  }

  readonly event = (event: StoreEvent): void => {
    for (const buffer of this.events) buffer.add(event)
  }
}

const call = (beside: Beside, member: Member, room: number): void => {
  beside.asleep.delete(member)
  beside.called.set(member, room)
  member.wake()
}

const tell = ({ full }: Beside): void => {
  const told = [...full]
  full.clear()
  for (const member of told) member.wake()
}
