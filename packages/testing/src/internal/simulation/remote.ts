/**
 * A store elsewhere in virtual time: its clock says what the simulation's does, one call at a time reaches it, and time
 * stands still until it has answered. So what takes real time takes none, but for what the seed makes slow.
 */
import type { JobStore } from "capstan"
import { Effect, Scheduler, Semaphore } from "effect"
import type { World } from "./world.ts"

/** A store whose clock the simulation may set. */
export interface Remote {
  /** Empty, and nobody else uses it while the run lasts. */
  readonly store: JobStore.Shape
  /** Makes the store's clock say this instant, in epoch milliseconds. */
  readonly setClock: (now: number) => Effect.Effect<void>
}

/** How many turns of the event loop without a call tell that nobody is about to make one. */
const quietTurns = 5

export class Patience {
  private calls = 0
  private readonly world: World
  private readonly remote: Remote
  private readonly semaphore = Semaphore.makeUnsafe(1)
  private told = -1

  constructor(world: World, remote: Remote) {
    this.world = world
    this.remote = remote
  }

  readonly atomically = <A, E>(step: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.acquireUseRelease(
      Effect.sync(() => void this.calls++),
      () => this.semaphore.withPermits(1)(Effect.andThen(this.tell, step)),
      () => Effect.sync(() => void this.calls--)
    )

  private readonly tell: Effect.Effect<void> = Effect.suspend(() => {
    const now = this.world.now()
    if (now === this.told) return Effect.void
    this.told = now
    return this.remote.setClock(now)
  })

  /** Waits until no call is under way and nobody is about to make one. */
  readonly settled: Effect.Effect<void> = Effect.gen({ self: this }, function*() {
    for (let quiet = 0; quiet < quietTurns;) {
      yield* turn
      quiet = this.calls === 0 ? quiet + 1 : 0
    }
  })
}

const eventLoop = new Scheduler.MixedScheduler().makeDispatcher()

/** A turn of the event loop: what the simulation's own scheduler runs never ends one while it has anything to run. */
const turn: Effect.Effect<void> = Effect.callback((resume) => eventLoop.scheduleTask(() => resume(Effect.void), 0))
