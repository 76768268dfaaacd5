/** What a list shows, as its address says it; and the same as words in the search field. */
import { type DeadReason, type Selection, type State, states } from "./api.ts"

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
  readonly id?: string
  readonly order?: "oldest"
  /** The columns, where they are others than usual, with a comma between them. */
  readonly columns?: string
}

const deadReasons: ReadonlyArray<DeadReason> = [
  "Failed",
  "Defect",
  "TimedOut",
  "Crashed",
  "Expired",
  "InvalidPayload",
  "DependencyFailed"
]

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
    id: text(search["id"]),
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

export const selectionOf = ({ error, flow, id, job, queue, reason, state, tag }: RecordsSearch): Selection => ({
  ...state === undefined ? {} : { states: [state] },
  ...job === undefined ? {} : { tag: job },
  ...queue === undefined ? {} : { queue },
  ...tag === undefined ? {} : { label: tag },
  ...error === undefined ? {} : { errorTag: error },
  ...reason === undefined ? {} : { deadReason: reason },
  ...flow === undefined ? {} : { flowId: flow },
  ...id === undefined ? {} : { ids: [id] }
})

/** The words that the search field knows, beside `state:`, which the tabs are. */
export const words = ["job", "queue", "tag", "error", "reason", "flow", "id"] as const

export const toText = (search: RecordsSearch): string =>
  words.flatMap((word) => search[word] === undefined ? [] : [`${word}:${quoted(search[word])}`]).join(" ")

const quoted = (value: string): string => /\s/.test(value) ? `"${value}"` : value

/** What was typed, or what of it nobody understands. A bare id is one; any other bare word is a job. */
export const fromText = (typed: string): { readonly search: RecordsSearch; readonly wrong: string | undefined } => {
  const found: Record<string, string> = {}
  let wrong: string | undefined
  for (const [, word, quoted, bare] of typed.matchAll(/(?:(\w+):)?(?:"([^"]*)"|(\S+))/g)) {
    const value = quoted ?? bare ?? ""
    if (word === undefined) found[isId(value) ? "id" : "job"] = value
    else if (word === "state" || (words as ReadonlyArray<string>).includes(word)) found[word] = value
    else wrong = `${word}: is no word of the search; there are ${words.join(", ")}`
  }
  if (found["id"] !== undefined && !isId(found["id"])) {
    return { search: {}, wrong: `id: ${found["id"]} is no id of a record` }
  }
  const search = validate(found)
  if (found["reason"] !== undefined && search.reason === undefined) {
    wrong = `reason: there are ${deadReasons.join(", ")}`
  }
  if (found["state"] !== undefined && search.state === undefined) wrong = `state: there are ${states.join(", ")}`
  return { search, wrong }
}

export const valuesOf = (
  word: string,
  known: { readonly queues: ReadonlyArray<string>; readonly jobs: ReadonlyArray<string> }
): ReadonlyArray<string> => {
  switch (word) {
    case "state":
      return states
    case "reason":
      return deadReasons
    case "queue":
      return known.queues
    case "job":
      return known.jobs
    default:
      return []
  }
}
