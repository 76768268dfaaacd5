/**
 * The errors of Capstan. Two levels: an outer class by who must act (`EnqueueError`, `JobStoreError`, `JobControlError`)
 * and a `reason` by what happened, so that `Effect.catchReason` picks one case and `catchTag` picks them all.
 *
 * Every message says what, where, and what to do.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"

/**
 * The payload does not satisfy the job's schema. Nothing was enqueued: correct the payload.
 *
 * @category enqueue
 * @since 0.1.0
 */
export class InvalidPayload extends Schema.TaggedError<InvalidPayload>()("InvalidPayload", {
  job: Schema.String,
  /** Position in `enqueueMany`, 0 for `enqueue`. */
  index: Schema.Number,
  issue: Schema.String
}) {
  override get message() {
    return `payload ${this.index} of job ${this.job} does not satisfy its schema: ${this.issue}`
  }
}

/**
 * An option of the call is out of its range. Nothing was enqueued.
 *
 * @category enqueue
 * @since 0.1.0
 */
export class InvalidOption extends Schema.TaggedError<InvalidOption>()("InvalidOption", {
  job: Schema.String,
  option: Schema.String,
  issue: Schema.String
}) {
  override get message() {
    return `option ${this.option} of job ${this.job}: ${this.issue}`
  }
}

/**
 * The encoded payload is larger than the job allows. Store the data elsewhere and enqueue a reference to it, or raise
 * the job's `maxPayloadBytes`.
 *
 * @category enqueue
 * @since 0.1.0
 */
export class TooLarge extends Schema.TaggedError<TooLarge>()("TooLarge", {
  job: Schema.String,
  /** Position in `enqueueMany`, 0 for `enqueue`. */
  index: Schema.Number,
  /** The size of the encoded payload, in bytes of UTF-8. */
  bytes: Schema.Number,
  /** The job's `maxPayloadBytes`. */
  limit: Schema.Number
}) {
  override get message() {
    return `payload ${this.index} of job ${this.job} has ${this.bytes} bytes, its limit is ${this.limit}: ` +
      `enqueue a reference to the data, or raise maxPayloadBytes`
  }
}

/**
 * The unique key belongs to another record, and one of the two is a member of a flow: it is never replaced, and its flow is
 * stored whole or not at all.
 *
 * @category enqueue
 * @since 0.1.0
 */
export class UniqueConflict extends Schema.TaggedError<UniqueConflict>()("UniqueConflict", {
  job: Schema.String,
  key: Schema.String,
  holder: Schema.String
}) {
  override get message() {
    return `unique key ${this.key} of job ${this.job} is held by ${this.holder}, and one of the two is a member of a flow, ` +
      "which is neither replaced nor left out: wait for the end of the other, or leave the key out"
  }
}

/**
 * A handler awaited another job: it would hold its slot while it waits, and a pool of such handlers stops for ever.
 * Enqueue the child and let it continue the work.
 *
 * @category enqueue
 * @since 0.1.0
 */
export class AwaitInHandler extends Schema.TaggedError<AwaitInHandler>()("AwaitInHandler", {
  job: Schema.String,
  handler: Schema.String
}) {
  override get message() {
    return `${this.job}.run inside the handler of ${this.handler} would hold its slot while it waits: enqueue ${this.job} ` +
      `and let it continue the work`
  }
}

/**
 * A record that was to wait for what is added to its flow has begun, has ended or is gone. Add while something that it waits
 * for still runs: from the handler of a node before it.
 *
 * @category enqueue
 * @since 0.1.0
 */
export class Begun extends Schema.TaggedError<Begun>()("Begun", {
  flow: Schema.String,
  job: Schema.String,
  holder: Schema.String
}) {
  override get message() {
    return `${this.job} cannot be added to flow ${this.flow}: record ${this.holder}, which was to wait for it, waits for ` +
      "nothing any more; add it while something that this record waits for still runs"
  }
}

/**
 * An enqueue that was refused. Nothing of the call was stored.
 *
 * @category enqueue
 * @since 0.1.0
 */
export class EnqueueError extends Schema.TaggedError<EnqueueError>()("EnqueueError", {
  reason: Schema.Union([InvalidPayload, InvalidOption, TooLarge, UniqueConflict, Begun, AwaitInHandler])
}) {
  override get message() {
    return this.reason.message
  }
}

/**
 * The store could not be reached, and nothing was done. Retry: core does so by itself for everything but the caller's
 * own enqueue.
 *
 * @category store
 * @since 0.1.0
 */
export class Unavailable extends Schema.TaggedError<Unavailable>()("Unavailable", {
  operation: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `the store is unavailable for ${this.operation}: ${this.detail}`
  }
}

/**
 * The store was reached, but the reply was lost: the operation may have happened. Repeat an enqueue only with an
 * `idempotencyKey`.
 *
 * @category store
 * @since 0.1.0
 */
export class OutcomeUnknown extends Schema.TaggedError<OutcomeUnknown>()("OutcomeUnknown", {
  operation: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `the reply of ${this.operation} was lost, it may have happened: ${this.detail}`
  }
}

/**
 * Code and store do not fit: another schema version, or a capability that this store does not have.
 *
 * @category store
 * @since 0.1.0
 */
export class Incompatible extends Schema.TaggedError<Incompatible>()("Incompatible", {
  operation: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return `${this.operation} does not fit this store: ${this.detail}`
  }
}

/**
 * The attempt is stale: its lease ended, or another write ended it. It may change nothing more; let the handler end.
 *
 * @category store
 * @since 0.1.0
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", {
  id: Schema.String,
  /** The fence that the attempt was claimed with. The record has a higher one by now. */
  fence: Schema.Number
}) {
  override get message() {
    return `attempt with fence ${this.fence} of ${this.id} has lost its lease: nothing that it writes counts any more`
  }
}

/**
 * A record of an open transaction was awaited. No worker sees it before the commit: await it afterwards.
 *
 * @category store
 * @since 0.1.0
 */
export class AwaitInTransaction extends Schema.TaggedError<AwaitInTransaction>()("AwaitInTransaction", {
  id: Schema.String
}) {
  override get message() {
    return `record ${this.id} belongs to the open transaction, no worker sees it before the commit: await it afterwards`
  }
}

/**
 * An SQL transaction is open, and the store takes no part in it. Nothing was enqueued.
 *
 * Two ways around it: the outbox, which stores the job in the transaction and hands it on after the commit, at least once
 * (`PgOutbox` of `@capstan/pg`); or `insideSqlTransaction: "afterCommit"` of the store, which enqueues when the
 * transaction has committed, and loses the job when the process ends between the two.
 *
 * @category store
 * @since 0.1.0
 */
export class EnqueueInTransaction extends Schema.TaggedError<EnqueueInTransaction>()("EnqueueInTransaction", {
  detail: Schema.String
}) {
  override get message() {
    return "an enqueue inside an SQL transaction, in which this store takes no part: enqueue through the outbox (PgOutbox), " +
      `or give the store insideSqlTransaction: "afterCommit"${this.detail}`
  }
}

/**
 * The keys of a record do not lie in one partition of the store, so that none but one of them would hold. Nothing was
 * enqueued: declare a `partition` of which all keys of the job are part, or leave its queue in one partition.
 *
 * @category store
 * @since 0.1.0
 */
export class CrossPartition extends Schema.TaggedError<CrossPartition>()("CrossPartition", {
  job: Schema.String,
  queue: Schema.String,
  issue: Schema.String
}) {
  override get message() {
    return `job ${this.job} in queue ${this.queue}, which has several partitions: ${this.issue}`
  }
}

/**
 * A store operation that did not succeed.
 *
 * @category store
 * @since 0.1.0
 */
export class JobStoreError extends Schema.TaggedError<JobStoreError>()("JobStoreError", {
  reason: Schema.Union([
    Unavailable,
    OutcomeUnknown,
    Incompatible,
    LeaseLost,
    AwaitInTransaction,
    EnqueueInTransaction,
    CrossPartition
  ])
}) {
  override get message() {
    return this.reason.message
  }

  /** Whether the same call may succeed later: the store was away, or its reply was lost. */
  get isTransient(): boolean {
    return this.reason._tag === "Unavailable" || this.reason._tag === "OutcomeUnknown"
  }
}

/**
 * Two steps of one attempt have the same name. A name is what a result is found by: give each its own, with the item's id in
 * it where a step stands in a loop.
 *
 * @category steps
 * @since 0.1.0
 */
export class DuplicateStep extends Schema.TaggedError<DuplicateStep>()("DuplicateStep", {
  job: Schema.String,
  step: Schema.String
}) {
  override get message() {
    return `job ${this.job} has two steps with the name ${this.step} in one attempt: give each a name of its own`
  }
}

/**
 * What is kept under the name was kept by another kind of step, and cannot be its result. Give the new step a new name.
 *
 * @category steps
 * @since 0.1.0
 */
export class OtherStep extends Schema.TaggedError<OtherStep>()("OtherStep", {
  job: Schema.String,
  step: Schema.String,
  wanted: Schema.String,
  found: Schema.String
}) {
  override get message() {
    return `step ${this.step} of job ${this.job} is a ${this.wanted}, and its record has kept a ${this.found} of that name: ` +
      `give the new step a new name`
  }
}

/**
 * What is kept no longer decodes with the schema of the step. Raise the step's version, and say in `upcast` how the old value
 * becomes the new one.
 *
 * @category steps
 * @since 0.1.0
 */
export class UnreadableStep extends Schema.TaggedError<UnreadableStep>()("UnreadableStep", {
  job: Schema.String,
  step: Schema.String,
  /** That of the step when its result was kept. */
  version: Schema.Number,
  issue: Schema.String
}) {
  override get message() {
    return `what step ${this.step} of job ${this.job} has kept (version ${this.version}) does not decode: ${this.issue}. ` +
      `Raise its version and say in upcast how the old value becomes the new one`
  }
}

/**
 * The encoded result of a step is larger than a step may keep. Store the data elsewhere, and keep a reference to it.
 *
 * @category steps
 * @since 0.1.0
 */
export class LargeStep extends Schema.TaggedError<LargeStep>()("LargeStep", {
  job: Schema.String,
  step: Schema.String,
  /** The size of the encoded result, in bytes of UTF-8. */
  bytes: Schema.Number,
  /** How many bytes a step may keep. */
  limit: Schema.Number
}) {
  override get message() {
    return `the result of step ${this.step} of job ${this.job} has ${this.bytes} bytes, at most ${this.limit} are kept: ` +
      `store the data elsewhere and keep a reference to it`
  }
}

/**
 * A step that waits stands inside another step. What waits ends the attempt, and the step around it would begin anew: let it
 * stand beside it.
 *
 * @category steps
 * @since 0.1.0
 */
export class WaitInStep extends Schema.TaggedError<WaitInStep>()("WaitInStep", {
  job: Schema.String,
  step: Schema.String
}) {
  override get message() {
    return `${this.step} of job ${this.job} waits inside of another step, which would begin anew: let it stand beside that one`
  }
}

/**
 * A step with a compensation stands inside another step, or is what `Step.each` does with an item. Once the one around it is kept, no
 * attempt comes to it any more to learn how it is undone: let it stand beside that, or put the compensation on the one around it.
 *
 * @category steps
 * @since 0.1.0
 */
export class CompensationInStep extends Schema.TaggedError<CompensationInStep>()("CompensationInStep", {
  job: Schema.String,
  step: Schema.String
}) {
  override get message() {
    return `${this.step} of job ${this.job} has a compensation and stands inside of another step, which could be kept without it: ` +
      `let it stand beside that one, or put the compensation on that one`
  }
}

/**
 * `Step.withCompensation` is around an effect that is not one step. Put it on the step itself.
 *
 * @category steps
 * @since 0.1.0
 */
export class NoSuchStep extends Schema.TaggedError<NoSuchStep>()("NoSuchStep", { job: Schema.String }) {
  override get message() {
    return `a withCompensation of job ${this.job} is not around one step: put it on the step that it undoes`
  }
}

/**
 * A record is to be undone, and its handler did not say how to undo one of its steps. Deploy code that has the step with
 * its compensation: the record is tried again.
 *
 * @category steps
 * @since 0.1.0
 */
export class MissingCompensation extends Schema.TaggedError<MissingCompensation>()("MissingCompensation", {
  job: Schema.String,
  steps: Schema.Array(Schema.String),
  /** What the handler ended with before it came there. */
  ended: Schema.optional(Schema.String)
}) {
  override get message() {
    const ended = this.ended === undefined ? "" : ` (the handler ended with ${this.ended})`
    return `job ${this.job} did not say how to undo ${this.steps.join(", ")}${ended}: ` +
      `deploy code that has each with its compensation`
  }
}

/**
 * A mistake in how a handler uses steps. It is a defect of the attempt, decided by `retryDefects`: deploy the corrected code,
 * and the record goes on.
 *
 * @category steps
 * @since 0.1.0
 */
export class StepError extends Schema.TaggedError<StepError>()("StepError", {
  reason: Schema.Union([
    DuplicateStep,
    OtherStep,
    UnreadableStep,
    LargeStep,
    WaitInStep,
    CompensationInStep,
    NoSuchStep,
    MissingCompensation
  ])
}) {
  override get message() {
    return this.reason.message
  }
}

/**
 * Nobody completed the waitpoint in time. It stays so: who completes it later is told that it is too late.
 *
 * @category steps
 * @since 0.1.0
 */
export class WaitpointTimedOut extends Schema.TaggedError<WaitpointTimedOut>()("WaitpointTimedOut", {
  id: Schema.String,
  waitpoint: Schema.String
}) {
  override get message() {
    return `nobody completed waitpoint ${this.waitpoint} of record ${this.id} in time`
  }
}

/**
 * A job that a step has invoked did not end in time. It stays so, however it ends later: `child` is its record, which goes on.
 *
 * @category steps
 * @since 0.1.0
 */
export class InvokeTimedOut extends Schema.TaggedError<InvokeTimedOut>()("InvokeTimedOut", {
  id: Schema.String,
  step: Schema.String,
  child: Schema.String
}) {
  override get message() {
    return `what step ${this.step} of record ${this.id} has invoked, record ${this.child}, did not end in time`
  }
}

/**
 * A token that completes no waitpoint.
 *
 * - `Malformed`: it is no token
 * - `Forged`: it was not signed with this secret, or was changed since
 * - `Expired`: its time has passed
 * - `OtherWaitpoint`: it is for another waitpoint
 *
 * @category steps
 * @since 0.1.0
 */
export class InvalidToken extends Schema.TaggedError<InvalidToken>()("InvalidToken", {
  waitpoint: Schema.String,
  reason: Schema.Literals(["Malformed", "Forged", "Expired", "OtherWaitpoint"])
}) {
  override get message() {
    return `the token completes no waitpoint ${this.waitpoint}: ${this.reason}`
  }
}

/**
 * A call of `Jobs` with an option that is out of its range, or with the wrong job. Nothing was changed.
 *
 * @category control
 * @since 0.1.0
 */
export class JobControlError extends Schema.TaggedError<JobControlError>()("JobControlError", {
  option: Schema.String,
  issue: Schema.String
}) {
  override get message() {
    return `option ${this.option}: ${this.issue}`
  }
}

/**
 * The awaited record is dead for another reason than an error that its job declares.
 *
 * @category await
 * @since 0.1.0
 */
export class JobDead extends Schema.TaggedError<JobDead>()("JobDead", {
  id: Schema.String,
  job: Schema.String,
  reason: Schema.Literals(["Failed", "Defect", "TimedOut", "Crashed", "Expired", "InvalidPayload", "DependencyFailed"]),
  detail: Schema.String
}) {
  override get message() {
    return `record ${this.id} of job ${this.job} is dead (${this.reason}): ${this.detail}`
  }
}

/**
 * The awaited record was cancelled.
 *
 * @category await
 * @since 0.1.0
 */
export class JobCancelled extends Schema.TaggedError<JobCancelled>()("JobCancelled", {
  id: Schema.String,
  job: Schema.String,
  cancelReason: Schema.String
}) {
  override get message() {
    return `record ${this.id} of job ${this.job} was cancelled: ${this.cancelReason}`
  }
}

/**
 * The awaited record is not there, or its result cannot be read.
 *
 * - `NotFound`: no record has this id: never enqueued, rolled back, or removed so long ago that the store does not remember
 * - `Deleted`: an operator deleted or purged it
 * - `Swept`: it had finished, and its retention removed it
 * - `Removed`: it was there when the wait began; the store does not remember which of the two it was
 * - `Unreadable`: its stored result or error does not decode with this program's schema
 *
 * @category await
 * @since 0.1.0
 */
export class JobGone extends Schema.TaggedError<JobGone>()("JobGone", {
  id: Schema.String,
  job: Schema.String,
  reason: Schema.Literals(["NotFound", "Deleted", "Swept", "Removed", "Unreadable"]),
  detail: Schema.String
}) {
  override get message() {
    return `record ${this.id} of job ${this.job} is gone (${this.reason}): ${this.detail}`
  }
}

/**
 * The time given to an await ran out. The record goes on.
 *
 * @category await
 * @since 0.1.0
 */
export class AwaitTimedOut extends Schema.TaggedError<AwaitTimedOut>()("AwaitTimedOut", {
  id: Schema.String,
  job: Schema.String,
  /** How long was waited, in milliseconds. */
  millis: Schema.Number
}) {
  override get message() {
    return `record ${this.id} of job ${this.job} did not end within ${this.millis} ms; it goes on`
  }
}

/**
 * No schedule has this name. Look at `JobSchedules.list`.
 *
 * @category schedules
 * @since 0.1.0
 */
export class ScheduleNotFound extends Schema.TaggedError<ScheduleNotFound>()("ScheduleNotFound", {
  name: Schema.String
}) {
  override get message() {
    return `there is no schedule ${this.name}`
  }
}

/**
 * An option of a schedule cannot be meant. Nothing was changed.
 *
 * @category schedules
 * @since 0.1.0
 */
export class InvalidSchedule extends Schema.TaggedError<InvalidSchedule>()("InvalidSchedule", {
  name: Schema.String,
  option: Schema.String,
  issue: Schema.String
}) {
  override get message() {
    return `schedule ${this.name}: ${this.issue}`
  }
}

/**
 * The schedule is declared in code, by processes that would put it again. Change it there; pause it to stop it.
 *
 * @category schedules
 * @since 0.1.0
 */
export class DeclaredInCode extends Schema.TaggedError<DeclaredInCode>()("DeclaredInCode", {
  name: Schema.String,
  operation: Schema.String
}) {
  override get message() {
    return `schedule ${this.name} is declared in code, which ${this.operation} would not outlast: change it there, or pause it`
  }
}

/**
 * A call of `JobSchedules` that was refused. Nothing was changed.
 *
 * @category schedules
 * @since 0.1.0
 */
export class ScheduleError extends Schema.TaggedError<ScheduleError>()("ScheduleError", {
  reason: Schema.Union([ScheduleNotFound, InvalidSchedule, DeclaredInCode])
}) {
  override get message() {
    return this.reason.message
  }
}
