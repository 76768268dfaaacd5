/**
 * Who listens beside one queue, by what its last exchange asked for, and which of them has a timer for what starts later.
 *
 * One timer is enough: whoever has it calls the next one where it has no room by then. With a timer each, a record that falls
 * due takes two exchanges of everybody who sleeps: 2,001 with 1,000 workers, and so it takes 3 (`npm run simulate -- --workers`).
 */
import * as Queue from "effect/Queue"

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

const everybody = () => true

/** Who is in none of these knows that there is more. */
export class Beside {
  /** Has not asked for records yet: it is told of everything. */
  readonly fresh = new Set<Member>()
  /** Found less than it asked for, and how many more it could take. Who has slept longest comes first. */
  readonly asleep = new Map<Member, number>()
  /** Was woken and has not exchanged since, and how many more it could take. */
  readonly called = new Map<Member, number>()
  /** Got all that it had room for, and was not told that there is more. */
  readonly full = new Set<Member>()
  /** It exchanges at this instant, whatever its room is then: it is asleep or full, or knows that there is more. */
  private watcher: Member | undefined = undefined
  private watchesFor = Infinity

  forget(member: Member): void {
    this.fresh.delete(member)
    this.asleep.delete(member)
    this.called.delete(member)
    this.full.delete(member)
  }

  wakeFresh(): void {
    for (const member of this.fresh) member.wake()
  }

  call(member: Member, room: number): void {
    this.asleep.delete(member)
    this.called.set(member, room)
    member.wake()
  }

  /** Who has slept longest of those for whom there is something; else whoever has no room knows that there is. */
  callOne(isFor: (member: Member) => boolean): void {
    for (const [member, room] of this.asleep) if (isFor(member)) return this.call(member, room)
    this.tellFull()
  }

  tellFull(): void {
    const told = [...this.full]
    this.full.clear()
    for (const member of told) member.wake()
  }

  /** Whether somebody looks at this instant, or earlier. */
  isWatched(at: number): boolean {
    return this.called.size > 0 || this.watchesFor <= at
  }

  watch(member: Member | undefined, at: number): void {
    this.watcher = member
    this.watchesFor = at
  }

  /** The timer of a member is no more, or only what of it is over by now. */
  unwatch(member: Member, now = Infinity): void {
    if (this.watcher !== member || this.watchesFor > now) return
    this.watch(undefined, Infinity)
  }

  /** Something starts at this instant. Where nobody looks by then one is called and has the timer from now on, the watcher first. */
  foresee(at: number): void {
    if (this.isWatched(at)) return
    const { watcher } = this
    const room = watcher === undefined ? undefined : this.asleep.get(watcher)
    if (room === undefined) this.callOne(everybody)
    else this.call(watcher!, room)
  }
}
