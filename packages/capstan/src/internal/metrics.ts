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

/** One metric: makes a series of it, which carries each of its attributes, those of `O` where they are known. */
interface Make<L extends string, O extends string, M> {
  (attributes: Readonly<Record<L, string>> & Readonly<Partial<Record<O, string>>>): M
  readonly id: string
  readonly type: "histogram" | "counter" | "gauge"
  readonly attributes: ReadonlyArray<L | O>
}

const histogram = <L extends string = never>(
  id: string,
  description: string,
  attributes: ReadonlyArray<L>,
  boundaries: ReadonlyArray<number> = seconds
): Make<L, never, Metric.Histogram<number>> =>
  Object.assign(
    (attributes: Attributes) => Metric.histogram(id, { description, boundaries, attributes }),
    { id, type: "histogram", attributes } as const
  )

const counter = <L extends string, O extends string = never>(
  id: string,
  description: string,
  attributes: ReadonlyArray<L | NoInfer<O>>
): Make<L, O, Metric.Counter<number>> =>
  Object.assign(
    (attributes: Attributes) => Metric.counter(id, { description, attributes, incremental: true }),
    { id, type: "counter", attributes } as const
  )

const gauge = <L extends string>(
  id: string,
  description: string,
  attributes: ReadonlyArray<L>
): Make<L, never, Metric.Gauge<number>> =>
  Object.assign(
    (attributes: Attributes) => Metric.gauge(id, { description, attributes }),
    { id, type: "gauge", attributes } as const
  )

const ofJob = ["queue", "job"] as const

export const metrics = {
  waited: histogram("capstan_wait_seconds", "From ready to claimed", ofJob),
  ran: histogram("messaging_process_duration_seconds", "From claimed to the end of the handler", ofJob),
  attempts: counter("capstan_attempts", "Attempts that ended, by decision", [...ofJob, "decision"]),
  failures: counter("capstan_failures", "Failed attempts, by error tag", [...ofJob, "error"]),
  dead: counter<"reason", "queue" | "job">(
    "capstan_dead",
    "Records that died, by reason; of those that a worker decided, by queue and job",
    [...ofJob, "reason"]
  ),
  crashes: counter("capstan_crashes", "Records taken from a worker whose lease had ended, by what became of them", [
    "decision"
  ]),
  leaseLosses: counter("capstan_lease_losses", "Attempts that lost their lease while they ran", ofJob),
  abandoned: counter("capstan_abandoned", "Attempts that could not be interrupted in time", ofJob),
  batchSize: histogram("capstan_batch_size", "Records of one run of a batch job's handler", ofJob, counts),
  exchangeSize: histogram("capstan_exchange_size", "Settlements and claims of one exchange", [], counts),
  exchangeTime: histogram("messaging_client_operation_duration_seconds", "Time of one exchange with the store", []),
  stepTime: histogram("capstan_step_seconds", "Time of a step that ran", ["job", "outcome"]),
  waits: counter("capstan_waits", "Waits of steps that ended an attempt", ["job", "kind"]),
  waitTimeouts: counter("capstan_wait_timeouts", "Waits that were over before what they waited for", ["job", "kind"]),
  undone: counter("capstan_steps_undone", "Steps that were undone, or could not be", ["job", "outcome"]),
  lateness: histogram(
    "capstan_schedule_lateness_seconds",
    "From the instant at which a tick was due to its enqueue",
    ["schedule", "job"]
  ),
  records: gauge("capstan_records", "Records in each state", ["queue", "state"]),
  oldestReady: gauge("capstan_oldest_ready_seconds", "How long the oldest ready record has waited", ["queue"])
} as const
