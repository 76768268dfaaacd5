/**
 * Workers that sleep in a process, for its enqueues to take along: what such a worker asks for goes to the store in the same call as
 * the record, and the record starts one round trip after it was enqueued.
 *
 * For who writes a store that lives elsewhere and can store and claim in one call; `@capstan/pg` does.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type { ExchangeRequest, Standing } from "./JobStore.ts"

/**
 * A worker that was taken along.
 *
 * @category models
 * @since 0.1.0
 */
export interface Taken {
  /** It settles nothing. */
  readonly request: ExchangeRequest
  /** Is to be called once, whatever happens. */
  readonly receive: Standing["receive"]
}

/**
 * Those who stand by, by queue. Who has stood longest is taken first.
 *
 * @category models
 * @since 0.1.0
 */
export class StandBy {
  private readonly standing = new Map<string, Set<Standing>>()

  /** A worker stands by for as long as this runs. */
  readonly wait = (standing: Standing): Effect.Effect<never> =>
    Effect.acquireUseRelease(
      Effect.sync(() => this.add(standing)),
      () => Effect.never,
      () => Effect.sync(() => this.remove(standing))
    )

  /** A worker for what is about to be stored in a queue, who stands by no more. */
  take(queue: string): Taken | undefined {
    for (const standing of this.standing.get(queue) ?? []) {
      this.remove(standing)
      const request = standing.take()
      if (request !== undefined) return { request, receive: standing.receive }
    }
    return undefined
  }

  private add(standing: Standing): void {
    for (const queue of standing.queues) {
      const others = this.standing.get(queue)
      if (others === undefined) this.standing.set(queue, new Set([standing]))
      else others.add(standing)
    }
  }

  private remove(standing: Standing): void {
    for (const queue of standing.queues) {
      const others = this.standing.get(queue)
      if (others?.delete(standing) === true && others.size === 0) this.standing.delete(queue)
    }
  }
}
