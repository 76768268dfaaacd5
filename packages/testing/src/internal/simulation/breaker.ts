/**
 * A circuit breaker. After so many failures in a row nothing of the key starts for a while, and then one at a time until one
 * has succeeded.
 *
 * Told from records, of which several may have ended since they were looked at: what may be in either order is taken for the one
 * that proves nothing.
 */
import { Job, JobLimit, type JobRecord } from "capstan"
import type { Choices } from "./choices.ts"
import { isStart } from "./events.ts"
import type { Feature } from "./features.ts"
import { common } from "./jobs.ts"
import type { World } from "./world.ts"

const consecutive = 3
const openMillis = 1500
const Breaker = JobLimit.make("fragile", { breaker: { consecutive, openDuration: openMillis } })

export class Fragile extends Job.make("Fragile", { ...common, limit: { by: Breaker, key: () => "k" } }) {}

export class CircuitBreaker implements Feature {
  private readonly world: World
  /** Failures in a row, at least and at most. */
  private failures = 0
  private atMost = 0
  private openedAt = 0
  /** Nothing starts from when it opened until then, for sure. */
  private openUntil = 0
  /** It may be open until then. */
  private maybeOpenUntil = 0
  /** What has happened since the last look did so at that time, or later. */
  private lookedAt = 0
  private completed = 0
  private failed = 0
  private unclear = 0
  private started: Array<JobRecord.JobRecord> = []
  private readonly running = new Map<string, JobRecord.JobRecord>()

  constructor(world: World) {
    this.world = world
  }

  act(choices: Choices) {
    if (!choices.chance(0.02)) return undefined
    const failures = choices.pick([0, 1, 2])
    const payloads = Array.from({ length: choices.between(2, 5) }, () => ({
      millis: choices.between(50, 1000),
      failures
    }))
    return this.world.acknowledge(Fragile.enqueueMany(payloads))
  }

  see(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord): void {
    if (is.tag !== Fragile._tag) return
    if (isStart(was, is)) this.started.push(is)
    if (is.state === "running") this.running.set(is.id, is)
    else this.running.delete(is.id)
    if (was === undefined || is.attempts.length === was.attempts.length) return
    for (const { decision, failure } of is.attempts.slice(was.attempts.length)) {
      if (decision === "completed") this.completed++
      else if (decision === "retried" && is.attempt === was.attempt || decision === "dead") this.failed++
      // The store was away, or its cancellation was asked for meanwhile.
      else if (decision === "retried" || decision === "cancelled" && failure !== undefined) this.unclear++
    }
  }

  look(_: unknown, step: string, askedAt: number): void {
    const now = this.world.now()
    this.starts(step)
    if (this.completed + this.failed + this.unclear > 0) this.ends(now)
    // The store counts whole milliseconds.
    this.lookedAt = Math.floor(askedAt)
    this.started = []
    this.completed = this.failed = this.unclear = 0
  }

  private starts(step: string): void {
    if (this.failures < consecutive) return
    for (const { claimedAt, id } of this.started) {
      const at = claimedAt!
      if (at > this.openedAt && at < this.openUntil) {
        this.world.violate(`${step}: ${id} starts, and the circuit of its key is open until ${this.openUntil}`)
      }
    }
    if (this.started.length > 0 && this.completed === 0 && this.running.size > 1) {
      this.world.violate(`${step}: ${this.running.size} records run while one may probe`)
    }
  }

  private ends(now: number): void {
    const { completed, failed, failures } = this
    // What ends while it is open counts for nothing.
    if (now < this.openUntil) return
    const isClosed = this.lookedAt >= this.maybeOpenUntil
    const wasOpen = failures >= consecutive
    const perhaps = failed + this.unclear
    this.atMost = completed > 0 && isClosed ? perhaps : this.atMost + perhaps
    if (completed > 0) {
      this.failures = 0
      if (wasOpen && isClosed && failed === 0) this.world.met("circuit is closed by a probe")
    } else if (isClosed) this.failures += failed
    if (perhaps === 0) return
    if (this.atMost >= consecutive) this.maybeOpenUntil = now + openMillis
    if (this.failures < consecutive || !isClosed || failed === 0) return
    this.world.met(wasOpen ? "circuit is opened by a probe" : "circuit is opened")
    this.openedAt = now
    this.openUntil = this.lookedAt + openMillis
  }
}
