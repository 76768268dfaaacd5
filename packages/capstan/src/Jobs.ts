/**
 * Looking at records and acting on them: the only way in for dashboards, command lines and HTTP.
 *
 * Guarantees: what a job marks as sensitive never leaves it unmasked; every action is idempotent, works in bounded chunks
 * and says how many records it changed; figures are maintained by the store and never scanned.
 *
 * **Gotchas**: in the message of a declared error a sensitive value is found as it is encoded. What shows a part of it, or the
 * value in another form, is not; nor is what the message of a defect or a line of a log says.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as DateTime from "effect/DateTime"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as Conditions from "./internal/conditions.ts"
import { millis } from "./internal/definition.ts"
import { sample } from "./internal/depth.ts"
import { shown, toMillis } from "./internal/duration.ts"
import { checkEdit, editAndReplay, enqueueJson, fromInput, fromJson, payloadIssue } from "./internal/edit.ts"
import { priorities } from "./internal/enqueue.ts"
import { holding } from "./internal/limit.ts"
import { pageOf } from "./internal/page.ts"
import { masked } from "./internal/view.ts"
import type * as Job from "./Job.ts"
import { type EnqueueError, JobControlError, type JobStoreError } from "./JobError.ts"
import { cancel as cancelOne, type CancelAnswer } from "./JobHandle.ts"
import * as JobLimit from "./JobLimit.ts"
import type { EnqueueOptions } from "./JobOptions.ts"
import type { JobId, JobRecord } from "./JobRecord.ts"
import {
  type ControlAction,
  type ControlOutcome,
  JobStore,
  type KeyRow,
  type LimitRow,
  type LimitSettings,
  type Selection,
  type Stats,
  type StoreEvent
} from "./JobStore.ts"

/**
 * Which records, and which page of them.
 *
 * @category models
 * @since 0.1.0
 */
export interface Query extends Selection {
  /**
   * Which come first, by when they were enqueued.
   *
   * @default "newest"
   */
  readonly order?: "newest" | "oldest" | undefined
  /**
   * From 1 to 1,000.
   *
   * @default 50
   */
  readonly limit?: number | undefined
  /**
   * What stands inside of the payload, by JSON pointer: `{ "/to": "ada@example.com" }`. No store has an index of it: records are read
   * among those that the other conditions leave, of which there must be one, 10,000 a page at most. A page that is not full has a
   * cursor then, and `looked` says at how many it stopped. What is masked is found by nothing but its mask.
   *
   * @default none
   */
  readonly payload?: Readonly<Record<string, string | number | boolean | null>> | undefined
  /** The cursor of the page before. */
  readonly cursor?: string | undefined
}

/**
 * One page of records. It may have fewer than the limit, or none, and still a cursor: one call looks at a bounded number of records,
 * some ten thousand, and says where it stopped. Only without a cursor there are no more.
 *
 * @category models
 * @since 0.1.0
 */
export interface Page {
  readonly records: ReadonlyArray<JobRecord>
  /** Present while there may be more. */
  readonly cursor: Option.Option<string>
  /** At how many records the call looked, those that do not match included; absent where the store does not count it. */
  readonly looked: number | undefined
}

/**
 * What an action did to the records that were selected.
 *
 * @category models
 * @since 0.1.0
 */
export interface Counts {
  /** Records that are now as the action has it. */
  readonly changed: number
  /** Running records that were asked to stop. */
  readonly requested: number
  /** Records that the action does not apply to: it was done already, or they are in another state. */
  readonly unchanged: number
  /** Ids that no record has, or not any more. */
  readonly notFound: number
}

/**
 * What a limit is of: a queue, or the keys of a `JobLimit`, by its name.
 *
 * @category models
 * @since 0.1.0
 */
export type LimitOf = { readonly queue: string } | { readonly key: string }

/**
 * A limit as it stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Limit {
  readonly of: LimitOf
  /** That of the code whose proposal holds; none while only an operator has set it. */
  readonly release: Option.Option<number>
  readonly proposed: LimitSettings
  readonly override: Option.Option<LimitSettings>
  /** What workers keep to. */
  readonly holds: LimitSettings
}

/**
 * How one key of a limit stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface LimitedKey extends Omit<KeyRow, "limitedUntil"> {
  /** Until when nothing of it starts, in epoch milliseconds: its circuit is open, or a handler said so. */
  readonly limitedUntil: Option.Option<number>
}

/**
 * A record that was enqueued, or that which stands for it: by its idempotency key, or its unique one.
 *
 * @category models
 * @since 0.1.0
 */
export interface EnqueuedJson {
  readonly id: JobId
  readonly outcome: "Inserted" | "Existing" | "Replaced" | "Deferred"
}

/**
 * The operations.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shape {
  /** One record with its history, progress and logs; none where it is not there, or not any more. */
  readonly get: (id: string) => Effect.Effect<Option.Option<JobRecord>, JobStoreError>
  /**
   * One page of the records that match, in one call of the store: however many it has, a bounded number is looked at. The cursor of
   * a page stays valid while records come and go. A `limit` out of its range fails.
   */
  readonly query: (query: Query) => Effect.Effect<Page, JobStoreError | JobControlError>
  /** All records that match, page by page, in bounded memory: of what is rare it may look at every record of the store. */
  readonly stream: (query: Omit<Query, "cursor">) => Stream.Stream<JobRecord, JobStoreError | JobControlError>
  /**
   * What each queue holds by state, and which workers there are. Maintained with every write, so as cheap for a million
   * records as for ten.
   */
  readonly stats: Effect.Effect<Stats, JobStoreError>
  /** Events from now on; hints, of which a slow reader misses some and is told so. */
  readonly events: Stream.Stream<StoreEvent, JobStoreError>
  /**
   * Cancels one record: one that waits at once, one that runs by interrupting its fiber. `reason` is kept with it, and
   * awaiters are told.
   */
  readonly cancel: (id: string, options: { readonly reason: string }) => Effect.Effect<CancelAnswer, JobStoreError>
  /** The same for all that match. Records that run are counted as `requested`. */
  readonly cancelMany: (
    where: Selection,
    options: { readonly reason: string }
  ) => Effect.Effect<Counts, JobStoreError | JobControlError>
  /**
   * Runs final records again with a fresh budget of attempts, and scheduled ones now.
   *
   * As with every call that takes conditions, one that it does not know fails, so that a word which nobody reads does not meet every
   * record.
   */
  readonly retry: (where: Selection) => Effect.Effect<Counts, JobStoreError | JobControlError>
  /**
   * Replaces the payload of one record through the job's schema, and runs it again. A record that runs is left alone.
   *
   * What was stamped at the enqueue stays: the unique and concurrency keys are those of the old payload. Cancel the record
   * and enqueue another one where they must follow.
   */
  readonly editAndReplay: <J extends Job.Any>(
    job: J,
    id: string,
    payload: J["payloadSchema"]["~type.make.in"]
  ) => Effect.Effect<
    ControlOutcome,
    EnqueueError | JobStoreError | JobControlError,
    J["payloadSchema"]["EncodingServices"]
  >
  /**
   * The same with the payload as JSON, as `get` shows it: for pages and command lines, where somebody has changed some of it. What
   * is masked in it stays as it was.
   *
   * It is read by the job's schema of now, whatever version the record has. A mask where the record has nothing to keep is
   * refused, and so is one in a list that has become longer or shorter: which value it stands for is not known.
   */
  readonly editAndReplayJson: <J extends Job.Any>(
    job: J,
    id: string,
    json: string
  ) => Effect.Effect<
    ControlOutcome,
    EnqueueError | JobStoreError | JobControlError,
    J["payloadSchema"]["DecodingServices"] | J["payloadSchema"]["EncodingServices"]
  >
  /** Fails as `editAndReplayJson` would for that payload, and changes nothing. */
  readonly checkEditJson: <J extends Job.Any>(
    job: J,
    id: string,
    json: string
  ) => Effect.Effect<
    void,
    EnqueueError | JobStoreError | JobControlError,
    J["payloadSchema"]["DecodingServices"] | J["payloadSchema"]["EncodingServices"]
  >
  /**
   * What hinders a worker with this declaration from reading the payload of a record, which would end as `InvalidPayload` at once; none
   * where nothing does. It is read by the version that the record has and lifted to the job's own, and what is masked is no
   * part of the answer.
   *
   * Only a record of which something is masked is asked for again.
   */
  readonly payloadIssue: <J extends Job.Any>(
    job: J,
    record: JobRecord
  ) => Effect.Effect<
    Option.Option<string>,
    JobStoreError | JobControlError,
    J["payloadSchema"]["DecodingServices"]
  >
  /**
   * Enqueues a record of a job whose payload is given as JSON: for pages and command lines, where somebody has written it. It is
   * read by the job's schema of now.
   */
  readonly enqueueJson: <J extends Job.Any>(
    job: J,
    json: string,
    options?: EnqueueOptions
  ) => Effect.Effect<
    EnqueuedJson,
    EnqueueError | JobStoreError,
    J["payloadSchema"]["DecodingServices"] | J["payloadSchema"]["EncodingServices"]
  >
  /** Makes scheduled records ready now. */
  readonly promote: (where: Selection) => Effect.Effect<Counts, JobStoreError | JobControlError>
  /** Gives waiting records another due instant: a delay from now, or an instant. */
  readonly reschedule: (
    where: Selection,
    options: { readonly delay: Duration.Input } | { readonly runAt: DateTime.DateTime.Input }
  ) => Effect.Effect<Counts, JobStoreError | JobControlError>
  /** Gives waiting records another priority; within it they keep their places. One out of -100 to 100 fails. */
  readonly reprioritise: (
    where: Selection,
    priority: "low" | "normal" | "high" | number
  ) => Effect.Effect<Counts, JobStoreError | JobControlError>
  /** Removes records that are not running. */
  readonly delete: (where: Selection) => Effect.Effect<Counts, JobStoreError | JobControlError>
  /** Stops claims from a queue in every worker; what runs goes on. Says whether it was running. */
  readonly pause: (queue: string) => Effect.Effect<boolean, JobStoreError>
  /** Says whether it was paused. */
  readonly resume: (queue: string) => Effect.Effect<boolean, JobStoreError>
  /** All limits, each with what code proposed, what an operator set, and which holds. */
  readonly limits: Effect.Effect<ReadonlyArray<Limit>, JobStoreError>
  /**
   * Sets a limit by hand, from the next claim on, in every worker. It wins over what code proposes, setting by setting, until
   * it is cleared. More than the limit may run when it was lowered: nothing is stopped, and nothing starts.
   */
  readonly setLimit: (
    of: LimitOf,
    options: JobLimit.KeyOptions
  ) => Effect.Effect<Limit, JobStoreError | JobControlError>
  /** Lets what code proposes hold again. */
  readonly clearLimit: (of: LimitOf) => Effect.Effect<Limit, JobStoreError>
  /** How the keys of a limit stand, by name: those for which something waits or runs, or that are limited. */
  readonly keys: (limit: string) => Stream.Stream<LimitedKey, JobStoreError>
  /** Cancels everything of a queue that waits. What runs goes on. */
  readonly drain: (queue: string) => Effect.Effect<Counts, JobStoreError>
  /** Removes the final records that match: history. */
  readonly purge: (where: Selection) => Effect.Effect<Counts, JobStoreError | JobControlError>
}

/**
 * The service for looking and acting.
 *
 * @category service
 * @since 0.1.0
 */
export class Jobs extends Context.Service<Jobs, Shape>()("capstan/Jobs") {}

/** How many records one call to the store looks at. */
const chunk = 500

/**
 * The service over the program's store.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer: Layer.Layer<Jobs, never, JobStore> = Layer.effect(
  Jobs,
  Effect.map(JobStore, (store): Shape => {
    const act = (action: ControlAction, where: Selection) =>
      Effect.andThen(Conditions.known(where), controlAll(store, action, where))
    const page = (query: Query) => pageOf(store, query)
    return {
      get: (id) => Effect.map(store.get(id as JobId), (record) => Option.map(Option.fromUndefinedOr(record), masked)),
      query: page,
      stream: (query) =>
        Stream.paginate(
          undefined as string | undefined,
          (cursor) =>
            // One call looks at so many records only. Others go on between two.
            Effect.map(
              Effect.tap(page({ ...query, cursor }), Effect.yieldNow),
              (found) => [found.records, Option.map(found.cursor, (next): string | undefined => next)] as const
            )
        ),
      stats: store.stats,
      events: store.events,
      cancel: (id, { reason }) => cancelOne(store, id as JobId, reason),
      cancelMany: (where, { reason }) => act({ _tag: "Cancel", reason }, where),
      retry: (where) => act({ _tag: "Retry" }, where),
      editAndReplay: (job, id, payload) => editAndReplay(store, job, id as JobId, fromInput(job, payload)),
      editAndReplayJson: (job, id, json) => editAndReplay(store, job, id as JobId, fromJson(job, json)),
      checkEditJson: (job, id, json) => checkEdit(store, job, id as JobId, fromJson(job, json)),
      payloadIssue: (job, record) => payloadIssue(store, job, record),
      enqueueJson: (job, json, options) => Effect.provideService(enqueueJson(job, json, options), JobStore, store),
      promote: (where) => act({ _tag: "Promote" }, where),
      reschedule: (where, options) =>
        Effect.flatMap(dueOf(options), (due) => act({ _tag: "Reschedule", ...due }, where)),
      reprioritise: (where, priority) =>
        Effect.flatMap(rankOf(priority), (rank) => act({ _tag: "Reprioritise", priority: rank }, where)),
      delete: (where) => act({ _tag: "Delete" }, where),
      pause: (queue) => store.pause(queue, true),
      resume: (queue) => store.pause(queue, false),
      limits: Effect.map(store.limits([]), (rows) => rows.map(limitOf)),
      setLimit: (of, options) =>
        Effect.flatMap(checkedSettings(of, options), (settings) => override(store, of, settings)),
      clearLimit: (of) => override(store, of, undefined),
      keys: (limit) =>
        Stream.paginate(
          undefined as string | undefined,
          (after) =>
            Effect.map(store.keys({ name: `@${limit}`, limit: chunk, after }), (rows) =>
              [
                rows.map((row): LimitedKey => ({
                  ...row,
                  key: row.key.slice(limit.length + 2),
                  limitedUntil: Option.fromUndefinedOr(row.limitedUntil)
                })),
                rows.length < chunk ? Option.none() : Option.some(rows.at(-1)!.key)
              ] as const)
        ),
      drain: (queue) =>
        controlAll(store, { _tag: "Cancel", reason: `queue ${queue} was drained` }, {
          queue,
          states: ["blocked", "scheduled", "ready"]
        }),
      purge: (where) =>
        act({ _tag: "Delete" }, {
          ...where,
          states: (where.states ?? ["completed", "cancelled", "dead"]).filter((state) =>
            state === "completed" || state === "cancelled" || state === "dead"
          )
        })
    }
  })
)

/**
 * Keeps the gauges `capstan_records` (by queue and state) and `capstan_oldest_ready_seconds` (by queue) up to date.
 *
 * **When to use**
 *
 * In one process of those that share a store, beside an exporter of metrics. Workers update all other metrics by
 * themselves.
 *
 * **Details**
 *
 * It reads the figures that the store maintains; nothing is scanned. While the store is away the gauges keep their values.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerMetrics = (
  options?: {
    /**
     * How often the figures are read.
     *
     * @default 15 seconds
     */
    readonly interval?: Duration.Input | undefined
  }
): Layer.Layer<never, never, JobStore> => {
  const interval = millis("metrics", "interval", options?.interval ?? "15 seconds")
  return Layer.effectDiscard(Effect.flatMap(JobStore, (store) => sample(store, Math.max(1, interval))))
}

const limitOf = (row: LimitRow): Limit => ({
  of: row.name.startsWith("@") ? { key: row.name.slice(1) } : { queue: row.name },
  release: row.release < 0 ? Option.none() : Option.some(row.release),
  proposed: row.proposed,
  override: Option.fromUndefinedOr(row.override),
  holds: holding(row)
})

const override = (store: JobStore["Service"], of: LimitOf, settings: LimitSettings | undefined) => {
  const name = "queue" in of ? of.queue : `@${of.key}`
  return Effect.map(
    store.limits([{ _tag: "Override", name, settings }]),
    (rows) => limitOf(rows.find((row) => row.name === name) ?? { name, release: -1, proposed: {}, override: undefined })
  )
}

const checkedSettings = (of: LimitOf, options: JobLimit.KeyOptions): Effect.Effect<LimitSettings, JobControlError> =>
  Effect.try({
    try: () => "queue" in of ? JobLimit.settingsOf("limit", options) : JobLimit.keySettingsOf("limit", options),
    catch: (error) =>
      new JobControlError({ option: "limit", issue: error instanceof Error ? error.message : String(error) })
  })

/** Chunk after chunk, so that no call to the store is unbounded. An interruption stops between two chunks. */
const controlAll = (
  store: JobStore["Service"],
  action: ControlAction,
  where: Selection
): Effect.Effect<Counts, JobStoreError> =>
  Effect.gen(function*() {
    const counts = { changed: 0, requested: 0, unchanged: 0, notFound: 0 }
    let cursor: string | undefined
    do {
      const reply = yield* store.control({ action, where, limit: chunk, cursor })
      for (const { outcome } of reply.outcomes) counts[countOf[outcome]]++
      cursor = reply.cursor
    } while (cursor !== undefined)
    return counts
  })

const countOf = { Changed: "changed", Requested: "requested", Unchanged: "unchanged", NotFound: "notFound" } as const

const dueOf = (
  options: { readonly delay: Duration.Input } | { readonly runAt: DateTime.DateTime.Input }
): Effect.Effect<{ readonly delay: number; readonly runAt?: number }, JobControlError> => {
  if ("delay" in options) {
    const delay = toMillis(options.delay)
    return delay >= 0 && delay <= 8.64e15
      ? Effect.succeed({ delay: Math.ceil(delay) })
      : Effect.fail(
        new JobControlError({
          option: "delay",
          issue: `must be a finite duration from 0, it is ${shown(options.delay, delay)}`
        })
      )
  }
  const instant = DateTime.make(options.runAt)
  return instant._tag === "Some"
    ? Effect.succeed({ delay: 0, runAt: DateTime.toEpochMillis(instant.value) })
    : Effect.fail(new JobControlError({ option: "runAt", issue: `is no valid instant: ${String(options.runAt)}` }))
}

const rankOf = (priority: "low" | "normal" | "high" | number): Effect.Effect<number, JobControlError> => {
  const rank = typeof priority === "string" ? priorities[priority] : priority
  return Number.isInteger(rank) && rank >= -100 && rank <= 100
    ? Effect.succeed(rank)
    : Effect.fail(
      new JobControlError({
        option: "priority",
        issue: `must be low, normal, high or an integer from -100 to 100, it is ${priority}`
      })
    )
}
