/**
 * From the options of a declaration to its definition: defaults filled in, ranges checked, codecs ready to be compiled.
 */
import type * as Schema from "effect/Schema"
import { keySettingsOf } from "../JobLimit.ts"
import type { Batch, Options, PreviousVersion } from "../JobOptions.ts"
import type { Sensitive } from "../JobRecord.ts"
import type { Completion, Match, Subscription } from "../Topic.ts"
import * as Codec from "./codec.ts"
import * as D from "./definition.ts"
import { priorities } from "./enqueue.ts"
import type { Requests } from "./request.ts"
import { pointers } from "./sensitive.ts"
import { listen, numbered, subscribe } from "./subscription.ts"

/** The options of a declaration without the types that its generic signature has checked. */
export interface Given extends
  Omit<
    Options<Schema.Top, Schema.Top, Schema.Top, Schema.Top, string>,
    "payload" | "previous" | "on" | "cancelOn" | "completeOn" | "onComplete" | "onFailure"
  >
{
  readonly payload?: Schema.Top | Schema.Struct.Fields
  readonly previous?: ReadonlyArray<PreviousVersion<unknown>>
  readonly on?: ReadonlyArray<Subscription<unknown>>
  readonly cancelOn?: ReadonlyArray<{ readonly event: Match; readonly payload: (payload: never) => string }>
  readonly completeOn?: ReadonlyArray<{ readonly event: Completion; readonly payload: (payload: never) => string }>
  readonly batch?: Batch<unknown>
  readonly onComplete?: (end: never) => Requests
  readonly onFailure?: (end: never) => Requests
}

/** The schemas of a job, all of them given. */
export interface Schemas {
  readonly payloadSchema: Schema.Top
  readonly successSchema: Schema.Top
  readonly errorSchema: Schema.Top
  readonly progressSchema: Schema.Top
}

/** Throws where an option cannot be meant. */
export const define = (tag: string, schemas: Schemas, options: Given): D.Definition => {
  const { priority, unique } = options
  const version = options.version ?? 1
  const until = unique?.until ?? "finished"
  const matches = numbered((options.cancelOn ?? []).map(({ event }) => event["~match"]))
  const completions = numbered((options.completeOn ?? []).map(({ event }) => event["~completion"]))
  if (unique?.onConflict === "trailing" && typeof until !== "object") {
    throw new Error(`job ${tag}, option unique.until: what trails does so at the end of a window: give { window }`)
  }
  let sensitive: Sensitive | undefined
  const job: D.Definition = {
    tag: D.name(tag, "tag", tag),
    version: D.integer(tag, "version", version, 1, 1_000_000),
    previous: previousOf(tag, version, options.previous ?? []),
    queue: D.name(tag, "queue", options.queue ?? "default"),
    priority: D.integer(
      tag,
      "priority",
      typeof priority === "string" ? priorities[priority] : priority ?? 0,
      -100,
      100
    ),
    maxPayloadBytes: D.integer(
      tag,
      "maxPayloadBytes",
      options.maxPayloadBytes ?? D.defaultMaxPayloadBytes,
      1,
      Number.MAX_SAFE_INTEGER
    ),
    startBefore: options.startBefore === undefined ? undefined : D.millis(tag, "startBefore", options.startBefore),
    retention: D.retention(tag, options.retention),
    tags: options.tags ?? [],
    propagate: (options.propagate ?? []).map((propagated) => propagated["~propagation"]),
    sensitive: () =>
      sensitive ??= {
        payload: pointers(schemas.payloadSchema),
        result: pointers(schemas.successSchema),
        error: pointers(schemas.errorSchema),
        progress: pointers(schemas.progressSchema)
      },
    unique: unique === undefined ? undefined : {
      key: unique.key as (payload: never) => string,
      until: typeof until === "object" ? { windowMillis: D.millis(tag, "unique.until.window", until.window) } : until,
      onConflict: unique.onConflict ?? "keep",
      maxWait: maxWaitOf(tag, unique)
    },
    partition: options.partition as ((payload: never) => string) | undefined,
    ...keyOf(tag, options),
    cancelOn: matches.map(({ nth, subscriptions: { topic } }, i) => ({
      topic,
      nth,
      key: options.cancelOn![i]!.payload
    })),
    completeOn: completions.map(({ nth, subscriptions: { topic }, waitpoint }, i) => ({
      topic,
      waitpoint,
      nth,
      key: options.completeOn![i]!.payload
    })),
    batch: options.batch === undefined ? undefined : {
      size: D.integer(tag, "batch.size", options.batch.size, 1, 1000),
      within: D.millis(tag, "batch.within", options.batch.within),
      key: options.batch.key as ((payload: never) => string) | undefined
    },
    policy: D.runPolicy(tag, options as D.RunOptions),
    next: options.onComplete === undefined && options.onFailure === undefined
      ? undefined
      : { complete: options.onComplete, failure: options.onFailure },
    make: (payload) => schemas.payloadSchema.makeEffect(payload),
    isConstructed: Codec.isConstructed(schemas.payloadSchema),
    payload: Codec.make(schemas.payloadSchema),
    success: Codec.make(schemas.successSchema),
    error: Codec.make(schemas.errorSchema),
    progress: Codec.make(schemas.progressSchema)
  }
  subscribe(job, (options.on ?? []).map((subscription) => subscription["~subscription"]))
  listen(job, matches, completions)
  return job
}

const maxWaitOf = (tag: string, { maxWait, onConflict }: NonNullable<Given["unique"]>): number | undefined => {
  if (maxWait === undefined) return undefined
  if (onConflict === "replace" || onConflict === "reschedule") return D.millis(tag, "unique.maxWait", maxWait)
  throw new Error(`job ${tag}, option unique.maxWait: only onConflict "replace" and "reschedule" put a record off`)
}

/** A record has one key: of its job alone, or of a space that jobs share. */
const keyOf = (tag: string, options: Given): Pick<D.Definition, "concurrency" | "limit"> => {
  const { breaker, concurrency, limit } = options
  if (limit === undefined) {
    if (breaker !== undefined) return ownLimit(tag, "breaker", options)
    if (concurrency?.order === "fair") return ownLimit(tag, "concurrency.order", options)
  } else if (breaker !== undefined) {
    throw D.invalid(
      tag,
      "breaker",
      `give it to the limit ${limit.by.name.slice(1)}, which has a circuit for each of its keys`
    )
  }
  if (limit !== undefined) {
    if (concurrency !== undefined) {
      throw new Error(`job ${tag}, option limit: a record has one key: give either concurrency or limit, not both`)
    }
    const { name, settings } = limit.by
    const key = limit.key as (payload: never) => string
    return {
      concurrency: { key, limit: Math.min(settings.concurrency ?? most, settings.rate?.burst ?? most), space: name },
      limit: { name, settings }
    }
  }
  return {
    concurrency: concurrency === undefined ? undefined : {
      key: concurrency.key as (payload: never) => string,
      limit: D.integer(tag, "concurrency.limit", concurrency.limit, 1, most),
      space: tag
    },
    limit: undefined
  }
}

const most = 1_000_000

/** Circuits and turns belong to the keys of a space: a job that has them has the space of its name for itself. */
const ownLimit = (
  tag: string,
  option: string,
  { breaker, concurrency }: Given
): Pick<D.Definition, "concurrency" | "limit"> => {
  if (tag.includes("/")) {
    throw D.invalid(
      tag,
      option,
      "its tag has a /, which the name of a limit cannot have: give the option limit one instead"
    )
  }
  const name = `@${tag}`
  const slots = concurrency === undefined ? undefined : D.integer(tag, "concurrency.limit", concurrency.limit, 1, most)
  const key = concurrency === undefined ? () => "all" : concurrency.key as (payload: never) => string
  return {
    concurrency: { key, limit: slots ?? most, space: name, isWhole: concurrency === undefined },
    limit: { name, settings: keySettingsOf(tag, { concurrency: slots, order: concurrency?.order, breaker }) }
  }
}

const previousOf = (
  tag: string,
  version: number,
  previous: ReadonlyArray<PreviousVersion<unknown>>
): ReadonlyArray<D.Previous> => {
  let last = 0
  for (const older of previous) {
    D.integer(tag, "previous", older.version, last + 1, version - 1)
    last = older.version
  }
  return previous
}
