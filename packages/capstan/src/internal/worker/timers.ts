/**
 * The instants that one worker goes by, all by the monotonic clock: when its lease is to be renewed and when it has run out,
 * when the next record and the next maintenance are due.
 */
import type * as Clock from "effect/Clock"
import * as Latch from "effect/Latch"
import type { WorkerProcess } from "../../JobStore.ts"

export interface Settings {
  readonly id: string
  /** Milliseconds. */
  readonly lease: number
  readonly exchangeTimeout: number
  readonly pollInterval: number
  readonly shutdownGrace: number
  readonly interruptGrace: number
  readonly process: WorkerProcess
}

export class Timers {
  readonly clock: Clock.Clock
  readonly settings: Settings
  /** Wakes the keeper. */
  readonly keep = Latch.makeUnsafe(false)
  /** Wakes the janitor. */
  readonly clean = Latch.makeUnsafe(false)
  /** When the next record is due, and the next maintenance. */
  dueAt = Infinity
  maintainAt = Infinity
  /** When the store last confirmed that the claims hold: the instant of the request. At first there are none, and the pump registers. */
  confirmedAt: number
  /** When the keeper and the janitor wake next. */
  keeperAt = Infinity
  janitorAt = Infinity

  constructor(clock: Clock.Clock, settings: Settings) {
    this.clock = clock
    this.settings = settings
    this.confirmedAt = this.elapsedNow()
  }

  elapsedNow = (): number => Number(this.clock.monotonicTimeNanosUnsafe()) / 1e6

  /** Makes sure that the keeper looks at this instant, or earlier. */
  poke(at: number): void {
    if (at >= this.keeperAt) return
    this.keeperAt = at
    this.keep.openUnsafe()
  }

  get renewAt(): number {
    return this.confirmedAt + this.settings.lease / 3
  }

  /** From here on the claims count as lost, though the store may know better. */
  get fencedAt(): number {
    return this.confirmedAt + this.settings.lease * 0.8
  }

  /** The store said, in answer to a request of this instant, that the claims hold. */
  confirm(requestedAt: number): void {
    if (requestedAt > this.confirmedAt) this.confirmedAt = requestedAt
  }

  foreseeMaintenance(inMillis: number | undefined): void {
    this.maintainAt = inMillis === undefined ? Infinity : this.elapsedNow() + inMillis
    // Two clocks of whole and of fractional milliseconds disagree by less than this.
    if (this.maintainAt < this.janitorAt - 2) this.clean.openUnsafe()
  }

  /** Maintenance is due then at the latest. */
  foreseeWithin(inMillis: number | undefined): void {
    if (inMillis !== undefined) this.maintainAt = Math.min(this.maintainAt, this.elapsedNow() + inMillis)
  }
}
