/** Which job of Capstan a name of the source becomes, and how its payload is read. */
import { type JobError, JobStore } from "capstan"
import type { Job } from "capstan"
import { Effect, Schema } from "effect"
import type { Reject, SourceJob } from "./source.ts"

/** What can be said of one job. */
export type RouteOptions = Pick<Job.EnqueueOptions, "priority" | "runAt" | "tags" | "unique">

export interface Route {
  readonly from: string
  /** The record that a job becomes, checked and encoded, and stored nowhere yet. */
  readonly toRecord: (
    job: SourceJob,
    headers: Readonly<Record<string, string>>,
    idempotencyKey: string
  ) => Effect.Effect<JobStore.NewRecord, Pick<Reject, "reason" | "detail"> | JobError.JobStoreError, JobStore.JobStore>
}

/** A job whose payload needs no services. */
interface Movable<P extends Schema.Top> {
  readonly payloadSchema: P
  readonly enqueue: (
    payload: P["~type.make.in"],
    options?: Job.EnqueueOptions
  ) => Effect.Effect<unknown, JobError.EnqueueError | JobError.JobStoreError, JobStore.JobStore | P["EncodingServices"]>
}

export const route = <P extends Schema.Top & { readonly DecodingServices: never; readonly EncodingServices: never }>(
  from: string,
  to: Movable<P>,
  options: {
    /**
     * Makes of what is stored there what the schema decodes.
     *
     * @default as it is
     */
    readonly payload?: (payload: unknown, job: SourceJob) => unknown
    /**
     * What its record has other than the job there had it.
     *
     * @default its instant and its priority
     */
    readonly enqueue?: (job: SourceJob) => RouteOptions
  } = {}
): Route => {
  const decode = Schema.decodeUnknownEffect(Schema.toCodecJson(to.payloadSchema))
  const { enqueue = () => ({}), payload: lift = (payload: unknown) => payload } = options
  return {
    from,
    toRecord: Effect.fnUntraced(function*(job, headers, idempotencyKey) {
      const payload = yield* Effect.try({ try: () => lift(job.payload, job), catch: unreadable }).pipe(
        Effect.flatMap((lifted) => Effect.mapError(decode(lifted), unreadable))
      )
      const { priority, runAt, ...own } = { priority: job.priority, runAt: job.runAt, ...enqueue(job) }
      // What is decoded is what a constructor takes.
      const record = yield* collect(
        to.enqueue(payload as P["~type.make.in"], { ...own, priority, runAt, headers, idempotencyKey })
      ).pipe(
        Effect.catchTag("EnqueueError", (error) => Effect.fail({ reason: "Refused", detail: error.message } as const))
      )
      // A job that is older than the move takes nobody's place.
      return record.unique === undefined ? record : { ...record, unique: { ...record.unique, onConflict: "keep" } }
    })
  }
}

const unreadable = (cause: unknown): Pick<Reject, "reason" | "detail"> => ({
  reason: "Unreadable",
  detail: cause instanceof Error ? cause.message : String(cause)
})

/** The record that an enqueue would have stored. */
const collect = <E, R>(enqueue: Effect.Effect<unknown, E, R | JobStore.JobStore>) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const records: Array<JobStore.NewRecord> = []
    const collecting: JobStore.Shape = Object.create(store, {
      enqueue: {
        value: (request: JobStore.EnqueueRequest) =>
          Effect.sync(() => {
            records.push(...request.records)
            return request.records.map(({ id }): JobStore.Enqueued => ({ id, outcome: "Inserted" }))
          })
      }
    })
    yield* Effect.provideService(enqueue, JobStore.JobStore, collecting)
    return records[0]!
  })
