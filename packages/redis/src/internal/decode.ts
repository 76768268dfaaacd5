/** Replies of scripts as the seam's records. */
import { JobRecord, type JobStore } from "capstan"
import { field, group, record, unclean, unpackWorker } from "./codec.ts"
import * as Ids from "./ids.ts"

interface Kind {
  readonly tag: string
  readonly queue: string
  readonly priority: number
  readonly version: number
}

export type Kinds = ReadonlyMap<string, Kind>

/** The last reply's kinds: it is the same text while the same jobs run. */
let lastText = ""
let lastKinds: Kinds = new Map()

export const kindsOf = (text: string): Kinds => {
  if (text === lastText) return lastKinds
  const kinds = new Map<string, Kind>()
  for (const each of text === "" ? [] : text.split(record)) {
    const [number, rest] = each.split(group)
    const [tag, queue, , priority, version] = rest!.split(field)
    const kind = { tag: unclean(tag!), queue: unclean(queue!), priority: Number(priority), version: Number(version) }
    kinds.set(number!, kind)
  }
  lastText = text
  return lastKinds = kinds
}

/** What a record has beside its payload. */
interface Spec {
  readonly tags?: ReadonlyArray<string>
  readonly headers?: Readonly<Record<string, string>>
  readonly idempotencyKey?: string
  readonly uniqueKey?: string
  readonly concurrencyKey?: string
  readonly rateKey?: string
  readonly batchKey?: string
  readonly flowId?: string
  readonly parent?: JobRecord.JobId
}

const none: ReadonlyArray<never> = []
const empty: Readonly<Record<string, never>> = Object.freeze({})
const noSpec: Spec = empty
const nothingSensitive: JobRecord.Sensitive = { payload: none, result: none, error: none, progress: none }

/** A table of Lua that is empty is written as an object or a list. */
export const membersOf = (text: string): Readonly<Record<string, string>> => {
  if (text === "") return empty
  const members: Record<string, string | false> = JSON.parse(text)
  return Object.fromEntries(
    Object.entries(members).map(([name, value]) => [unclean(name), value === false ? undefined : unclean(value)])
  ) as Record<string, string>
}

interface Rest {
  readonly spec: Spec
  readonly sensitive: JobRecord.Sensitive
  readonly payload: string
}

/** How a spec begins whose first member is the key. */
const keyed = `{"concurrencyKey":"`

/** Whether that is all: the first quote after the key's own is the one before the brace that ends it. */
const isKeyAlone = (text: string, end: number): boolean =>
  text.startsWith(keyed) && text.indexOf(`"`, keyed.length) === end - 2

/** Of what is claimed nobody asks for the concurrency key: a spec that has nothing else is not parsed, for 1 us a record. */
const claimedRestOf = (text: string): Pick<Rest, "spec" | "payload"> => {
  const first = text.indexOf(field)
  return first > 0 && isKeyAlone(text, first)
    ? { spec: noSpec, payload: unclean(text.slice(text.indexOf(field, first + 1) + 1)) }
    : restOf(text)
}

/** Spec, places to mask, payload; or the payload alone. */
const restOf = (text: string): Rest => {
  const first = text.indexOf(field)
  if (first < 0) return { spec: noSpec, sensitive: nothingSensitive, payload: unclean(text) }
  const second = text.indexOf(field, first + 1)
  return {
    spec: first === 0 ? noSpec : JSON.parse(text.slice(0, first)),
    sensitive: second === first + 1 ? nothingSensitive : JSON.parse(text.slice(first + 1, second)),
    payload: unclean(text.slice(second + 1))
  }
}

/** The kind's number and the instant of the enqueue stand before the rest of a record. */
const kindIn = (cold: string): string => String(parseInt(cold.slice(0, 4), 16))
const instantIn = (cold: string): number => parseInt(cold.slice(10, 21), 16)

/** `line`: the id alone of a record that nobody touched before this claim at `now`. */
export const toClaimed = (line: string, cold: string, kinds: Kinds, now: number): JobStore.Claimed => {
  const enqueuedAt = instantIn(cold)
  const { payload, spec } = claimedRestOf(cold.slice(21))
  const parts = line.length === 22 ? undefined : line.split(field)
  const { priority, queue, tag, version } = kinds.get(parts === undefined ? kindIn(cold) : parts[1]!)!
  return {
    id: Ids.unpack(line),
    tag,
    version,
    queue,
    priority: parts === undefined ? priority : Number(parts[2]),
    payload,
    attempt: parts === undefined ? 1 : Number(parts[3]),
    fence: parts === undefined ? 1 : Number(parts[4]),
    crashes: parts === undefined ? 0 : Number(parts[5]),
    enqueuedAt,
    begunAt: parts === undefined ? now : Number(parts[6]),
    readyAt: parts === undefined ? enqueuedAt : Number(parts[7]),
    failures: parts === undefined ? none : listOf(parts[8]!),
    tags: spec.tags ?? none,
    headers: spec.headers ?? empty,
    idempotencyKey: spec.idempotencyKey,
    parent: spec.parent,
    flowId: spec.flowId,
    batchKey: spec.batchKey,
    ...(parts === undefined || parts[9] === "" ? nothingKept : keptOf(parts[9]!)),
    dependencies: parts === undefined ? empty : membersOf(parts[10]!)
  }
}

const nothingKept: Pick<JobStore.Claimed, "checkpoints"> = { checkpoints: empty }

/** The first part of the checkpoints has one without a name when there are more. */
const keptOf = (text: string): Pick<JobStore.Claimed, "checkpoints" | "isCut"> => {
  const { "": cut, ...checkpoints } = membersOf(text)
  return cut === undefined ? { checkpoints } : { checkpoints, isCut: true }
}

const listOf = <A>(text: string): ReadonlyArray<A> => text === "" ? none : JSON.parse(unclean(text))

const states: ReadonlyArray<JobRecord.State> = [
  "ready",
  "running",
  "scheduled",
  "blocked",
  "completed",
  "cancelled",
  "dead"
]

const text = (value: string): string | undefined => value === "" ? undefined : unclean(value)

/** What a blocked record waits for: ids as callers know them. */
const blockedOn = (reason: string, on: string): string | undefined => reason === "Unique" ? Ids.unpack(on) : text(on)

export const toRecord = (line: string, kinds: Kinds): JobRecord.JobRecord => {
  const parts = line.split(field)
  const part = (i: number) => parts[i]!
  const { queue, tag } = kinds.get(part(1))!
  const state = states[Number(part(2)) - 1]!
  const { payload, sensitive, spec } = restOf(parts.slice(25).join(field))
  const at = Number(part(9))
  return {
    id: Ids.unpack(part(0)),
    tag,
    version: Number(part(3)),
    queue,
    priority: Number(part(4)),
    state,
    payload,
    result: part(20) === "" ? undefined : unclean(part(19)),
    attempt: Number(part(5)),
    fence: Number(part(6)),
    crashes: Number(part(7)),
    enqueuedAt: Number(part(8)),
    dueAt: state === "scheduled" || part(24) !== "" ? at : undefined,
    claimedAt: state === "running" ? at : undefined,
    worker: part(11) === "" ? undefined : unpackWorker(part(11)),
    finishedAt: JobRecord.isFinal(state) ? at : undefined,
    expiresAt: part(10) === "" ? undefined : Number(part(10)),
    blocked: part(12) === ""
      ? undefined
      : { reason: part(12) as JobRecord.BlockedReason, on: blockedOn(part(12), part(13)) },
    deadReason: state === "dead" ? part(14) as JobRecord.DeadReason : undefined,
    cancelRequested: part(16) === "" ? undefined : unclean(part(15)),
    progress: part(18) === "" ? undefined : unclean(part(17)),
    failures: listOf(part(21)),
    attempts: listOf<JobRecord.Attempt>(part(22)).map((one) => ({ ...one, worker: unpackWorker(one.worker) })),
    logs: part(23) === "" ? none : JSON.parse(part(23)),
    tags: spec.tags ?? none,
    headers: spec.headers ?? empty,
    idempotencyKey: spec.idempotencyKey,
    uniqueKey: spec.uniqueKey,
    concurrencyKey: spec.concurrencyKey,
    rateKey: spec.rateKey,
    batchKey: spec.batchKey,
    flowId: spec.flowId,
    parent: spec.parent,
    sensitive
  }
}

const removers: Readonly<Record<string, "Operator" | "Retention">> = { o: "Operator", r: "Retention" }

export const toAnswer = (id: JobRecord.JobId, line: string): JobStore.ResultAnswer => {
  if (line.length <= 1) return { _tag: "NotFound", id, by: removers[line] }
  const [state, hasProgress, progressText, hasResult, result, reason, failure] = line.split(field)
  const progress = hasProgress === "" ? undefined : unclean(progressText!)
  switch (states[Number(state) - 1]) {
    case "completed":
      return { _tag: "Completed", id, progress, result: hasResult === "" ? undefined : unclean(result!) }
    case "cancelled":
      return { _tag: "Cancelled", id, progress, reason: unclean(reason!) }
    case "dead":
      return {
        _tag: "Dead",
        id,
        progress,
        reason: (reason === "" ? "Defect" : reason) as JobRecord.DeadReason,
        failure: failure === "" ? undefined : JSON.parse(failure!)
      }
    default:
      return { _tag: "Pending", id, progress }
  }
}

/** An edge: who is waited for, what a failure means, name, how it ended. */
export const toDependency = (line: string): JobStore.DependenciesReply["dependencies"][number] => {
  const id = Ids.unpack(line)
  const cut = line.indexOf(field)
  return { name: unclean(line.slice(23, cut)), answer: endOf(id, line.slice(cut + 1)) }
}

const endOf = (id: JobRecord.JobId, end: string): JobStore.ResultAnswer => {
  const value = end.slice(1)
  switch (end[0]) {
    case undefined:
      return { _tag: "Pending", id, progress: undefined }
    case "c":
    case "n":
      return { _tag: "Completed", id, progress: undefined, result: end[0] === "n" ? undefined : unclean(value) }
    case "x":
      return { _tag: "Cancelled", id, progress: undefined, reason: unclean(value) }
    case "d": {
      const { failure, reason }: { readonly reason: JobRecord.DeadReason; readonly failure?: JobRecord.Failure } = JSON
        .parse(unclean(value))
      return { _tag: "Dead", id, progress: undefined, reason, failure }
    }
    default:
      return { _tag: "NotFound", id }
  }
}

/** Records of a reply, one a line; none of an empty one. */
export const linesOf = (text: string): ReadonlyArray<string> => text === "" ? none : text.split(record)

/** The numbers of a reply: empty for what is not foreseen. */
export const optional = (text: string): number | undefined => text === "" ? undefined : Number(text)

export const toCancel = (line: string): JobStore.CancelRequest => {
  const cut = line.indexOf(group)
  return { id: Ids.unpack(line), fence: Number(line.slice(22, cut)), reason: unclean(line.slice(cut + 1)) }
}

export const toAttempt = (line: string): JobStore.AttemptRef => ({
  id: Ids.unpack(line),
  fence: Number(line.slice(22))
})
