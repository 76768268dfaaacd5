/**
 * The metrics of a worker. Names follow OpenTelemetry's messaging conventions; durations are seconds.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { Claimed, Outcome } from "../../JobStore.ts"
import type { Attempt } from "./attempt.ts"

const seconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800]

/** All metrics that a worker updates, as the documentation lists them. */
export const metrics = {
  waited: Metric.histogram("capstan_wait_seconds", {
    description: "From ready to claimed, by queue and job",
    boundaries: seconds
  }),
  ran: Metric.histogram("messaging_process_duration_seconds", {
    description: "From claimed to the end of the handler, by queue and job",
    boundaries: seconds
  }),
  attempts: Metric.counter("capstan_attempts", {
    description: "Attempts that ended, by queue, job and outcome",
    incremental: true
  }),
  failures: Metric.counter("capstan_failures", {
    description: "Failed attempts, by queue, job and error tag",
    incremental: true
  }),
  leaseLosses: Metric.counter("capstan_lease_losses", {
    description: "Attempts that lost their lease while they ran, by queue and job",
    incremental: true
  }),
  abandoned: Metric.counter("capstan_abandoned", {
    description: "Attempts that could not be interrupted in time, by queue and job",
    incremental: true
  }),
  exchangeSize: Metric.histogram("capstan_exchange_size", {
    description: "Settlements and claims of one exchange",
    boundaries: [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]
  }),
  exchangeTime: Metric.histogram("messaging_client_operation_duration_seconds", {
    description: "Time of one exchange with the store",
    boundaries: seconds
  })
} as const

/** The metrics of one job, with its attributes bound once. */
class JobMetrics {
  readonly waited: Metric.Metric<number, unknown>
  readonly ran: Metric.Metric<number, unknown>
  private readonly attributes: Record<string, string>
  private readonly outcomes = new Map<string, Metric.Metric<number, unknown>>()

  constructor(queue: string, job: string) {
    this.attributes = { queue, job }
    this.waited = Metric.withAttributes(metrics.waited, this.attributes)
    this.ran = Metric.withAttributes(metrics.ran, this.attributes)
  }

  outcome(name: string): Metric.Metric<number, unknown> {
    let metric = this.outcomes.get(name)
    if (metric === undefined) {
      this.outcomes.set(name, metric = Metric.withAttributes(metrics.attempts, { ...this.attributes, outcome: name }))
    }
    return metric
  }

  with(metric: Metric.Metric<number, unknown>, more?: Record<string, string>): Metric.Metric<number, unknown> {
    return Metric.withAttributes(metric, { ...this.attributes, ...more })
  }
}

export class Telemetry {
  private readonly context: Context.Context<never>
  private readonly jobs = new Map<string, JobMetrics>()

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
    job.outcome(outcome?._tag ?? "Unsettled").updateUnsafe(1, this.context)
    if (outcome === undefined || !("failure" in outcome) || outcome.failure === undefined) return
    const tag = outcome.failure.tag ?? outcome.failure.kind
    job.with(metrics.failures, { error: tag }).updateUnsafe(1, this.context)
  }

  lost(claimed: Claimed): void {
    this.of(claimed.queue, claimed.tag).with(metrics.leaseLosses).updateUnsafe(1, this.context)
  }

  abandoned({ claimed }: Attempt): void {
    this.of(claimed.queue, claimed.tag).with(metrics.abandoned).updateUnsafe(1, this.context)
  }

  exchanged(size: number, millis: number): void {
    metrics.exchangeSize.updateUnsafe(size, this.context)
    metrics.exchangeTime.updateUnsafe(millis / 1000, this.context)
  }
}
