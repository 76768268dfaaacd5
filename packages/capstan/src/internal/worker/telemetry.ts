/**
 * The metrics of a worker. Names follow OpenTelemetry's messaging conventions; durations are seconds.
 */
import type * as Context from "effect/Context"
import * as Metric from "effect/Metric"
import type { Claimed, Outcome } from "../../JobStore.ts"
import type { Attempt } from "./attempt.ts"

const seconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800]

/** What the series of one job carry. */
type Attributes = Readonly<Record<string, string>>

const histogram =
  (id: string, description: string, boundaries: ReadonlyArray<number> = seconds) => (attributes: Attributes) =>
    Metric.histogram(id, { description, boundaries, attributes })

const counter = (id: string, description: string) => (attributes: Attributes) =>
  Metric.counter(id, { description, attributes, incremental: true })

/**
 * All metrics that a worker updates, as the documentation lists them.
 *
 * Attributes are given when a series is made and not with each update: `Metric.withAttributes` maps the fiber's context
 * every time, which was an eighth of what an attempt cost.
 */
export const metrics = {
  waited: histogram("capstan_wait_seconds", "From ready to claimed, by queue and job"),
  ran: histogram("messaging_process_duration_seconds", "From claimed to the end of the handler, by queue and job"),
  attempts: counter("capstan_attempts", "Attempts that ended, by queue, job and outcome"),
  failures: counter("capstan_failures", "Failed attempts, by queue, job and error tag"),
  leaseLosses: counter("capstan_lease_losses", "Attempts that lost their lease while they ran, by queue and job"),
  abandoned: counter("capstan_abandoned", "Attempts that could not be interrupted in time, by queue and job"),
  exchangeSize: histogram("capstan_exchange_size", "Settlements and claims of one exchange", [
    0,
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    1000
  ]),
  exchangeTime: histogram("messaging_client_operation_duration_seconds", "Time of one exchange with the store")
} as const

/** The series of one job. */
class JobMetrics {
  readonly attributes: Attributes
  readonly waited: Metric.Metric<number, unknown>
  readonly ran: Metric.Metric<number, unknown>
  /** Attempts that completed since the last exchange: most do, so they are counted together. */
  completed = 0
  private readonly outcomes = new Map<string, Metric.Metric<number, unknown>>()

  constructor(queue: string, job: string) {
    this.attributes = { queue, job }
    this.waited = metrics.waited(this.attributes)
    this.ran = metrics.ran(this.attributes)
  }

  outcome(name: string): Metric.Metric<number, unknown> {
    let metric = this.outcomes.get(name)
    if (metric === undefined) {
      this.outcomes.set(name, metric = metrics.attempts({ ...this.attributes, outcome: name }))
    }
    return metric
  }
}

export class Telemetry {
  private readonly context: Context.Context<never>
  private readonly jobs = new Map<string, JobMetrics>()
  private readonly exchangeSize = metrics.exchangeSize({})
  private readonly exchangeTime = metrics.exchangeTime({})

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
    if (outcome?._tag === "Complete") {
      job.completed++
      return
    }
    job.outcome(outcome?._tag ?? "Unsettled").updateUnsafe(1, this.context)
    if (outcome === undefined || !("failure" in outcome) || outcome.failure === undefined) return
    const tag = outcome.failure.tag ?? outcome.failure.kind
    metrics.failures({ ...job.attributes, error: tag }).updateUnsafe(1, this.context)
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
      job.outcome("Complete").updateUnsafe(job.completed, this.context)
      job.completed = 0
    }
    this.exchangeSize.updateUnsafe(size, this.context)
    this.exchangeTime.updateUnsafe(millis / 1000, this.context)
  }
}
