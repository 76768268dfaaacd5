/**
 * Who is told what. Neither a wake-up nor an event is lost, and no more workers are woken than a record needs: of those that
 * sleep beside a queue one is called for as many records as it has room for.
 *
 * The rule that nobody sleeps beside work rests on two facts. Who was called answers with an exchange, whatever became of
 * its room, and after each exchange the next one is called while something is left that it could claim. And who had no room
 * to sleep is told once that there is something, before it asks again. What starts later is known to one of them, which exchanges
 * then whatever its room is (`beside.ts`): so the first fact holds for it too.
 *
 * To wake everybody, as it was at first, took 86 exchanges per record with 300 workers at half load, more than half of them
 * for nothing; so it takes 1.4 (`npm run simulate -- --workers`).
 */
import * as Latch from "effect/Latch"
import type { ExchangeReply, ExchangeRequest, StoreEvent } from "../../JobStore.ts"
import { Beside, type Member } from "./beside.ts"
import type { QueueState } from "./queue.ts"
import type { Hints, MemoryState } from "./state.ts"

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
  /** Queues in which something became ready, or is due, while an exchange was at work: it may see to that itself. */
  private readonly meanwhile = new Set<QueueState>()
  /** The same of what keys let start. */
  private areKeysDue = false
  private isExchanging = false
  private exchangedAt = -Infinity

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
    for (const queue of member.queues) {
      this.beside.get(queue)?.forget(member)
      this.beside.get(queue)?.unwatch(member)
    }
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
    beside.wakeFresh()
    for (const [member, room] of beside.called) {
      if (room > 0) return void beside.called.set(member, room - 1)
    }
    for (const [member, room] of beside.asleep) return beside.call(member, room - 1)
    beside.tellFull()
  }

  /** Of what waits for an instant, this is the queue's next. */
  readonly later = (queue: QueueState, at: number): void => {
    if (this.isExchanging) {
      this.meanwhile.add(queue)
      return
    }
    const beside = this.beside.get(queue.name)
    if (beside === undefined || queue.paused) return
    beside.wakeFresh()
    beside.foresee(at)
  }

  /** The same of what keys hold back: whoever exchanges lets it go on, whatever the queue. */
  readonly keyLater = (at: number): void => {
    if (this.isExchanging) {
      this.areKeysDue = true
      return
    }
    for (const beside of this.beside.values()) {
      beside.wakeFresh()
      beside.foresee(at)
    }
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

  readonly isAwaiting = (worker: string): boolean => this.byWorker.has(worker)

  /** An exchange, with what it says of who sleeps. */
  exchange(state: MemoryState, request: ExchangeRequest, now: number, run: () => ExchangeReply): ExchangeReply {
    this.isExchanging = true
    let reply: ExchangeReply
    try {
      reply = run()
    } finally {
      this.isExchanging = false
    }
    if (now < this.exchangedAt) this.beginAnew()
    this.exchangedAt = now
    const members = this.byWorker.get(request.worker)
    if (members !== undefined) {
      for (const member of members) this.note(member, request, reply)
      if (!this.keepsTimer(members, request, reply)) reply = { ...reply, nextDueIn: undefined }
      for (const { queues } of members) for (const name of queues) this.pass(state, state.queues.get(name), now)
    }
    for (const queue of this.meanwhile) {
      this.beside.get(queue.name)?.wakeFresh()
      this.pass(state, queue, now)
    }
    this.meanwhile.clear()
    if (this.areKeysDue) this.passKeys(state, now)
    return reply
  }

  /** The clock was set back: timers that run end too early by it, and nobody may rely on them. */
  private beginAnew(): void {
    for (const beside of this.beside.values()) beside.watch(undefined, Infinity)
    this.all()
  }

  private passKeys(state: MemoryState, now: number): void {
    this.areKeysDue = false
    for (const [name, beside] of this.beside) {
      beside.wakeFresh()
      this.pass(state, state.queues.get(name), now)
    }
  }

  /** Whether a worker is to look when the reply says, since nobody else does. */
  private keepsTimer(
    members: ReadonlySet<Member>,
    { demand }: ExchangeRequest,
    { nextDueIn, now }: ExchangeReply
  ): boolean {
    for (const member of members) {
      for (const name of member.queues) this.beside.get(name)!.unwatch(member, demand.length > 0 ? Infinity : now)
    }
    if (nextDueIn === undefined || demand.length === 0) return true
    let keeps = false
    for (const { queue } of demand) {
      const beside = this.beside.get(queue)
      if (beside?.isWatched(now + nextDueIn)) continue
      keeps = true
      for (const member of members) if (member.queues.has(queue)) beside?.watch(member, now + nextDueIn)
    }
    return keeps
  }

  /** Calls the next one while something is left that it could claim, or to wait for, and nobody is called who would see to that. */
  private pass(state: MemoryState, queue: QueueState | undefined, now: number): void {
    const beside = queue === undefined ? undefined : this.beside.get(queue.name)
    if (queue === undefined || beside === undefined || beside.called.size > 0) return
    if (beside.asleep.size === 0 && beside.full.size === 0 || queue.paused) return
    if (queue.peek(true) !== undefined && (queue.room(now) > 0 || !beside.isWatched(Math.max(now, queue.opensAt())))) {
      beside.callOne((member) => queue.peek(takesSuspects(state, member)) !== undefined)
    }
    beside.foresee(
      Math.max(now, Math.min(queue.due.peek()?.at ?? Infinity, state.limits.agenda.peek()?.at ?? Infinity))
    )
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

/** What crashed a worker is not for one that has such a record already: it would ask in vain, and in turn for ever. */
const takesSuspects = (state: MemoryState, { worker }: Member): boolean =>
  (state.workers.get(worker)?.suspects ?? 0) === 0
