/** What a list shows, as its address says it; and the same as words in the search field. */
import type { BlockedReason, DeadReason, Selection, State } from "./api.ts"
import { type Data, dataOf, pointerOf, quote, scalarOf, typedOf, unquote, wordOf } from "./data.ts"
import { states } from "./states.ts"

/** What a list may show of a record beside its state and its job, in the order of the list. */
export const columnNames = [
  "queue",
  "tries",
  "gist",
  "when",
  "priority",
  "version",
  "crashes",
  "worker",
  "key",
  "tags",
  "flow",
  "enqueued",
  "finished"
] as const

export type ColumnName = (typeof columnNames)[number]

export const usualColumns: ReadonlyArray<ColumnName> = ["queue", "tries", "gist", "when"]

export interface RecordsSearch {
  readonly state?: State
  readonly job?: string
  readonly queue?: string
  readonly tag?: string
  readonly error?: string
  readonly reason?: DeadReason
  readonly flow?: string
  /** Of concurrency. */
  readonly key?: string
  /** Which runs it. */
  readonly worker?: string
  readonly id?: string
  /** Enqueued at or after, and before: an instant, so that the address shows others the same. */
  readonly since?: string
  readonly before?: string
  readonly blocked?: BlockedReason
  /** What stands inside of the payload. */
  readonly data?: Data
  readonly order?: "oldest"
  /** The columns, where they are others than usual, with a comma between them. */
  readonly columns?: string
}

/** What the page of metrics shows, and what with. */
export const spans = ["1h", "6h"] as const
export type Span = (typeof spans)[number]
export const againsts = ["before", "yesterday"] as const
export type Against = (typeof againsts)[number]

export interface MetricsSearch {
  readonly queue?: string | undefined
  readonly span?: Span | undefined
  readonly against?: Against | undefined
}

export const validateMetrics = (search: Readonly<Record<string, unknown>>): MetricsSearch => ({
  queue: text(search["queue"]),
  span: oneOf(search["span"], spans),
  against: oneOf(search["against"], againsts)
})

const deadReasons: ReadonlyArray<DeadReason> = [
  "Failed",
  "Defect",
  "TimedOut",
  "Crashed",
  "Expired",
  "InvalidPayload",
  "DependencyFailed"
]

const blockedReasons: ReadonlyArray<BlockedReason> = [
  "Dependencies",
  "ConcurrencyKey",
  "Unique",
  "Waitpoint",
  "Children",
  "NoHandler",
  "NewerPayload"
]

const ages: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** To the minute or the second where it is one: what is typed stays as short as it was. Without a zone it is this browser's. */
const instantOf = (value: unknown): string | undefined => {
  if (typeof value !== "string") return undefined
  const age = /^(\d{1,6})([smhd])$/.exec(value)
  const at = age === null
    // A bare number would be a year, or a month.
    ? /^\d{4}-\d\d-\d\d/.test(value) ? Date.parse(value) : NaN
    : Date.now() - Number(age[1]) * ages[age[2]!]!
  return Number.isNaN(at) ? undefined : new Date(at).toISOString().replace(/(:00)?\.\d+Z$/, "Z")
}

const text = (value: unknown): string | undefined =>
  typeof value === "string" && value !== "" ? value : typeof value === "number" ? String(value) : undefined

const oneOf = <A extends string>(value: unknown, all: ReadonlyArray<A>): A | undefined =>
  all.find((one) => one === value)

type Loose<T> = { -readonly [K in keyof T]: T[K] | undefined }

const present = (search: Loose<Required<RecordsSearch>>): RecordsSearch =>
  Object.fromEntries(Object.entries(search).filter(([, value]) => value !== undefined)) as RecordsSearch

export const validate = (search: Readonly<Record<string, unknown>>): RecordsSearch =>
  present({
    state: oneOf(search["state"], states),
    job: text(search["job"]),
    queue: text(search["queue"]),
    tag: text(search["tag"]),
    error: text(search["error"]),
    reason: oneOf(search["reason"], deadReasons),
    flow: text(search["flow"]),
    key: text(search["key"]),
    worker: text(search["worker"]),
    id: text(search["id"]),
    since: instantOf(search["since"]),
    before: instantOf(search["before"]),
    blocked: oneOf(search["blocked"], blockedReasons),
    data: dataOf(search["data"]),
    order: oneOf(search["order"], ["oldest"] as const),
    columns: columnsOf(search["columns"])?.join()
  })

/** Of an address; unknown names are left out. */
export const columnsOf = (value: unknown): ReadonlyArray<ColumnName> | undefined => {
  if (typeof value !== "string") return undefined
  const names = value.split(",")
  return columnNames.filter((name) => names.includes(name))
}

export const isId = (word: string): boolean =>
  /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i.test(word)

export const selectionOf = (
  { before, blocked, data, error, flow, id, job, key, queue, reason, since, state, tag, worker }: RecordsSearch
): Selection => ({
  ...state === undefined ? {} : { states: [state] },
  ...job === undefined ? {} : { tag: job },
  ...queue === undefined ? {} : { queue },
  ...tag === undefined ? {} : { label: tag },
  ...error === undefined ? {} : { errorTag: error },
  ...reason === undefined ? {} : { deadReason: reason },
  ...flow === undefined ? {} : { flowId: flow },
  ...key === undefined ? {} : { concurrencyKey: key },
  ...worker === undefined ? {} : { worker },
  ...id === undefined ? {} : { ids: [id] },
  ...since === undefined ? {} : { enqueuedFrom: Date.parse(since) },
  ...before === undefined ? {} : { enqueuedBefore: Date.parse(before) },
  ...blocked === undefined ? {} : { blockedReason: blocked },
  ...data === undefined ? {} : { payload: data }
})

/** Payloads have no index: what stands in them is looked for among what another condition leaves. */
export const isAlone = (search: RecordsSearch): boolean =>
  search.data !== undefined && Object.keys(selectionOf(search)).length === 1

/** The words that the search field knows, beside `state:`, which the tabs are. */
export const words = [
  "job",
  "queue",
  "tag",
  "error",
  "reason",
  "blocked",
  "since",
  "before",
  "flow",
  "key",
  "worker",
  "id"
] as const

export const toText = ({ data = {}, ...search }: RecordsSearch): string =>
  [
    ...words.flatMap((word) => search[word] === undefined ? [] : [`${word}:${quoted(search[word])}`]),
    ...Object.entries(data).map(([pointer, value]) => `${wordOf(pointer)}:${typedOf(value)}`)
  ].join(" ")

const quoted = (value: string): string => /^"|\s/.test(value) ? quote(value) : value

const token = /(?:(data[./](?:"(?:[^"\\]|\\.)*"|[^\s:"])*|\w+):)?(?:"((?:[^"\\]|\\.)*)"|(\S+))/g

const placeWanted = "data: name a place, as in data.to:ada@example.com"

/** What was typed, or what of it nobody understands. A bare id is one; any other bare word is a job. */
export const fromText = (typed: string): { readonly search: RecordsSearch; readonly wrong: string | undefined } => {
  const found: Record<string, string> = {}
  const data: Record<string, Data[string]> = {}
  let wrong: string | undefined
  for (const [, word, quoted, bare] of typed.matchAll(token)) {
    const value = quoted === undefined ? bare ?? "" : unquote(quoted)
    if (word === undefined && /^data[./]/.test(value)) wrong = placeWanted
    else if (word === undefined) found[isId(value) ? "id" : "job"] = value
    else if (/^data([./]|$)/.test(word)) {
      const pointer = pointerOf(word)
      if (pointer === undefined) wrong = placeWanted
      else data[pointer] = quoted === undefined ? scalarOf(value) : value
    } else if (word === "state" || (words as ReadonlyArray<string>).includes(word)) found[word] = value
    else wrong = `${word}: is no word of the search; there are ${words.join(", ")} and data.path`
  }
  if (found["id"] !== undefined && !isId(found["id"])) {
    return { search: {}, wrong: `id: ${found["id"]} is no id of a record` }
  }
  const search = validate({ ...found, data })
  if (found["reason"] !== undefined && search.reason === undefined) {
    wrong = `reason: there are ${deadReasons.join(", ")}`
  }
  if (found["blocked"] !== undefined && search.blocked === undefined) {
    wrong = `blocked: there are ${blockedReasons.join(", ")}`
  }
  for (const word of ["since", "before"] as const) {
    if (found[word] !== undefined && search[word] === undefined) {
      wrong = `${word}: an age such as 15m, 2h or 7d, or an instant such as 2026-11-26T08:00Z`
    }
  }
  if (found["state"] !== undefined && search.state === undefined) wrong = `state: there are ${states.join(", ")}`
  return { search, wrong }
}

/** A place in the payload of a job, as its schema has it. */
export interface Place {
  readonly job: string
  readonly pointer: string
  readonly isText: boolean
  readonly choices: ReadonlyArray<Data[string]>
}

/** What the field can complete. */
export interface Known {
  readonly queues: ReadonlyArray<string>
  readonly jobs: ReadonlyArray<string>
  readonly workers: ReadonlyArray<string>
  readonly places: ReadonlyArray<Place>
}

/** A bare number is text where the job's schema has text at that place. */
export const asDeclared = (search: RecordsSearch, { places }: Known): RecordsSearch => {
  const { data, job } = search
  if (data === undefined || job === undefined) return search
  const isText = (pointer: string): boolean =>
    places.some((place) => place.job === job && place.pointer === pointer && place.isText)
  return {
    ...search,
    data: Object.fromEntries(
      Object.entries(data).map(([pointer, value]) => [pointer, isText(pointer) ? String(value) : value])
    )
  }
}

/** What a word may begin with, and what may follow it. */
export const offersOf = (typed: string, word: string, known: Known): ReadonlyArray<string> => {
  const end = word.indexOf(":")
  const name = word.slice(0, end < 0 ? undefined : end)
  const { job } = fromText(typed).search
  const places = known.places.filter((place) => job === undefined || place.job === job)
  if (end >= 0) {
    return valuesOf(name, known, places)
      .filter((one) => one.toLowerCase().startsWith(word.slice(end + 1).toLowerCase()))
      .map((one) => `${name}:${one}`)
  }
  const all = /^data[./]/.test(word)
    ? [...new Set(places.map(({ pointer }) => wordOf(pointer)))].map((one) => `${one}:`)
    : [...[...words, "state"].map((one) => `${one}:`), "data."]
  return all.filter((one) => one.startsWith(word))
}

const valuesOf = (word: string, known: Known, places: ReadonlyArray<Place>): ReadonlyArray<string> => {
  switch (word) {
    case "state":
      return states
    case "reason":
      return deadReasons
    case "blocked":
      return blockedReasons
    case "since":
    case "before":
      return ["15m", "1h", "6h", "1d", "7d"]
    case "worker":
      return known.workers
    case "queue":
      return known.queues
    case "job":
      return known.jobs
    default:
      return [
        ...new Set(
          places.filter(({ pointer }) => wordOf(pointer) === word).flatMap(({ choices }) => choices.map(typedOf))
        )
      ]
  }
}
