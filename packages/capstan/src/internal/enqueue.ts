/**
 * From a typed payload to a stored record: construct, encode, measure, stamp, store.
 *
 * Guarantee: nothing of the call is stored unless all of it is sound; a call inside a handler carries the attempt's
 * fence, so a stale attempt leaves no child behind (P3).
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { JobContext } from "../JobContext.ts"
import {
  EnqueueError,
  Incompatible,
  InvalidOption,
  InvalidPayload,
  JobStoreError,
  TooLarge,
  UniqueConflict
} from "../JobError.ts"
import { type AttemptRef, type Enqueued, JobStore, type NewRecord } from "../JobStore.ts"
import { issueOf } from "./codec.ts"
import type { Definition } from "./definition.ts"
import { shown, toMillis } from "./duration.ts"
import { telling } from "./order.ts"
import { capture, inherit } from "./propagate.ts"
import { isStored, type Stored } from "./stored.ts"
import { nameOf } from "./subscription.ts"
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

/** Enqueues outside the fence of the attempt around it. */
export const Detached = Context.Reference<boolean>("capstan/Detached", { defaultValue: () => false })

/** How many records go to the store in one call. */
export const chunk = 1000

export const priorities = { low: -10, normal: 0, high: 10 } as const

const followed = { followed: true } as const

const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

/** Stores one record, and answers what `answer` makes of it. */
export const enqueueOne = <A>(
  job: Definition,
  payload: unknown,
  options: Options | undefined,
  answer: (job: Definition, stored: Stored) => A
): Effect.Effect<A, EnqueueError | JobStoreError, JobStore> =>
  Effect.withFiber((fiber) =>
    isTraced(fiber)
      ? Effect.map(send(job, 1, (inner) => storeMany(inner, job, [payload], options)), ([one]) => answer(job, one!))
      : Effect.flatMapEager(begin(fiber, job, options), (call) =>
        Effect.flatMapEager(toRecord(fiber, call, payload, 0), (record) => {
          const records = [record]
          return Effect.flatMapEager(
            storeOf(fiber).enqueue({ records, by: call.by }),
            ([one]) =>
              isStored(one!)
                ? Effect.succeed(answer(job, one))
                : Effect.fail(refusalOf(records, [one!]))
          )
        }))
  )

/** Stores a record for each payload, in chunks. */
export const enqueueMany = (
  job: Definition,
  payloads: ReadonlyArray<unknown>,
  options: Options | undefined
): Effect.Effect<ReadonlyArray<Stored>, EnqueueError | JobStoreError, JobStore> =>
  Effect.withFiber((fiber) =>
    isTraced(fiber)
      ? send(job, payloads.length, (inner) => storeMany(inner, job, payloads, options))
      : storeMany(fiber, job, payloads, options)
  )

const storeMany = Effect.fnUntraced(function*(
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  payloads: ReadonlyArray<unknown>,
  options: Options | undefined
): Effect.fn.Return<ReadonlyArray<Stored>, EnqueueError | JobStoreError> {
  const call = yield* begin(fiber, job, options)
  const all: Array<NewRecord> = []
  for (let i = 0; i < payloads.length; i++) all.push(yield* toRecord(fiber, call, payloads[i], i))
  const stored: Array<Stored> = []
  for (let i = 0; i < all.length; i += chunk) {
    const records = all.length <= chunk ? all : all.slice(i, i + chunk)
    const answers = yield* storeOf(fiber).enqueue({ records, by: call.by })
    if (!answers.every(isStored)) return yield* Effect.fail(refusalOf(records, answers))
    stored.push(...answers)
  }
  return stored
})

const storeOf = (fiber: Fiber.Fiber<unknown, unknown>): JobStore["Service"] =>
  Context.getUnsafe(fiber.context, JobStore)

/**
 * Why nothing of a call is stored. A conflict with a member of a flow is the caller's to solve; that a record is refused and
 * none is to blame is the store's fault.
 */
export const refusalOf = (
  records: ReadonlyArray<NewRecord>,
  answers: ReadonlyArray<Enqueued>
): EnqueueError | JobStoreError => {
  const at = answers.findIndex(({ outcome }) => outcome === "UniqueConflict")
  if (at >= 0) {
    const { tag, unique } = records[at]!
    return new EnqueueError({
      reason: new UniqueConflict({ job: tag, key: unique?.key ?? "", holder: answers[at]!.id })
    })
  }
  const detail = `it refused job ${records[0]!.tag} and named no conflict, so nothing of the call is stored`
  return new JobStoreError({ reason: new Incompatible({ operation: "enqueue", detail }) })
}

/** The record of one payload, for who stores it otherwise. */
export const prepareOne = (
  job: Definition,
  payload: unknown,
  options: Options
): Effect.Effect<NewRecord, EnqueueError> =>
  Effect.withFiber((fiber) => Effect.flatMap(begin(fiber, job, options), (call) => toRecord(fiber, call, payload, 0)))

/** The records of some payloads, for who stores them otherwise. */
export const prepareMany = (
  job: Definition,
  payloads: ReadonlyArray<unknown>,
  options: Options
): Effect.Effect<ReadonlyArray<NewRecord>, EnqueueError> =>
  Effect.withFiber((fiber) =>
    Effect.flatMap(
      begin(fiber, job, options),
      (call) => Effect.forEach(payloads, (payload, index) => toRecord(fiber, call, payload, index))
    )
  )

/** The attempt on whose behalf a fiber enqueues. */
export const attemptOf = (fiber: Fiber.Fiber<unknown, unknown>): AttemptRef | undefined => {
  const attempt = Context.getOrUndefined(fiber.context, JobContext)
  return attempt === undefined || fiber.getRef(Detached) ? undefined : { id: attempt.id, fence: attempt.fence }
}

/** One call, with all that its records have in common. */
interface Call {
  readonly job: Definition
  readonly options: Options | undefined
  /** The attempt whose children the records are. */
  readonly by: AttemptRef | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly delay: number
  readonly runAt: number | undefined
  readonly priority: number
  readonly tags: ReadonlyArray<string>
}

/** The call without options, outside of an attempt and a trace, by job: that of most records. */
const plain = new WeakMap<Definition, Effect.Effect<Call>>()

const begin = (
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  options: Options | undefined
): Effect.Effect<Call, EnqueueError> => {
  const first = job.limit === undefined
    ? undefined
    : telling(fiber, job, Context.getOrUndefined(fiber.context, JobStore))
  return first === undefined
    ? callOf(fiber, job, options)
    : Effect.flatMapEager(first, () => callOf(fiber, job, options))
}

const callOf = (
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  options: Options | undefined
): Effect.Effect<Call, EnqueueError> => {
  const attempt = Context.getOrUndefined(fiber.context, JobContext)
  const trace = traceHeaders(fiber)
  if (options === undefined && attempt === undefined && trace === undefined && job.propagate.length === 0) {
    let call = plain.get(job)
    if (call === undefined) plain.set(job, call = Effect.succeed(toCall(job, options, undefined, {}, noHeaders)))
    return call
  }
  const by = attempt === undefined ? undefined : attemptOf(fiber)
  const checked = options === undefined ? {} : check(job, options)
  if (checked instanceof EnqueueError) return Effect.fail(checked)
  const headers = { ...(attempt === undefined ? {} : inherit(attempt.headers)), ...trace, ...options?.headers }
  return Effect.mapBothEager(
    job.propagate.length === 0 ? Effect.succeed(headers) : capture(fiber, job.propagate, headers),
    {
      onFailure: (error) => refused(job, "propagate", issueOf(error)),
      onSuccess: (headers) => toCall(job, options, by, checked, headers)
    }
  )
}

const toCall = (
  job: Definition,
  options: Options | undefined,
  by: AttemptRef | undefined,
  { delay = 0, priority = job.priority, runAt }: Partial<Pick<Call, "delay" | "runAt" | "priority">>,
  headers: Readonly<Record<string, string>>
): Call => ({
  job,
  options,
  by,
  headers,
  delay,
  runAt,
  priority,
  tags: options?.tags === undefined ? job.tags : [...job.tags, ...options.tags]
})

const refused = (job: Definition, option: string, issue: string): EnqueueError =>
  new EnqueueError({ reason: new InvalidOption({ job: job.tag, option, issue }) })

const check = (
  job: Definition,
  { delay, idempotencyKey, priority, runAt }: Options
): Pick<Call, "delay" | "runAt" | "priority"> | EnqueueError => {
  if (delay !== undefined && runAt !== undefined) return refused(job, "runAt", "give either delay or runAt, not both")
  const wait = delay === undefined ? 0 : toMillis(delay)
  if (!(wait >= 0) || wait > 8.64e15) {
    return refused(job, "delay", `must be a finite duration from 0, it is ${shown(delay!, wait)}`)
  }
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

/** Characters of an idempotency, unique, concurrency, batch or partition key: a store may have an index on them. */
export const maxKey = 512

const keyTooLong = (job: Definition, option: string, key: string, index?: number): EnqueueError =>
  refused(
    job,
    option,
    `has ${key.length} characters${index === undefined ? "" : ` for payload ${index}`}, at most ${maxKey} are allowed`
  )

// ----------------------------------------------------------------------------------------------------------- records

const toRecord = (
  fiber: Fiber.Fiber<unknown, unknown>,
  call: Call,
  input: unknown,
  index: number
): Effect.Effect<NewRecord, EnqueueError> => {
  const { job } = call
  return job.isConstructed()
    ? Effect.flatMapEager(
      Effect.mapErrorEager(job.make(input), (error) => invalid(job, index, error)),
      (payload) => encode(fiber, call, payload, index)
    )
    : encode(fiber, call, input, index)
}

const encode = (
  fiber: Fiber.Fiber<unknown, unknown>,
  call: Call,
  payload: unknown,
  index: number
): Effect.Effect<NewRecord, EnqueueError> =>
  Effect.flatMapEager(
    Effect.mapErrorEager(call.job.payload.encode(payload), (error) => invalid(call.job, index, error)),
    (json) => stamp(fiber, call, payload, json ?? "null", index)
  )

const invalid = (job: Definition, index: number, error: unknown): EnqueueError =>
  new EnqueueError({ reason: new InvalidPayload({ job: job.tag, index, issue: issueOf(error) }) })

const stamp = (
  fiber: Fiber.Fiber<unknown, unknown>,
  call: Call,
  payload: unknown,
  json: string,
  index: number
): Effect.Effect<NewRecord, EnqueueError> => {
  const { job, options } = call
  const bytes = size(json, job.maxPayloadBytes)
  if (bytes > job.maxPayloadBytes) {
    return Effect.fail(
      new EnqueueError({ reason: new TooLarge({ job: job.tag, index, bytes, limit: job.maxPayloadBytes }) })
    )
  }
  const key = options?.idempotencyKey
  const idempotencyKey = typeof key === "function" ? key(payload as never, index) : key
  if (idempotencyKey !== undefined && idempotencyKey.length > maxKey) {
    return Effect.fail(keyTooLong(job, "idempotencyKey", idempotencyKey, index))
  }
  const unique = job.unique === undefined || options?.unique === false
    ? undefined
    : { ...job.unique, key: job.unique.key(payload as never) }
  if (unique !== undefined && unique.key.length > maxKey) {
    return Effect.fail(keyTooLong(job, "unique", unique.key, index))
  }
  const concurrency = job.concurrency === undefined
    ? undefined
    : { key: `${job.concurrency.space}/${job.concurrency.key(payload as never)}`, limit: job.concurrency.limit }
  if (concurrency !== undefined && concurrency.key.length > maxKey) {
    return Effect.fail(keyTooLong(job, "concurrency", concurrency.key, index))
  }
  const partitionKey = job.partition?.(payload as never)
  if (partitionKey !== undefined && partitionKey.length > maxKey) {
    return Effect.fail(keyTooLong(job, "partition", partitionKey, index))
  }
  const cancelOn = namesOf(job, job.cancelOn, payload)
  const completeOn = namesOf(job, job.completeOn, payload)
  const cancelled = cancelOn?.find(isTooLong)
  if (cancelled !== undefined) return Effect.fail(keyTooLong(job, "cancelOn", cancelled, index))
  const completed = completeOn?.find(isTooLong)
  if (completed !== undefined) return Effect.fail(keyTooLong(job, "completeOn", completed, index))
  const batchKey = job.batch?.key?.(payload as never)
  if (batchKey !== undefined && batchKey.length > maxKey) {
    return Effect.fail(keyTooLong(job, "batch", batchKey, index))
  }
  return Effect.succeed({
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
    batchKey,
    partitionKey,
    parent: call.by?.id,
    cancelOn,
    completeOn,
    ...(job.next?.failure === undefined ? undefined : followed)
  })
}

/** Of the events that do something to a record with this payload. */
const namesOf = (job: Definition, events: Definition["cancelOn"], payload: unknown) =>
  events.length === 0 ? undefined : events.map((event) => nameOf(event, job.tag, event.key(payload as never)))

const isTooLong = (name: string): boolean => name.length > 2 * maxKey

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
