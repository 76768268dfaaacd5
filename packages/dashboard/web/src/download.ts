/**
 * What a filter finds as a file: pages of the API one after another by their cursor, up to a bound, as the server masks them. A
 * payload is as long as in a list.
 */
import { get, type Page, queryOf, type Selection } from "./api.ts"
import { type Format, headOf, lineOf } from "./lines.ts"

/** More than a page should hold in memory is for `capstan export`. */
export const mostExported = 50_000
const pageSize = 1000

export interface Exported {
  readonly many: number
  /** There were more than are taken. */
  readonly isCut: boolean
}

/** Reads what matches and hands it to the browser as a file. */
export const download = async (
  { format, hasPayload, onProgress, order, signal, where }: {
    readonly where: Selection
    readonly order: "newest" | "oldest"
    readonly format: Format
    readonly hasPayload: boolean
    /** How many match so far, and at how many was looked. */
    readonly onProgress: (many: number, looked: number) => void
    readonly signal: AbortSignal
  }
): Promise<Exported> => {
  const parts = [...headOf(format)]
  /** Page after page: each is asked for by the cursor of the one before. */
  const read = async (cursor: string | undefined, before: number, lookedBefore: number): Promise<Exported> => {
    const page: Page = await get("/records", { ...queryOf(where), order, limit: pageSize, cursor }, signal)
    parts.push(page.records.map((record) => lineOf(format, record, hasPayload)).join(""))
    const many = before + page.records.length
    const looked = lookedBefore + (page.looked ?? page.records.length)
    onProgress(many, looked)
    return page.cursor === undefined || many >= mostExported
      ? { many, isCut: page.cursor !== undefined }
      : read(page.cursor, many, looked)
  }
  const exported = await read(undefined, 0, 0)
  save(new Blob(parts, { type: format === "csv" ? "text/csv" : "application/x-ndjson" }), `records.${format}`)
  return exported
}

const save = (blob: Blob, name: string): void => {
  const url = URL.createObjectURL(blob)
  const link = document.createElement("a")
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 60_000)
}
