/** Waits until something is so that others bring about, each of whom says when it has done its part. */
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"

export class Until {
  private readonly waiting = new Map<Latch.Latch, () => boolean>()

  /** Asks at once, and whenever somebody has done something. */
  isSo(condition: () => boolean): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (condition()) return Effect.void
      const latch = Latch.makeUnsafe(false)
      this.waiting.set(latch, condition)
      return Effect.ensuring(latch.await, Effect.sync(() => this.waiting.delete(latch)))
    })
  }

  /** Somebody has done something. */
  ask(): void {
    for (const [latch, condition] of this.waiting) if (condition()) latch.openUnsafe()
  }
}
