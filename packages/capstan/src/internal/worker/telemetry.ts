/**
 * What a worker tells of itself: its metrics, and the spans of its settlements.
 */
import type * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Metric from "effect/Metric"
import type { JobStoreError } from "../../JobError.ts"
import type { Decision } from "../../JobRecord.ts"
import type { Claimed, ExchangeReply, ExchangeRequest, MaintainReply, Outcome, Shape as Store } from "../../JobStore.ts"
import { metrics } from "../metrics.ts"
import type { Attempt } from "./attempt.ts"
import type { Batch } from "./batch.ts"
import { SettleSpans } from "./settleSpans.ts"

/** What a settlement decides, in the words of the record's history. */
const decisions: Record<Outcome["_tag"], Decision> = {
  Complete: "completed",
  RetryAfter: "retried",
  SnoozeFor: "snoozed",
  WaitFor: "waiting",
  WaitForChildren: "waiting",
  Cancel: "cancelled",
  Dead: "dead",
  Release: "released",
  Park: "parked"
}

/** The series of one job. */
class JobMetrics {
  readonly attributes: { readonly queue: string; readonly job: string }
  readonly waited: Metric.Metric<number, unknown>
  readonly ran: Metric.Metric<number, unknown>
  /** Attempts that completed since the last exchange: most do, so they are counted together. */
  completed = 0
  private readonly decisions = new Map<string, Metric.Metric<number, unknown>>()

  constructor(queue: string, job: string) {
    this.attributes = { queue, job }
    this.waited = metrics.waited(this.attributes)
    this.ran = metrics.ran(this.attributes)
  }

  decided(decision: Decision | "lost"): Metric.Metric<number, unknown> {
    let metric = this.decisions.get(decision)
    if (metric === undefined) {
      this.decisions.set(decision, metric = metrics.attempts({ ...this.attributes, decision }))
    }
    return metric
  }
}

export class Telemetry {
  private readonly context: Context.Context<never>
  private readonly jobs = new Map<string, JobMetrics>()
  private readonly exchangeSize = metrics.exchangeSize({})
  private readonly exchangeTime = metrics.exchangeTime({})
  private readonly spans = new SettleSpans()

  constructor(context: Context.Context<never>) {
    this.context = context
  }

  private of(queue: string, job: string): JobMetrics {
    let found = this.jobs.get(job)
    if (found === undefined) this.jobs.set(job, found = new JobMetrics(queue, job))
    return found
  }

  ended(attempt: Attempt, outcome: Outcome | undefined, elapsed: number): void {
    const { claimed } = attempt
    const job = this.of(claimed.queue, claimed.tag)
    job.ran.updateUnsafe(elapsed / 1000, this.context)
    job.waited.updateUnsafe(Math.max(0, attempt.storeTimeAfter(0) - claimed.readyAt) / 1000, this.context)
    if (outcome !== undefined) this.spans.ended(attempt, decisions[outcome._tag])
    if (outcome?._tag === "Complete") {
      job.completed++
      return
    }
    const decision = outcome === undefined ? attempt.isCommitted ? "completed" : "lost" : decisions[outcome._tag]
    job.decided(decision).updateUnsafe(1, this.context)
    if (outcome === undefined || !("failure" in outcome) || outcome.failure === undefined) return
    const error = outcome.failure.tag ?? outcome.failure.kind
    metrics.failures({ ...job.attributes, error }).updateUnsafe(1, this.context)
    if (outcome._tag !== "Dead") return
    metrics.dead({ ...job.attributes, reason: outcome.reason }).updateUnsafe(1, this.context)
  }

  batched({ attempts }: Batch): void {
    const { queue, tag } = attempts[0]!.claimed
    metrics.batchSize(this.of(queue, tag).attributes).updateUnsafe(attempts.length, this.context)
  }

  lost(claimed: Claimed): void {
    metrics.leaseLosses(this.of(claimed.queue, claimed.tag).attributes).updateUnsafe(1, this.context)
  }

  abandoned({ claimed }: Attempt): void {
    metrics.abandoned(this.of(claimed.queue, claimed.tag).attributes).updateUnsafe(1, this.context)
  }

  exchanged(size: number, millis: number): void {
    for (const job of this.jobs.values()) {
      if (job.completed === 0) continue
      job.decided("completed").updateUnsafe(job.completed, this.context)
      job.completed = 0
    }
    this.exchangeSize.updateUnsafe(size, this.context)
    this.exchangeTime.updateUnsafe(millis / 1000, this.context)
  }

  /** What the store did by itself: it says how many, and not of which jobs. */
  maintained({ expired, quarantined, rescued }: MaintainReply): void {
    const count = (metric: Metric.Metric<number, unknown>, by: number) => {
      if (by > 0) metric.updateUnsafe(by, this.context)
    }
    count(metrics.crashes({ decision: "rescued" }), rescued)
    count(metrics.crashes({ decision: "dead" }), quarantined)
    count(metrics.dead({ reason: "Crashed" }), quarantined)
    count(metrics.dead({ reason: "Expired" }), expired)
  }

  /** An exchange, with a span around it for each traced attempt that it settles. */
  exchange(store: Store, request: ExchangeRequest): Effect.Effect<ExchangeReply, JobStoreError> {
    return this.spans.around(store, request)
  }
}
