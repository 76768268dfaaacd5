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
import { JobContext } from "../JobContext.ts"
import { EnqueueError, InvalidOption, InvalidPayload, TooLarge, UniqueConflict } from "../JobError.ts"
import type { JobStoreError } from "../JobError.ts"
import type { JobId } from "../JobRecord.ts"
import { type Enqueued, JobStore, type NewRecord } from "../JobStore.ts"
import type { Definition } from "./definition.ts"
import { capture, inherit } from "./propagate.ts"
import { send, traceHeaders } from "./tracing.ts"
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
  readonly outcome: "Inserted" | "Existing" | "Replaced"
}

/** Enqueues outside the fence of the attempt around it. */
export const Detached = Context.Reference<boolean>("capstan/Detached", { defaultValue: () => false })

/** How many records go to the store in one call. */
const chunk = 1000

export const priorities = { low: -10, normal: 0, high: 10 } as const

const noHeaders: Readonly<Record<string, string>> = Object.freeze({})

export const enqueue = (
  job: Definition,
  payloads: ReadonlyArray<unknown>,
  options: Options | undefined
): Effect.Effect<ReadonlyArray<Stored>, EnqueueError | JobStoreError, JobStore> =>
  Effect.withFiber((fiber) =>
    send(
      fiber,
      job,
      payloads.length,
      (inner) => Effect.flatMapEager(prepare(inner, job, payloads, options), (records) => store(inner, job, records))
    )
  )

/** The record of one payload, for who stores it otherwise. */
export const prepareOne = (
  job: Definition,
  payload: unknown,
  options: Options
): Effect.Effect<NewRecord, EnqueueError> =>
  Effect.withFiber((fiber) => Effect.map(prepare(fiber, job, [payload], options), ([record]) => record!))

const attemptOf = (fiber: Fiber.Fiber<unknown, unknown>): JobContext["Service"] | undefined =>
  fiber.getRef(Detached) ? undefined : Context.getOrUndefined(fiber.context, JobContext)

const store = (
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  records: ReadonlyArray<NewRecord>
): Effect.Effect<ReadonlyArray<Stored>, EnqueueError | JobStoreError, JobStore> => {
  const attempt = attemptOf(fiber)
  const by = attempt === undefined ? undefined : { id: attempt.id, fence: attempt.fence }
  const { enqueue } = Context.getUnsafe(fiber.context, JobStore)
  if (records.length <= chunk) {
    return Effect.flatMapEager(enqueue({ records, by }), (answers) => refuse(job, records, answers))
  }
  return Effect.gen(function*() {
    const all: Array<Enqueued> = []
    for (let i = 0; i < records.length; i += chunk) {
      all.push(...yield* enqueue({ records: records.slice(i, i + chunk), by }))
    }
    return yield* refuse(job, records, all)
  })
}

/** A conflict with a member of a flow is the caller's to solve. */
const refuse = (
  job: Definition,
  records: ReadonlyArray<NewRecord>,
  answers: ReadonlyArray<Enqueued>
): Effect.Effect<ReadonlyArray<Stored>, EnqueueError> => {
  for (let i = 0; i < answers.length; i++) {
    if (answers[i]!.outcome !== "UniqueConflict") continue
    return Effect.fail(
      new EnqueueError({
        reason: new UniqueConflict({ job: job.tag, key: records[i]!.unique?.key ?? "", holder: answers[i]!.id })
      })
    )
  }
  return Effect.succeed(answers as ReadonlyArray<Stored>)
}

const prepare = (
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  payloads: ReadonlyArray<unknown>,
  options: Options | undefined
): Effect.Effect<ReadonlyArray<NewRecord>, EnqueueError> => {
  const stamp = makeStamp(fiber, job, options)
  if (stamp instanceof EnqueueError) return Effect.fail(stamp)
  return Effect.flatMapEager(headersOf(fiber, job, options), (headers) => {
    if (payloads.length === 1) {
      return Effect.mapEager(encode(job, payloads[0], 0), ([payload, json]) => [
        toRecord(fiber, job, stamp, headers, options, payload, json, 0)
      ])
    }
    return Effect.gen(function*() {
      const records: Array<NewRecord> = []
      for (let i = 0; i < payloads.length; i++) {
        const [payload, json] = yield* encode(job, payloads[i], i)
        records.push(toRecord(fiber, job, stamp, headers, options, payload, json, i))
      }
      return records
    })
  })
}

/** What all records of a call have in common. */
interface Stamp {
  readonly delay: number
  readonly runAt: number | undefined
  readonly priority: number
  readonly tags: ReadonlyArray<string>
  readonly attempt: JobContext["Service"] | undefined
}

const makeStamp = (
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  options: Options | undefined
): Stamp | EnqueueError => {
  const attempt = attemptOf(fiber)
  if (options === undefined) return { delay: 0, runAt: undefined, priority: job.priority, tags: job.tags, attempt }
  const refused = (option: string, issue: string) =>
    new EnqueueError({ reason: new InvalidOption({ job: job.tag, option, issue }) })
  const { delay, priority, runAt } = options
  if (delay !== undefined && runAt !== undefined) return refused("runAt", "give either delay or runAt, not both")
  const wait = delay === undefined ? 0 : Duration.toMillis(Duration.fromInputUnsafe(delay))
  if (!(wait >= 0) || wait > 8.64e15) return refused("delay", `must be a finite duration from 0, it is ${wait} ms`)
  let instant: number | undefined
  if (runAt !== undefined) {
    const parsed = DateTime.make(runAt)
    if (parsed._tag === "None") return refused("runAt", `is no valid instant: ${String(runAt)}`)
    instant = DateTime.toEpochMillis(parsed.value)
  }
  const rank = priority === undefined ? job.priority : typeof priority === "string" ? priorities[priority] : priority
  if (!Number.isInteger(rank) || rank < -100 || rank > 100) {
    return refused("priority", `must be low, normal, high or an integer from -100 to 100, it is ${priority}`)
  }
  if (typeof options.idempotencyKey === "string" && options.idempotencyKey.length > maxKey) {
    return refused("idempotencyKey", `has ${options.idempotencyKey.length} characters, at most ${maxKey} are kept`)
  }
  const tags = options.tags === undefined ? job.tags : [...job.tags, ...options.tags]
  return { delay: Math.ceil(wait), runAt: instant, priority: rank, tags, attempt }
}

const maxKey = 512

const headersOf = (
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  options: Options | undefined
): Effect.Effect<Readonly<Record<string, string>>, EnqueueError> => {
  const parent = Context.getOrUndefined(fiber.context, JobContext)
  const trace = traceHeaders(fiber)
  if (parent === undefined && trace === undefined && options?.headers === undefined && job.propagate.length === 0) {
    return Effect.succeed(noHeaders)
  }
  const headers = { ...(parent === undefined ? {} : inherit(parent.headers)), ...trace, ...options?.headers }
  if (job.propagate.length === 0) return Effect.succeed(headers)
  return Effect.mapError(
    capture(fiber, job.propagate, headers),
    (error) =>
      new EnqueueError({ reason: new InvalidOption({ job: job.tag, option: "propagate", issue: String(error) }) })
  )
}

const encode = (
  job: Definition,
  input: unknown,
  index: number
): Effect.Effect<readonly [payload: unknown, json: string], EnqueueError> =>
  Effect.mapErrorEager(
    Effect.flatMapEager(job.make(input), (payload) =>
      Effect.flatMapEager(job.payload.encode(payload), (encoded) => {
        const json = encoded ?? "null"
        const bytes = size(json, job.maxPayloadBytes)
        return bytes > job.maxPayloadBytes
          ? Effect.fail(new TooLarge({ job: job.tag, index, bytes, limit: job.maxPayloadBytes }))
          : Effect.succeed([payload, json] as const)
      })),
    (error) =>
      new EnqueueError({
        reason: error instanceof TooLarge ? error : new InvalidPayload({ job: job.tag, index, issue: String(error) })
      })
  )

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

const toRecord = (
  fiber: Fiber.Fiber<unknown, unknown>,
  job: Definition,
  stamp: Stamp,
  headers: Readonly<Record<string, string>>,
  options: Options | undefined,
  payload: unknown,
  json: string,
  index: number
): NewRecord => {
  const key = options?.idempotencyKey
  return {
    id: Uuid.make(fiber),
    tag: job.tag,
    version: job.version,
    queue: job.queue,
    priority: stamp.priority,
    payload: json,
    delay: stamp.delay,
    runAt: stamp.runAt,
    startBefore: job.startBefore,
    retention: job.retention,
    sensitive: job.sensitive(),
    tags: stamp.tags,
    headers,
    idempotencyKey: typeof key === "function" ? key(payload as never, index) : key,
    unique: job.unique === undefined || options?.unique === false ? undefined : {
      key: job.unique.key(payload as never),
      until: job.unique.until,
      onConflict: job.unique.onConflict
    },
    concurrency: job.concurrency === undefined ? undefined : {
      key: `${job.tag}/${job.concurrency.key(payload as never)}`,
      limit: job.concurrency.limit
    },
    parent: stamp.attempt?.id
  }
}
