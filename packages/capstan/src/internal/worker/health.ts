/**
 * How the worker and its store get on: what its calls came to, verb by verb.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import type { JobStoreError } from "../../JobError.ts"
import * as Log from "../log.ts"
import { isRefusal, type Verb } from "./call.ts"

export type Status = "starting" | "ready" | "degraded" | "stopping" | "stopped"

export class Health {
  private readonly worker: string
  status: Status = "starting"
  lastError: string | undefined
  /** By the store's clock. */
  lastAnswerAt: number | undefined
  /** Wakes who waits for the store to answer. */
  readonly ready = Latch.makeUnsafe(false)
  /** Failed calls in a row. */
  private readonly failures: Record<Verb, number> = { exchange: 0, renew: 0, write: 0, maintain: 0, limits: 0 }

  constructor(worker: string) {
    this.worker = worker
  }

  get stopping(): boolean {
    return this.status === "stopping" || this.status === "stopped"
  }

  succeeded(verb: Verb, storeNow?: number): void {
    if (storeNow !== undefined) this.lastAnswerAt = storeNow
    this.failures[verb] = 0
    this.lastError = undefined
    if (this.stopping || this.status === "ready") return
    this.status = "ready"
    this.ready.openUnsafe()
  }

  /**
   * Notes that a call failed; answers how many of its verb did in a row. Only the first is logged: of all calls while the
   * store is away, of each verb that it refuses.
   */
  failed(verb: Verb, cause: Cause.Cause<JobStoreError>): Effect.Effect<number> {
    return Effect.suspend(() => {
      const failures = ++this.failures[verb]
      const isNews = failures === 1 && (this.status !== "degraded" || isRefusal(cause))
      this.lastError = Cause.pretty(cause)
      if (!this.stopping) this.status = "degraded"
      this.ready.closeUnsafe()
      if (!isNews) return Effect.succeed(failures)
      const what = isRefusal(cause) ? `${verb} failed` : "the store does not answer"
      return Effect.as(
        Log.warning(`worker ${this.worker}: ${what}, it is asked again until it succeeds`, cause),
        failures
      )
    })
  }
}
