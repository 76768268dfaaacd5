/**
 * All metrics, as the documentation lists them. Names follow OpenTelemetry's messaging conventions; durations are seconds.
 *
 * Attributes are given when a series is made and not with each update: `Metric.withAttributes` maps the fiber's context
 * every time, which was an eighth of what an attempt cost.
 */
import * as Metric from "effect/Metric"

const seconds = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800]
const counts = [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]

/** What a series carries. */
export type Attributes = Readonly<Record<string, string>>

const histogram =
  (id: string, description: string, boundaries: ReadonlyArray<number> = seconds) => (attributes: Attributes) =>
    Metric.histogram(id, { description, boundaries, attributes })

const counter = (id: string, description: string) => (attributes: Attributes) =>
  Metric.counter(id, { description, attributes, incremental: true })

const gauge = (id: string, description: string) => (attributes: Attributes) =>
  Metric.gauge(id, { description, attributes })

export const metrics = {
  waited: histogram("capstan_wait_seconds", "From ready to claimed, by queue and job"),
  ran: histogram("messaging_process_duration_seconds", "From claimed to the end of the handler, by queue and job"),
  attempts: counter("capstan_attempts", "Attempts that ended, by queue, job and decision"),
  failures: counter("capstan_failures", "Failed attempts, by queue, job and error tag"),
  dead: counter("capstan_dead", "Records that died, by reason; of those that a worker decided, by queue and job"),
  crashes: counter("capstan_crashes", "Records taken from a worker whose lease had ended, by what became of them"),
  leaseLosses: counter("capstan_lease_losses", "Attempts that lost their lease while they ran, by queue and job"),
  abandoned: counter("capstan_abandoned", "Attempts that could not be interrupted in time, by queue and job"),
  batchSize: histogram("capstan_batch_size", "Records of one run of a batch job's handler, by queue and job", counts),
  exchangeSize: histogram("capstan_exchange_size", "Settlements and claims of one exchange", counts),
  exchangeTime: histogram("messaging_client_operation_duration_seconds", "Time of one exchange with the store"),
  stepTime: histogram("capstan_step_seconds", "Time of a step that ran, by job and outcome"),
  waits: counter("capstan_waits", "Waits of steps that ended an attempt, by job and kind"),
  waitTimeouts: counter("capstan_wait_timeouts", "Waits that were over before what they waited for, by job and kind"),
  undone: counter("capstan_steps_undone", "Steps that were undone, or could not be, by job and outcome"),
  lateness: histogram(
    "capstan_schedule_lateness_seconds",
    "From the instant at which a tick was due to its enqueue, by schedule and job"
  ),
  records: gauge("capstan_records", "Records, by queue and state"),
  oldestReady: gauge("capstan_oldest_ready_seconds", "How long the oldest ready record has waited, by queue")
} as const
