/**
 * Typed background jobs for Effect.
 *
 * @since 0.1.0
 */
export * as Coalescer from "./Coalescer.ts"
export * as Flow from "./Flow.ts"
export * as Job from "./Job.ts"
export * as JobBatch from "./JobBatch.ts"
export * as JobContext from "./JobContext.ts"
export * as JobError from "./JobError.ts"
export * as JobGroup from "./JobGroup.ts"
export * as JobHandle from "./JobHandle.ts"
export * as JobLimit from "./JobLimit.ts"
export * as JobMiddleware from "./JobMiddleware.ts"
export * as JobRecord from "./JobRecord.ts"
export * as Jobs from "./Jobs.ts"
export * as JobSchedule from "./JobSchedule.ts"
export * as JobSchedules from "./JobSchedules.ts"
export * as JobStore from "./JobStore.ts"
export * as JobWorker from "./JobWorker.ts"
export * as Lifecycle from "./Lifecycle.ts"
export * as Operations from "./Operations.ts"
export * as StandBy from "./StandBy.ts"
export * as Step from "./Step.ts"
export * as Topic from "./Topic.ts"
export * as Transactional from "./Transactional.ts"
export * as Waitpoint from "./Waitpoint.ts"
