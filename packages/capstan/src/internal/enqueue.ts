/**
 * From a typed payload to a stored record: construct, encode, measure, stamp, store.
 *
 * Guarantee: nothing of the call is stored unless all of it is sound; a call inside a handler carries the attempt's
 * fence, so a stale attempt leaves no child behind (P3).
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { identity } from "effect/Function"
import { JobContext } from "../JobContext.ts"
import { EnqueueError, InvalidOption, InvalidPayload, TooLarge, UniqueConflict } from "../JobError.ts"
import type { JobStoreError } from "../JobError.ts"
import type { JobId } from "../JobRecord.ts"
import { type Enqueued, JobStore, type NewRecord } from "../JobStore.ts"
import { issueOf } from "./codec.ts"
import type { Definition } from "./definition.ts"
import { capture, inherit } from "./propagate.ts"
import { isTraced, send, traceHeaders } from "./tracing.ts"
import * as Uuid from "./uuid.ts"

export interface Options {
  readonly delay?: Duration.Input | undefined
  readonly runAt?: DateTime.DateTime.Input | undefined
  readonly priority?: "low" | "normal" | "high" | number | undefined
  readonly idempotencyKey?: string | ((payload: never, index: number) => string) | undefined
  readonly unique?: false | undefined
  readonly tags?: ReadonlyArray<string> | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** An enqueue that was not refused. */
export interface Stored {
  readonly id: JobId
  readonly outcome: "Inserted" | "Existing" | "Replaced" | "Deferred"
}

/** Enqueues outside the fence of the attempt around it. */
export const Detached = Context.Reference<boolean>("capstan/Detached", { defaultValue: () => false })

/** How many records go to the store in one call. */
const chunk = 1000

export const priorities = { low: -10, normal: 0, high: 10 } as const

const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

/** Stores a record for each payload, and answers what `answer` makes of them. */
export const enqueue = <A>(
  job: Definition,
  payloads: ReadonlyArray<unknown>,
  options: Options | undefined,
  answer: (stored: ReadonlyArray<Stored>) => A
): Effect.Effect<A, EnqueueError | JobStoreError, JobStore> =>
  Effect.withFiber((fiber) =>
    isTraced(fiber)
      ? Effect.map(send(job, payloads.length, (inner) => enqueueIn(inner, job, payloads, options, identity)), answer)
      : enqueueIn(fiber, job, payloads, options, answer)
  )

const enqueueIn = <A>(
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  payloads: ReadonlyArray<unknown>,
  options: Options | undefined,
  answer: (stored: ReadonlyArray<Stored>) => A
): Effect.Effect<A, EnqueueError | JobStoreError, JobStore> =>
  Effect.flatMapEager(
    begin(fiber, job, options),
    (call) => Effect.flatMapEager(toRecords(call, payloads), (records) => store(call, records, answer))
  )

/** The record of one payload, for who stores it otherwise. */
export const prepareOne = (
  job: Definition,
  payload: unknown,
  options: Options
): Effect.Effect<NewRecord, EnqueueError> =>
  Effect.withFiber((fiber) => Effect.flatMap(begin(fiber, job, options), (call) => toRecord(call, payload, 0)))

/** One call, with all that its records have in common. */
interface Call {
  readonly fiber: Fiber.Fiber<unknown, unknown>
  readonly job: Definition
  readonly options: Options | undefined
  /** The attempt whose children the records are. */
  readonly parent: JobContext["Service"] | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly delay: number
  readonly runAt: number | undefined
  readonly priority: number
  readonly tags: ReadonlyArray<string>
}

const begin = (
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  options: Options | undefined
): Effect.Effect<Call, EnqueueError> => {
  const attempt = Context.getOrUndefined(fiber.context, JobContext)
  const parent = attempt === undefined || fiber.getRef(Detached) ? undefined : attempt
  const checked = options === undefined ? { delay: 0, runAt: undefined, priority: job.priority } : check(job, options)
  if (checked instanceof EnqueueError) return Effect.fail(checked)
  const { delay, priority, runAt } = checked
  const tags = options?.tags === undefined ? job.tags : [...job.tags, ...options.tags]
  return Effect.mapEager(headersOf(fiber, job, options, attempt), (headers) => ({
    fiber,
    job,
    options,
    parent,
    headers,
    delay,
    runAt,
    priority,
    tags
  }))
}

const refused = (job: Definition, option: string, issue: string): EnqueueError =>
  new EnqueueError({ reason: new InvalidOption({ job: job.tag, option, issue }) })

const check = (
  job: Definition,
  { delay, idempotencyKey, priority, runAt }: Options
): Pick<Call, "delay" | "runAt" | "priority"> | EnqueueError => {
  if (delay !== undefined && runAt !== undefined) return refused(job, "runAt", "give either delay or runAt, not both")
  const wait = delay === undefined ? 0 : Duration.toMillis(Duration.fromInputUnsafe(delay))
  if (!(wait >= 0) || wait > 8.64e15) return refused(job, "delay", `must be a finite duration from 0, it is ${wait} ms`)
  let instant: number | undefined
  if (runAt !== undefined) {
    const parsed = DateTime.make(runAt)
    if (parsed._tag === "None") return refused(job, "runAt", `is no valid instant: ${String(runAt)}`)
    instant = DateTime.toEpochMillis(parsed.value)
  }
  const rank = priority === undefined ? job.priority : typeof priority === "string" ? priorities[priority] : priority
  if (!Number.isInteger(rank) || rank < -100 || rank > 100) {
    return refused(job, "priority", `must be low, normal, high or an integer from -100 to 100, it is ${priority}`)
  }
  if (typeof idempotencyKey === "string" && idempotencyKey.length > maxKey) {
    return keyTooLong(job, "idempotencyKey", idempotencyKey)
  }
  return { delay: Math.ceil(wait), runAt: instant, priority: rank }
}

/** Characters of an idempotency, unique or concurrency key: a store may have an index on them. */
const maxKey = 512

const keyTooLong = (job: Definition, option: string, key: string, index?: number): EnqueueError =>
  refused(
    job,
    option,
    `has ${key.length} characters${index === undefined ? "" : ` for payload ${index}`}, at most ${maxKey} are allowed`
  )

const headersOf = (
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  options: Options | undefined,
  attempt: JobContext["Service"] | undefined
): Effect.Effect<Readonly<Record<string, string>>, EnqueueError> => {
  const trace = traceHeaders(fiber)
  if (attempt === undefined && trace === undefined && options?.headers === undefined && job.propagate.length === 0) {
    return Effect.succeed(noHeaders)
  }
  const headers = { ...(attempt === undefined ? {} : inherit(attempt.headers)), ...trace, ...options?.headers }
  if (job.propagate.length === 0) return Effect.succeed(headers)
  return Effect.mapError(
    capture(fiber, job.propagate, headers),
    (error) => refused(job, "propagate", issueOf(error))
  )
}

// ----------------------------------------------------------------------------------------------------------- records

const toRecords = (
  call: Call,
  payloads: ReadonlyArray<unknown>
): Effect.Effect<ReadonlyArray<NewRecord>, EnqueueError> => {
  if (payloads.length === 1) return Effect.mapEager(toRecord(call, payloads[0], 0), (record) => [record])
  return Effect.gen(function*() {
    const records: Array<NewRecord> = []
    for (let i = 0; i < payloads.length; i++) records.push(yield* toRecord(call, payloads[i], i))
    return records
  })
}

const toRecord = (call: Call, input: unknown, index: number): Effect.Effect<NewRecord, EnqueueError> => {
  const { job } = call
  const invalid = (error: unknown) =>
    new EnqueueError({ reason: new InvalidPayload({ job: job.tag, index, issue: issueOf(error) }) })
  return Effect.flatMapEager(
    Effect.mapErrorEager(job.construct(input), invalid),
    (payload) =>
      Effect.flatMapEager(Effect.mapErrorEager(job.payload.encode(payload), invalid), (encoded) => {
        const record = stamp(call, payload, encoded ?? "null", index)
        return record instanceof EnqueueError ? Effect.fail(record) : Effect.succeed(record)
      })
  )
}

const stamp = (call: Call, payload: unknown, json: string, index: number): NewRecord | EnqueueError => {
  const { fiber, job, options } = call
  const bytes = size(json, job.maxPayloadBytes)
  if (bytes > job.maxPayloadBytes) {
    return new EnqueueError({ reason: new TooLarge({ job: job.tag, index, bytes, limit: job.maxPayloadBytes }) })
  }
  const key = options?.idempotencyKey
  const idempotencyKey = typeof key === "function" ? key(payload as never, index) : key
  if (idempotencyKey !== undefined && idempotencyKey.length > maxKey) {
    return keyTooLong(job, "idempotencyKey", idempotencyKey, index)
  }
  const unique = job.unique === undefined || options?.unique === false
    ? undefined
    : { key: job.unique.key(payload as never), until: job.unique.until, onConflict: job.unique.onConflict }
  if (unique !== undefined && unique.key.length > maxKey) return keyTooLong(job, "unique", unique.key, index)
  const concurrency = job.concurrency === undefined
    ? undefined
    : { key: `${job.tag}/${job.concurrency.key(payload as never)}`, limit: job.concurrency.limit }
  if (concurrency !== undefined && concurrency.key.length > maxKey) {
    return keyTooLong(job, "concurrency", concurrency.key, index)
  }
  return {
    id: Uuid.make(fiber),
    tag: job.tag,
    version: job.version,
    queue: job.queue,
    priority: call.priority,
    payload: json,
    delay: call.delay,
    runAt: call.runAt,
    startBefore: job.startBefore,
    retention: job.retention,
    sensitive: job.sensitive(),
    tags: call.tags,
    headers: call.headers,
    idempotencyKey,
    unique,
    concurrency,
    parent: call.parent?.id
  }
}

/** Bytes as UTF-8, counted only when the text could be too long. */
export const size = (json: string, limit: number): number => {
  if (json.length * 3 <= limit) return json.length
  let bytes = json.length
  for (let i = 0; i < json.length; i++) {
    const unit = json.charCodeAt(i)
    // A surrogate is half of four bytes; JSON.stringify leaves no lone one.
    if (unit > 0x7f) bytes += unit > 0x7ff && (unit < 0xd800 || unit > 0xdfff) ? 2 : 1
  }
  return bytes
}

// ----------------------------------------------------------------------------------------------------------- storing

const store = <A>(
  { fiber, job, parent }: Call,
  records: ReadonlyArray<NewRecord>,
  answer: (stored: ReadonlyArray<Stored>) => A
): Effect.Effect<A, EnqueueError | JobStoreError, JobStore> => {
  const by = parent === undefined ? undefined : { id: parent.id, fence: parent.fence }
  const { enqueue } = Context.getUnsafe(fiber.context, JobStore)
  if (records.length <= chunk) {
    return Effect.flatMapEager(enqueue({ records, by }), (answers) => accept(job, records, answers, answer))
  }
  return Effect.gen(function*() {
    const all: Array<Enqueued> = []
    for (let i = 0; i < records.length; i += chunk) {
      all.push(...yield* enqueue({ records: records.slice(i, i + chunk), by }))
    }
    return yield* accept(job, records, all, answer)
  })
}

/** A conflict with a member of a flow is the caller's to solve. */
const accept = <A>(
  job: Definition,
  records: ReadonlyArray<NewRecord>,
  answers: ReadonlyArray<Enqueued>,
  answer: (stored: ReadonlyArray<Stored>) => A
): Effect.Effect<A, EnqueueError> => {
  for (let i = 0; i < answers.length; i++) {
    if (answers[i]!.outcome !== "UniqueConflict") continue
    return Effect.fail(
      new EnqueueError({
        reason: new UniqueConflict({ job: job.tag, key: records[i]!.unique?.key ?? "", holder: answers[i]!.id })
      })
    )
  }
  return Effect.succeed(answer(answers as ReadonlyArray<Stored>))
}
