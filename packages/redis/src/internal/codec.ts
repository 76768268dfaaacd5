/**
 * Between the seam's records and the texts that scripts take and answer.
 *
 * Fields, records and groups are divided by control characters, which no JSON text has; where another text has one, it is
 * escaped. So a batch is one argument and a reply is one text: the client neither sends nor reads thousands of elements.
 */
import { type JobRecord, JobStore } from "capstan"
import * as Ids from "./ids.ts"
import { separators } from "./lua/context.ts"
import { among, type Routed, type RoutedDependency, type RoutedSnooze, to } from "./partitions/route.ts"

export const { field, group, record } = separators

// oxlint-disable-next-line no-control-regex
const special = /[\x1b-\x1f]/g
const escape = "\x1b"

/** Text without any of the characters that divide. */
export const clean = (text: string): string =>
  text.search(special) < 0 ? text : text.replace(special, (c) => escape + String.fromCharCode(c.charCodeAt(0) + 64))

// oxlint-disable-next-line no-control-regex
const escaped = /\x1b([[-_])/g

export const unclean = (text: string): string =>
  text.includes(escape) ? text.replace(escaped, (_, c: string) => String.fromCharCode(c.charCodeAt(0) - 64)) : text

/** The same for text inside of JSON that Lua reads: half of a surrogate pair is none of its characters. */
const tidy = (text: string): string => clean(text.toWellFormed())

/** Numbers of a retention: empty is for ever, and as many as there are. */
const bound = (value: number): string => value === Infinity ? "" : String(Math.ceil(value))
const keepOf = ({ age, count }: JobRecord.Keep): string => `${bound(age)},${bound(count)}`

const retentions = new WeakMap<JobRecord.Retention, string>()

const retentionOf = (retention: JobRecord.Retention): string => {
  let text = retentions.get(retention)
  if (text === undefined) {
    text = `${keepOf(retention.completed)};${keepOf(retention.cancelled)};${keepOf(retention.dead)}`
    retentions.set(retention, text)
  }
  return text
}

/** What records of a kind share. */
type Kind = Pick<JobStore.NewRecord, "tag" | "queue" | "retention" | "priority" | "version">

const isSameKind = (a: Kind, b: Kind): boolean =>
  a.tag === b.tag && a.queue === b.queue && a.priority === b.priority && a.version === b.version &&
  (a.retention === b.retention || retentionOf(a.retention) === retentionOf(b.retention))

/** Most records are of the same kind as the one before. */
let last: Kind & { readonly text: string } | undefined

/** Job, queue, retention, priority, payload version. */
const kindOf = (of: Kind): string => {
  if (last !== undefined && isSameKind(last, of)) return last.text
  const { priority, queue, retention, tag, version } = of
  const text = clean(tag) + field + clean(queue) + field + retentionOf(retention) + field + priority + field + version
  last = { priority, queue, retention, tag, version, text }
  return text
}

const hasMembers = (object: object): boolean => {
  for (const _ in object) return true
  return false
}

/** What only readers look at; empty for most. */
const specOf = (record: JobStore.NewRecord): string => {
  const { batchKey, concurrency, flowId, followed, headers, idempotencyKey, parent, rateKey, tags, unique } = record
  const hasHeaders = hasMembers(headers)
  if (
    tags.length === 0 && !hasHeaders && idempotencyKey === undefined && unique === undefined &&
    concurrency === undefined && rateKey === undefined && batchKey === undefined && flowId === undefined &&
    parent === undefined && followed === undefined
  ) return ""
  return JSON.stringify({
    tags: tags.length > 0 ? tags : undefined,
    headers: hasHeaders ? headers : undefined,
    idempotencyKey,
    uniqueKey: unique?.key,
    concurrencyKey: concurrency?.key,
    rateKey,
    batchKey,
    flowId,
    parent,
    followed
  })
}

const sensitiveOf = (sensitive: JobRecord.Sensitive): string =>
  sensitive.payload.length + sensitive.result.length + sensitive.error.length + sensitive.progress.length === 0
    ? ""
    : JSON.stringify(sensitive)

/** Spec, places to mask, payload; the payload alone where there is nothing else. */
const restOf = (record: JobStore.NewRecord): string => {
  const spec = specOf(record)
  const sensitive = sensitiveOf(record.sensitive)
  const payload = clean(record.payload)
  return spec === "" && sensitive === "" ? payload : spec + field + sensitive + field + payload
}

/** A record whose storing takes more than putting it there. */
export const isSpecial = (record: Routed): boolean =>
  record[to] !== undefined ||
  record.idempotencyKey !== undefined || record.unique !== undefined || record.concurrency !== undefined ||
  record.startBefore !== undefined || record.flowId !== undefined || record.parent !== undefined ||
  record.tags.length > 0 || record.dependents !== undefined || record.cancelOn !== undefined ||
  record.completeOn !== undefined ||
  (record.dependencies !== undefined && record.dependencies.length > 0)

/** Workers are UUIDs, and other texts elsewhere. */
export const packWorker = (worker: string): string => Ids.pack(worker) ?? `~${clean(worker)}`

export const unpackWorker = (packed: string): string =>
  packed.startsWith("~") ? unclean(packed.slice(1)) : Ids.unpack(packed)

/** Ids that are none cannot be stored: core makes UUIDs. */
export const packId = (id: string): string => Ids.pack(id) ?? "......................"

/** A plain record that may run now. */
export const isNow = (record: JobStore.NewRecord): boolean => record.runAt === undefined && record.delay <= 0

export const oneArgs = (record: JobStore.NewRecord): ReadonlyArray<string> => [
  kindOf(record),
  clean(record.queue),
  String(record.priority),
  packId(record.id),
  restOf(record)
]

/** Arguments of an enqueue of plain records: for each run of one kind a head, how many, and the records. */
export const plainArgs = (records: ReadonlyArray<JobStore.NewRecord>): ReadonlyArray<string> => {
  const args: Array<string> = [""]
  let last: JobStore.NewRecord | undefined
  let from = 0
  for (const one of records) {
    const isSame = last !== undefined && isSameKind(last, one) && last.delay === one.delay && last.runAt === one.runAt
    if (!isSame) {
      if (last !== undefined) args[from - 1] = String((args.length - from) / 2)
      const runAt = one.runAt === undefined ? "" : Math.ceil(one.runAt)
      from = args.push(kindOf(one) + record + Math.ceil(one.delay) + record + runAt, "")
      last = one
    }
    args.push(packId(one.id), restOf(one))
  }
  args[from - 1] = String((args.length - from) / 2)
  return args
}

const uniqueOf = ({ key, maxWait, onConflict, until }: JobStore.UniqueClaim): unknown => ({
  maxWait,
  key: tidy(key),
  policy: onConflict,
  started: until === "started" ? true : undefined,
  window: typeof until === "object" ? Math.ceil(until.windowMillis) : undefined
})

const policies: Readonly<Record<JobStore.OnDependencyFailure, string>> = {
  fail: "0",
  cancelSiblings: "1",
  continue: "2"
}

const edgesOf = (dependencies: ReadonlyArray<RoutedDependency> | undefined): unknown =>
  dependencies === undefined || dependencies.length === 0
    ? undefined
    : dependencies.map(({ id, name, onFailure = "fail", [to]: other }) => ({
      id: packId(id),
      name: tidy(name),
      policy: policies[onFailure],
      to: other
    }))

/** It does something to other records before it is stored. */
export const isEvent = ({ cancels, completes }: JobStore.EnqueueRequest): boolean =>
  cancels !== undefined || completes !== undefined

/** What that is. */
export const eventsOf = ({ cancels = [], completes = [] }: JobStore.EnqueueRequest): string =>
  JSON.stringify([
    ...cancels.map(({ on, reason }) => ({ on: tidy(on), reason: tidy(reason) })),
    ...completes.map(({ on, value, waitpoint }) => ({
      on: tidy(on),
      waitpoint: tidy(waitpoint),
      value: tidy(value)
    }))
  ])

/** A record of any kind. One for another partition goes as a text that nobody here reads. */
export const specialOf = (record: Routed): unknown => sent(record, wholeOf(record))

/** One that a settlement or a tick brings: it is stored without its unique key rather than refused. */
export const certainOf = (record: Routed): unknown =>
  record.unique === undefined ? specialOf(record) : sent(record, { ...wholeOf(record), anyway: true })

const sent = (record: Routed, whole: object): unknown =>
  record[to] === undefined ? whole : { to: record[to], id: packId(record.id), text: JSON.stringify(whole) }

const wholeOf = (record: JobStore.NewRecord): object => ({
  id: packId(record.id),
  tag: tidy(record.tag),
  kind: kindOf(record).toWellFormed(),
  delay: Math.ceil(record.delay),
  runAt: record.runAt === undefined ? undefined : Math.ceil(record.runAt),
  startBefore: record.startBefore === undefined ? undefined : Math.ceil(record.startBefore),
  idempotencyKey: record.idempotencyKey === undefined ? undefined : tidy(record.idempotencyKey),
  unique: record.unique === undefined ? undefined : uniqueOf(record.unique),
  key: record.concurrency === undefined ? undefined : tidy(record.concurrency.key),
  limit: record.concurrency?.limit,
  // What each does has a name of its own.
  listens: record.cancelOn === undefined && record.completeOn === undefined
    ? undefined
    : [...record.cancelOn ?? [], ...record.completeOn ?? []].map(tidy),
  labels: record.tags.length === 0 ? undefined : record.tags.map(tidy),
  flow: record.flowId === undefined ? undefined : tidy(record.flowId),
  parent: record.parent === undefined ? undefined : packId(record.parent),
  dependencies: edgesOf(record.dependencies),
  dependents: edgesOf(record.dependents),
  rest: restOf(record).toWellFormed()
})

export const isPlainEnd = ({ children, outcome }: JobStore.Settlement): boolean =>
  outcome._tag === "Complete" && (children === undefined || children.length === 0)

/**
 * Completions, by fence and duration: most are the first attempts of jobs that end within a millisecond or two, so that an id
 * is all that there is of one. Answers their places in the order in which they go out, too.
 */
export const completionsOf = (
  settlements: ReadonlyArray<JobStore.Settlement>
): { readonly text: string; readonly order: ReadonlyArray<number> } => {
  const groups = new Map<string, { readonly ids: Array<string>; readonly places: Array<number> }>()
  for (let i = 0; i < settlements.length; i++) {
    const settlement = settlements[i]!
    if (!isPlainEnd(settlement)) continue
    const { fence, finishedAfter, id, outcome, trace } = settlement
    const result = outcome._tag === "Complete" ? outcome.result : undefined
    const isBare = result === undefined && trace === undefined
    const head = fence + field + Math.ceil(finishedAfter) + field
    const key = isBare ? head : head + i
    let group = groups.get(key)
    if (group === undefined) groups.set(key, group = { ids: [], places: [] })
    group.places.push(i)
    if (isBare) group.ids.push(packId(id))
    else group.ids.push(packId(id) + field + clean(trace ?? "") + (result === undefined ? "" : field + clean(result)))
  }
  const order: Array<number> = []
  const parts: Array<string> = []
  for (const [key, { ids, places }] of groups) {
    parts.push(key.slice(0, key.lastIndexOf(field) + 1) + ids.join(""))
    for (const place of places) order.push(place)
  }
  return { text: parts.join(record), order }
}

/** All of a failure but attempt and instant, which the store puts before it. */
const failureOf = (failure: JobStore.NewFailure): string => tidy(JSON.stringify(failure)).slice(1)

export const settlementOf = (
  { children, fence, finishedAfter, id, outcome, trace }: JobStore.Settlement
): unknown => {
  const failure = "failure" in outcome ? outcome.failure : undefined
  return {
    id: packId(id),
    fence,
    after: Math.ceil(finishedAfter),
    trace: trace === undefined ? undefined : tidy(trace),
    outcome: outcome._tag,
    delay: "delay" in outcome && outcome.delay !== undefined ? Math.ceil(outcome.delay) : undefined,
    closes: outcome._tag === "SnoozeFor" ? outcome.closes : undefined,
    partitions: outcome._tag === "SnoozeFor" ? (outcome as RoutedSnooze)[among] : undefined,
    uncharged: outcome._tag === "RetryAfter" && outcome.uncharged === true ? true : undefined,
    failure: failure === undefined ? undefined : failureOf(failure),
    failureTag: failure?.tag === undefined ? undefined : tidy(failure.tag),
    reason: "reason" in outcome ? tidy(outcome.reason) : undefined,
    waitpoint: outcome._tag === "WaitFor" ? tidy(outcome.waitpoint) : undefined,
    result: outcome._tag === "Complete" && outcome.result !== undefined ? tidy(outcome.result) : undefined,
    children: children === undefined || children.length === 0 ? undefined : children.map(certainOf)
  }
}

export const writeOf = (entry: JobStore.WriteEntry): unknown => {
  const at = { kind: entry._tag, id: packId(entry.at.id), fence: entry.at.fence }
  switch (entry._tag) {
    case "Step":
      return {
        ...at,
        name: tidy(entry.name),
        value: tidy(entry.value),
        replaces: entry.replaces === undefined ? undefined : tidy(entry.replaces),
        undo: entry.undo
      }
    case "Progress":
      return { ...at, value: tidy(entry.value) }
    case "Log":
      return { ...at, lines: entry.lines.map((line) => line.toWellFormed()) }
  }
}

/** JSON has no infinity. */
const instantOf = (millis: number | undefined): number | undefined =>
  millis === undefined ? undefined : Math.max(-1e15, Math.min(1e15, millis))

export const whereOf = (where: JobStore.Selection): string =>
  JSON.stringify({
    tag: where.tag === undefined ? undefined : tidy(where.tag),
    queue: where.queue === undefined ? undefined : tidy(where.queue),
    states: where.states,
    deadReason: where.deadReason,
    blockedReason: where.blockedReason,
    errorTag: where.errorTag === undefined ? undefined : tidy(where.errorTag),
    label: where.label === undefined ? undefined : tidy(where.label),
    flowId: where.flowId === undefined ? undefined : tidy(where.flowId),
    parent: where.parent === undefined ? undefined : packId(where.parent),
    concurrencyKey: where.concurrencyKey === undefined ? undefined : tidy(where.concurrencyKey),
    worker: where.worker === undefined ? undefined : packWorker(where.worker),
    // What a worker holds runs: it is found by its claims.
    ...where.worker !== undefined && where.states === undefined && where.deadReason === undefined &&
        where.blockedReason === undefined
      ? { states: ["running"] }
      : {},
    enqueuedFrom: instantOf(where.enqueuedFrom),
    enqueuedBefore: instantOf(where.enqueuedBefore)
  })

export const actionOf = (action: JobStore.ControlAction): string =>
  JSON.stringify({
    kind: action._tag,
    reason: action._tag === "Cancel" ? tidy(action.reason) : undefined,
    rest: action._tag === "Retry" && action.payload !== undefined
      ? sensitiveOf(action.payload.sensitive) + field + tidy(action.payload.json)
      : undefined,
    version: action._tag === "Retry" ? action.payload?.version : undefined,
    delay: action._tag === "Reschedule" ? Math.ceil(action.delay) : undefined,
    runAt: action._tag === "Reschedule" && action.runAt !== undefined ? Math.ceil(action.runAt) : undefined,
    priority: action._tag === "Reprioritise" ? action.priority : undefined
  })
