/**
 * Another payload for a record, which then runs again: made by the job's constructor, or read from JSON in which somebody has
 * changed some of what they were shown. And a new record whose payload somebody has written.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Job from "../Job.ts"
import { EnqueueError, InvalidPayload, JobControlError, type JobStoreError, TooLarge } from "../JobError.ts"
import type { JobId, JobRecord, Sensitive } from "../JobRecord.ts"
import type { ControlOutcome, EditedPayload, JobStore } from "../JobStore.ts"
import * as Codec from "./codec.ts"
import { enqueueOne, type Options, size } from "./enqueue.ts"
import { decode, issueWithout } from "./payload.ts"
import { restored } from "./sensitive.ts"
import type { Stored } from "./stored.ts"

type Failure = EnqueueError | JobStoreError | JobControlError

/** The payload of a record, encoded. */
type Edit = (record: JobRecord) => Effect.Effect<string, EnqueueError | JobControlError>

/** What is stored of an edit; nothing where the record is gone. */
const edited = (
  store: JobStore["Service"],
  job: Job.Any,
  id: JobId,
  edit: Edit
): Effect.Effect<EditedPayload | undefined, Failure> =>
  Effect.gen(function*() {
    const definition = job[Job.TypeId]
    const record = yield* store.get(id)
    if (record === undefined) return undefined
    yield* checkJob(job, record)
    const json = yield* edit(record)
    const bytes = size(json, definition.maxPayloadBytes)
    if (bytes > definition.maxPayloadBytes) {
      return yield* new EnqueueError({
        reason: new TooLarge({ job: job._tag, index: 0, bytes, limit: definition.maxPayloadBytes })
      })
    }
    return { json, version: definition.version, sensitive: alsoMasked(record.sensitive, definition.sensitive()) }
  })

export const editAndReplay = (
  store: JobStore["Service"],
  job: Job.Any,
  id: JobId,
  edit: Edit
): Effect.Effect<ControlOutcome, Failure> =>
  Effect.gen(function*() {
    const payload = yield* edited(store, job, id, edit)
    if (payload === undefined) return "NotFound"
    const reply = yield* store.control({ action: { _tag: "Retry", payload }, where: { ids: [id] }, limit: 1 })
    return reply.outcomes[0]?.outcome ?? "NotFound"
  })

/** Fails as the edit would. */
export const checkEdit = (
  store: JobStore["Service"],
  job: Job.Any,
  id: JobId,
  edit: Edit
): Effect.Effect<void, Failure> => Effect.asVoid(edited(store, job, id, edit))

const checkJob = (job: Job.Any, { id, tag }: JobRecord): Effect.Effect<void, JobControlError> =>
  tag === job._tag
    ? Effect.void
    : Effect.fail(
      new JobControlError({ option: "job", issue: `record ${id} is one of ${tag}, not of ${job._tag}` })
    )

/** What a worker could not read of a payload, without what is masked in it. */
export const payloadIssue = (
  store: JobStore["Service"],
  job: Job.Any,
  given: JobRecord
): Effect.Effect<Option.Option<string>, JobStoreError | JobControlError> =>
  Effect.gen(function*() {
    yield* checkJob(job, given)
    const definition = job[Job.TypeId]
    // What a reader was shown of it is another payload than the one that is stored.
    const record = given.sensitive.payload.length === 0 ? given : yield* store.get(given.id)
    if (record === undefined) return Option.some("the record is gone")
    const { payload: at } = alsoMasked(record.sensitive, definition.sensitive())
    return yield* Effect.match(decode(definition, record), {
      onSuccess: () => Option.none(),
      onFailure: (error) => Option.some(issueWithout(error, record.payload, at))
    })
  })

export const fromInput = (job: Job.Any, input: unknown): Edit => () => {
  const { make, payload } = job[Job.TypeId]
  return encoded(
    Effect.flatMap(make(input), payload.encode),
    (error) => invalid(job, Codec.issueOf(error))
  )
}

export const fromJson = (job: Job.Any, json: string): Edit => (record) =>
  Effect.gen(function*() {
    const { payload, sensitive } = job[Job.TypeId]
    const { payload: at } = alsoMasked(record.sensitive, sensitive())
    const whole = restored(json, record.payload, at)
    if (typeof whole !== "string") {
      return yield* new JobControlError({ option: "payload", issue: whole.issue })
    }
    // What was masked is in it again, and a check may name it.
    return yield* encoded(
      Effect.flatMap(payload.decode(whole), payload.encode),
      (error) => invalid(job, issueWithout(error, whole, at))
    )
  })

/** A new record of the same kind of text. */
export const enqueueJson = (
  job: Job.Any,
  json: string,
  options: Options | undefined
): Effect.Effect<Stored, EnqueueError | JobStoreError, JobStore> => {
  const definition = job[Job.TypeId]
  return Effect.flatMap(
    Effect.mapError(definition.payload.decode(json), (error) => invalid(job, Codec.issueOf(error))),
    (payload) => enqueueOne(definition, payload, options, (_, stored) => stored)
  )
}

const invalid = (job: Job.Any, issue: string): EnqueueError =>
  new EnqueueError({ reason: new InvalidPayload({ job: job._tag, index: 0, issue }) })

const encoded = (
  payload: Effect.Effect<string | undefined, unknown>,
  refused: (error: unknown) => EnqueueError
): Effect.Effect<string, EnqueueError> =>
  payload.pipe(
    Effect.map((json) => json ?? "null"),
    Effect.mapError(refused)
  )

/** The places of both: what earlier attempts left behind was encoded by the schema of their time. */
const alsoMasked = (before: Sensitive, now: Sensitive): Sensitive => ({
  payload: [...new Set([...before.payload, ...now.payload])],
  result: [...new Set([...before.result, ...now.result])],
  error: [...new Set([...before.error, ...now.error])],
  progress: [...new Set([...before.progress, ...now.progress])]
})
