/**
 * Between the seam's records and the columns that they are kept in.
 *
 * What most records do not have, and no statement looks at, is one JSON text (`spec`); a record with the default retention
 * and nothing else has none at all.
 */
import type { JobRecord, JobStore } from "capstan"
import { JobRecord as Records } from "capstan"

const day = 24 * 60 * 60 * 1000

/** What `age` and `keep_count` in the schema answer for a record without retention of its own. */
const defaults: JobRecord.Retention = {
  completed: { age: day, count: Infinity },
  cancelled: { age: 7 * day, count: Infinity },
  dead: { age: 30 * day, count: Infinity }
}

const outcomes = ["completed", "cancelled", "dead"] as const

/** `NULL` for the defaults, else the ages and counts by outcome. */
export const retentionOf = (retention: JobRecord.Retention): string | null =>
  outcomes.every((outcome) =>
      retention[outcome].age === defaults[outcome].age && retention[outcome].count === defaults[outcome].count
    )
    ? null
    // JSON has no Infinity: null keeps for ever, and does not count. The schema knows by the 0 that nothing is kept.
    : JSON.stringify(outcomes.map((outcome) => {
      const { age, count } = retention[outcome]
      return count === 0 ? [0, null] : [age > longest ? null : age, count > most ? null : count]
    }))

/** What a column of history holds. Nobody keeps more, or sees the end of it: it is no bound. */
const most = 2 ** 31 - 1
/** Of what an instant can be. */
const longest = 8.64e15

/** The rest of a record. */
interface Spec {
  readonly tags?: ReadonlyArray<string>
  readonly headers?: Readonly<Record<string, string>>
  readonly sensitive?: JobRecord.Sensitive
  readonly idempotencyKey?: string
  readonly uniqueKey?: string
  readonly startBefore?: number
  readonly rateKey?: string
  readonly batchKey?: string
  readonly flowId?: string
  readonly parent?: string
  readonly cancelOn?: ReadonlyArray<string>
  readonly followed?: true
}

const nothingSensitive: JobRecord.Sensitive = { payload: [], result: [], error: [], progress: [] }
const empty: Readonly<Record<string, never>> = Object.freeze({})

const isEmpty = (object: object): boolean => {
  for (const _ in object) return false
  return true
}

/** Events that do something to a record. What each does has a name of its own, so they are kept together. */
const listensTo = ({ cancelOn, completeOn }: JobStore.NewRecord): ReadonlyArray<string> | undefined =>
  completeOn === undefined ? cancelOn : [...cancelOn ?? [], ...completeOn]

export const specOf = (record: JobStore.NewRecord): string | null => {
  const { batchKey, flowId, followed, headers, idempotencyKey, parent, rateKey, sensitive, tags, unique } = record
  const { startBefore } = record
  const cancelOn = listensTo(record)
  const isSensitive = sensitive.payload.length + sensitive.result.length + sensitive.error.length +
      sensitive.progress.length > 0
  if (
    tags.length === 0 && !isSensitive && idempotencyKey === undefined && unique === undefined &&
    startBefore === undefined && rateKey === undefined && batchKey === undefined && flowId === undefined &&
    parent === undefined && cancelOn === undefined && followed === undefined && isEmpty(headers)
  ) return null
  return toSpec({
    tags: tags.length > 0 ? tags : undefined,
    headers: isEmpty(headers) ? undefined : headers,
    sensitive: isSensitive ? sensitive : undefined,
    idempotencyKey,
    uniqueKey: unique?.key,
    startBefore,
    rateKey,
    batchKey,
    flowId,
    parent,
    cancelOn,
    followed
  })
}

/** JSON writes as a number what few texts have; among them is what Postgres takes in none. */
const toSpec = (spec: object): string => {
  const text = JSON.stringify(spec)
  return text.includes("\\u") ? hold(text) : text
}

const parseSpec = (text: unknown): Spec => typeof text === "string" ? JSON.parse(release(text)) : empty

/** A record that is stored by itself: another one may have its key already, or wait for it. */
export const isSpecial = (record: JobStore.NewRecord): boolean =>
  record.idempotencyKey !== undefined || record.unique !== undefined ||
  (record.dependencies !== undefined && record.dependencies.length > 0) || record.dependents !== undefined ||
  // Its id follows from its flow's: it may have been stored before, and have ended.
  record.flowId !== undefined || listensTo(record) !== undefined

/** It does something to other records before it is stored. */
export const isEvent = ({ cancels, completes }: JobStore.EnqueueRequest): boolean =>
  cancels !== undefined || completes !== undefined

/** What that is. */
export const eventsJson = ({ cancels = [], completes = [] }: JobStore.EnqueueRequest): string =>
  JSON.stringify([...cancels, ...completes].map((event) => ({ ...event, on: held(event.on) })))

/** A record whose storing may have to wait for another transaction that has the same key. */
export const mayWait = (record: JobStore.NewRecord): boolean =>
  record.idempotencyKey !== undefined || record.unique !== undefined

const onFailures: Readonly<Record<JobStore.OnDependencyFailure, number>> = { fail: 0, cancelSiblings: 1, continue: 2 }

const edges = (dependencies: ReadonlyArray<JobStore.Dependency> | undefined): unknown =>
  dependencies === undefined || dependencies.length === 0
    ? undefined
    : dependencies.map(({ id, name, onFailure = "fail" }) => ({ id, name, onFailure: onFailures[onFailure] }))

/**
 * A batch of records of any kind. Of one that is one thing, those that others wait for are told so, so that nobody has to lock
 * them for it.
 */
export const batchJson = ({ records, whole }: JobStore.EnqueueRequest): string => {
  if (whole === undefined) return JSON.stringify(records.map(toJson))
  const own = new Set(records.map(({ id }) => id))
  const awaited = new Set(records.flatMap(({ dependencies }) => dependencies?.map(({ id }) => id) ?? []))
  return JSON.stringify(records.map((record) => ({
    ...toJson(record),
    again: undefined,
    awaited: awaited.has(record.id) || record.dependents !== undefined ? true : undefined,
    within: record.dependencies?.every(({ id }) => own.has(id))
  })))
}

/** A record of any kind as `enqueue_one` takes it. Priorities are kept negated: one ascending index serves claims. */
export const toJson = (record: JobStore.NewRecord): object => ({
  id: record.id,
  tag: record.tag,
  version: record.version,
  queue: record.queue,
  priority: -record.priority,
  payload: record.payload,
  delay: Math.ceil(record.delay),
  runAt: record.runAt === undefined ? undefined : Math.ceil(record.runAt),
  startBefore: record.startBefore,
  retention: retentionOf(record.retention),
  spec: specOf(record),
  idempotencyKey: record.idempotencyKey === undefined ? undefined : held(record.idempotencyKey),
  uniqueKey: record.unique === undefined ? undefined : held(record.unique.key),
  onConflict: record.unique?.onConflict,
  untilStarted: record.unique?.until === "started" ? true : undefined,
  window: typeof record.unique?.until === "object" ? record.unique.until.windowMillis : undefined,
  maxWait: record.unique?.maxWait,
  key: record.concurrency === undefined ? undefined : held(record.concurrency.key),
  keyLimit: record.concurrency?.limit,
  awaited: record.dependents === undefined ? undefined : true,
  again: record.flowId === undefined ? undefined : true,
  cancelOn: listensTo(record)?.map(held),
  dependencies: edges(record.dependencies),
  dependents: edges(record.dependents)
})

/** Whether a record may have this id: what is none is in no place where one is looked for. */
export const isId = (text: string): boolean => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)

/** Whether some record may hold this text: the store takes no NUL. */
export const isHeld = (text: string): boolean => !text.includes("\u0000")

/** What Postgres refuses in text and JSON: the character NUL, and half of a surrogate pair. */
export const clean = (text: string): string => text.toWellFormed().replaceAll("\u0000", "\ufffd")

/**
 * What must be read back as it was has what Postgres takes in neither text nor JSON as its number behind a control character, and
 * that one too: NUL as U+001A and `0000`. So have it the labels, headers and keys of a record, and what is looked for among them.
 */
export const held = (text: string): string => isSuspect.test(text) ? JSON.parse(hold(JSON.stringify(text))) : text

export const given = (text: string): string =>
  text.includes("\u001a") ? JSON.parse(release(JSON.stringify(text))) : text

// oxlint-disable-next-line no-control-regex
const isSuspect = /[\u0000\u001a\ud800-\udfff]/

/** The same of all texts in a JSON. What follows a backslash is taken with it: it may be another one. */
const hold = (json: string): string =>
  json.replace(
    /\\(?:u(0000|001a|d[89a-f][0-9a-f]{2})|.)/g,
    (all: string, code: string | undefined) => code === undefined ? all : `\\u001a${code}`
  )

const release = (json: string): string =>
  !json.includes("\\u001a") ? json : json.replace(
    /\\(?:u001a(0000|001a|d[89a-f][0-9a-f]{2})|.)/g,
    (all: string, code: string | undefined) => code === undefined ? all : `\\u${code}`
  )

export const failureJson = (failure: JobStore.NewFailure): unknown => ({
  kind: failure.kind,
  tag: failure.tag === undefined ? undefined : clean(failure.tag),
  message: clean(failure.message),
  error: failure.error
})

const isWait = ({ _tag }: JobStore.Outcome): boolean =>
  _tag === "WaitForChildren" || _tag === "WaitFor" || _tag === "SnoozeFor"

/** Anything but a completion without children. */
export const settlementJson = (
  { children, fence, finishedAfter, id, outcome, trace }: JobStore.Settlement
): unknown => ({
  id,
  fence,
  after: Math.ceil(finishedAfter),
  trace,
  outcome: outcome._tag,
  delay: "delay" in outcome && outcome.delay !== undefined ? Math.ceil(outcome.delay) : undefined,
  uncharged: outcome._tag === "RetryAfter" && outcome.uncharged === true ? true : undefined,
  failure: "failure" in outcome && outcome.failure !== undefined ? failureJson(outcome.failure) : undefined,
  reason: "reason" in outcome ? clean(outcome.reason) : undefined,
  closes: outcome._tag === "SnoozeFor" ? outcome.closes : undefined,
  waitpoint: outcome._tag === "WaitFor" ? outcome.waitpoint : undefined,
  result: outcome._tag === "Complete" ? outcome.result : undefined,
  children: children === undefined || children.length === 0 ? undefined : children.map(
    (child) => ({
      ...toJson(child),
      awaited: outcome._tag === "WaitForChildren" || outcome._tag === "WaitFor" ? true : undefined,
      // An attempt that waits for it once more has the id of the one before.
      again: isWait(outcome) || child.flowId !== undefined ? true : undefined
    })
  )
})

export const writeJson = (entry: JobStore.WriteEntry): unknown => {
  const at = { kind: entry._tag, id: entry.at.id, fence: entry.at.fence }
  switch (entry._tag) {
    case "Step":
      return { ...at, name: entry.name, value: entry.value, replaces: entry.replaces, undo: entry.undo }
    case "Progress":
      return { ...at, value: entry.value }
    case "Log":
      return { ...at, lines: entry.lines.map(clean) }
  }
}

/** A claimed record, and where it lay in its queue: priority as it is kept (negated), then turn, then place. */
export interface ClaimedLine {
  readonly claimed: JobStore.Claimed & { payload: string }
  /** How many bytes its payload has, where that is to be asked for: else 0. */
  readonly owed: number
  readonly priority: number
  readonly turn: number
  readonly place: number
}

/** What a claim took of a queue, in no order; the claim's number. */
export interface ClaimedLines {
  readonly queue: string
  readonly num: number
  readonly lines: Array<ClaimedLine>
}

/** What few records have, in the order of `claim.ts`. */
type Rest = readonly [
  crashes: number,
  begunAt: number,
  readyAt: number,
  turn: number,
  spec: Spec | null,
  failures: ReadonlyArray<JobRecord.Failure> | null,
  extra: {
    readonly checkpoints: Record<string, string> | null
    readonly results: Record<string, string | null> | null
    readonly isCut: boolean | null
  } | null
]

const none: ReadonlyArray<never> = []

/** Between claims, their lines and their columns: control characters, which JSON has as escapes alone, and names not at all. */
const separators = { claim: "\x1d", line: "\x1e", column: "\x1f" }

/** The two parts of a reply to an exchange: its JSON, and the claims. */
export const partsOf = (reply: string): readonly [json: string, claims: ReadonlyArray<string>] => {
  const end = reply.indexOf(separators.claim)
  return end < 0 ? [reply, none] : [reply.slice(0, end), reply.slice(end + 1).split(separators.claim)]
}

export const toClaimedLines = (now: number) => (claim: string): ClaimedLines => {
  const [head, ...lines] = claim.split(separators.line)
  const [queue, num] = head!.split(separators.column)
  return { queue: queue!, num: Number(num), lines: lines.map((line) => toClaimedLine(queue!, now, line)) }
}

/** A record without a rest has begun now, and was ready when it was enqueued. */
const toClaimedLine = (queue: string, now: number, line: string): ClaimedLine => {
  const columns = line.split(separators.column)
  const enqueuedAt = Number(columns[6])
  const rest: Rest = columns.length > 9 ? JSON.parse(columns[9]!) : [0, now, enqueuedAt, 0, null, null, null]
  const spec: Spec = rest[4] === null
    ? empty
    : columns[9]!.includes("\\u001a")
    ? parseSpec(JSON.stringify(rest[4]))
    : rest[4]
  const extra = rest[6]
  const priority = Number(columns[3])
  const payload = columns[8]!
  const claimed = {
    id: columns[0] as JobRecord.JobId,
    tag: columns[1]!,
    version: Number(columns[2]),
    queue,
    priority: priority === 0 ? 0 : -priority,
    payload,
    attempt: Number(columns[4]),
    fence: Number(columns[5]),
    crashes: rest[0],
    enqueuedAt,
    begunAt: rest[1],
    readyAt: rest[2],
    failures: rest[5] ?? none,
    tags: spec.tags ?? none,
    headers: spec.headers ?? empty,
    idempotencyKey: spec.idempotencyKey,
    parent: spec.parent as JobRecord.JobId | undefined,
    flowId: spec.flowId,
    batchKey: spec.batchKey,
    checkpoints: extra?.checkpoints ?? empty,
    dependencies: extra?.results == null ? empty : withoutNulls(extra.results)
  }
  return {
    claimed: extra?.isCut === true ? { ...claimed, isCut: true } : claimed,
    owed: payload.startsWith("=") ? Number(payload.slice(1)) : 0,
    priority,
    turn: rest[3],
    place: Number(columns[7])
  }
}

const withoutNulls = (results: Record<string, string | null>): Record<string, string | undefined> =>
  Object.fromEntries(Object.entries(results).map(([name, result]) => [name, result ?? undefined]))

/** A row of the view that readers have: see `query.ts`. */
export interface ReadRow {
  readonly id: JobRecord.JobId
  readonly state: number
  readonly at: number
  readonly enqueued_at: number
  readonly expire_at: number | null
  readonly fence: number
  readonly attempt: number
  readonly version: number
  readonly priority: number
  readonly crashes: number
  readonly flags: number
  readonly queue: string
  readonly tag: string
  readonly key: string | null
  readonly worker: string | null
  readonly reason: string | null
  readonly blocked_on: string | null
  readonly cancel: string | null
  readonly spec: string | null
  readonly attempts: string | null
  readonly failures: string | null
  readonly progress: string | null
  readonly logs: string | null
  readonly result: string | null
  readonly payload: string
  /** Of a single record that is read. */
  readonly checkpoints?: Record<string, string> | null
}

export const states: ReadonlyArray<JobRecord.State> = [
  "ready",
  "running",
  "scheduled",
  "blocked",
  "completed",
  "cancelled",
  "dead"
]

const optional = <A>(value: A | null): A | undefined => value ?? undefined

export const toRecord = (row: ReadRow): JobRecord.JobRecord => {
  const spec = parseSpec(row.spec)
  const state = states[row.state]!
  return {
    id: row.id,
    tag: row.tag,
    version: row.version,
    queue: row.queue,
    priority: row.priority === 0 ? 0 : -row.priority,
    state,
    payload: row.payload,
    result: optional(row.result),
    attempt: row.attempt,
    fence: row.fence,
    crashes: row.crashes,
    enqueuedAt: row.enqueued_at,
    dueAt: state === "scheduled" || state === "blocked" && (row.flags & 64) === 64 ? row.at : undefined,
    claimedAt: state === "running" ? row.at : undefined,
    worker: optional(row.worker),
    finishedAt: Records.isFinal(state) ? row.at : undefined,
    expiresAt: optional(row.expire_at),
    blocked: state === "blocked" && row.reason !== null
      ? {
        reason: row.reason as JobRecord.BlockedReason,
        on: row.blocked_on === null ? undefined : given(row.blocked_on)
      }
      : undefined,
    deadReason: state === "dead" ? row.reason as JobRecord.DeadReason : undefined,
    cancelRequested: state === "cancelled" ? optional(row.reason) : optional(row.cancel),
    progress: optional(row.progress),
    failures: row.failures === null ? none : JSON.parse(row.failures),
    attempts: row.attempts === null ? none : JSON.parse(row.attempts),
    // History keeps it as it was: null of a record that had progress or steps, and no log.
    logs: row.logs === null ? none : JSON.parse(row.logs) ?? none,
    tags: spec.tags ?? none,
    headers: spec.headers ?? empty,
    idempotencyKey: spec.idempotencyKey,
    uniqueKey: spec.uniqueKey,
    concurrencyKey: row.key === null ? undefined : given(row.key),
    rateKey: spec.rateKey,
    batchKey: spec.batchKey,
    flowId: spec.flowId,
    parent: spec.parent as JobRecord.JobId | undefined,
    checkpoints: row.checkpoints ?? undefined,
    sensitive: spec.sensitive ?? nothingSensitive
  }
}
