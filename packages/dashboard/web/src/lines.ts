/** A record as a line of a file. */
import type { RecordSummary } from "./api.ts"

export type Format = "ndjson" | "csv"

const fields = [
  "id",
  "tag",
  "queue",
  "state",
  "version",
  "priority",
  "attempt",
  "crashes",
  "enqueuedAt",
  "dueAt",
  "claimedAt",
  "finishedAt",
  "worker",
  "deadReason",
  "tags",
  "flowId",
  "parent",
  "concurrencyKey",
  "uniqueKey",
  "failure",
  "payload",
  "payloadLength"
] as const

type Row = { readonly [K in (typeof fields)[number]]?: unknown }

const rowOf = ({ lastFailure, payload, ...record }: RecordSummary, hasPayload: boolean): Row => ({
  ...record,
  failure: lastFailure === undefined ? undefined : `${lastFailure.tag ?? lastFailure.kind}: ${lastFailure.message}`,
  payload: hasPayload ? payload.text : undefined,
  payloadLength: payload.length
})

const instants: ReadonlySet<string> = new Set(["enqueuedAt", "dueAt", "claimedAt", "finishedAt"])

/**
 * One cell as RFC 4180 has it. A text that a spreadsheet would take for a formula is marked as text (OWASP, "CSV Injection"):
 * payloads are others' words.
 */
export const cellOf = (value: unknown): string => {
  const text = value === undefined ? "" : Array.isArray(value) ? value.join(" ") : String(value)
  const safe = typeof value !== "number" && /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll("\"", "\"\"")}"` : safe
}

const csvLine = (row: Row): string =>
  fields.map((name) => {
    const value = row[name]
    return cellOf(instants.has(name) && typeof value === "number" ? new Date(value).toISOString() : value)
  }).join(",") + "\r\n"

export const lineOf = (format: Format, record: RecordSummary, hasPayload: boolean): string =>
  format === "csv"
    ? csvLine(rowOf(record, hasPayload))
    : `${JSON.stringify({ ...record, payload: hasPayload ? record.payload : { length: record.payload.length } })}\n`

/** What stands before the lines. */
export const headOf = (format: Format): ReadonlyArray<string> => format === "csv" ? [`${fields.join(",")}\r\n`] : []
