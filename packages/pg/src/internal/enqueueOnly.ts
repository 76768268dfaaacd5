/** A store that takes enqueues alone. */
import { JobError, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"

export const incompatible = (operation: string, detail: string): JobError.JobStoreError =>
  new JobError.JobStoreError({ reason: new JobError.Incompatible({ operation, detail }) })

/** Records, and what is done to others before they are stored. */
export type Batch = Pick<JobStore.EnqueueRequest, "records" | "cancels" | "completes">

/** `what` says what it is, for who asks it for anything else. */
export const enqueueOnly = (
  what: string,
  store: (batch: Batch) => Effect.Effect<ReadonlyArray<JobStore.Enqueued>, JobError.JobStoreError>,
  more: Partial<JobStore.Shape> = {}
): JobStore.Shape => {
  const refused = (operation: string) => Effect.fail(incompatible(operation, `${what} takes enqueues alone`))
  return {
    identity: what,
    notifications: "hint",
    describe: refused("describe"),
    enqueue: ({ by, cancels, completes, records, whole }) =>
      whole !== undefined
        ? Effect.fail(incompatible("enqueue", `${what} takes jobs one by one, and no flows`))
        : by === undefined ?
        store({ records, cancels, completes }) :
        Effect.fail(incompatible(
          "enqueue",
          `inside a handler an enqueue belongs to the attempt, which ${what} does not know: use the worker's own store, or ` +
            "Job.detached"
        )),
    exchange: () => refused("exchange"),
    renew: () => refused("renew"),
    write: () => refused("write"),
    results: () => refused("results"),
    dependencies: () => refused("dependencies"),
    signal: () => refused("signal"),
    get: () => refused("get"),
    query: () => refused("query"),
    isCursor: () => true,
    stats: refused("stats"),
    control: () => refused("control"),
    pause: () => refused("pause"),
    schedules: () => refused("schedules"),
    limits: () => refused("limits"),
    keys: () => refused("keys"),
    putSchedule: () => refused("putSchedule"),
    tick: () => refused("tick"),
    maintain: refused("maintain"),
    wakeups: () => Stream.fromEffect(refused("wakeups")),
    events: Stream.fromEffect(refused("events")),
    ...more
  }
}
