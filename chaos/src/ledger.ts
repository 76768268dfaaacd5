/**
 * The independent ledger: what producers were told, what handlers did, what workers asked of the store and were answered.
 *
 * One file per process, only ever appended to, by one write per line: what a process wrote before it was killed stays. All
 * times are the machine's monotonic clock, which its processes share. The system under test never reads it.
 */
import { openSync, readdirSync, readFileSync, writeSync } from "node:fs"
import { join } from "node:path"

export type Kind =
  // A producer: about to enqueue `n`; and what came of it.
  | "sent"
  | "acknowledged"
  | "refused"
  | "unknown"
  // It enqueues `n` again, with the same key.
  | "again"
  // A handler: its attempt began, came to its end, or was interrupted.
  | "start"
  | "end"
  | "cut"
  // A worker at the seam: what it was given, and each write of an attempt with the store's answer.
  | "claim"
  | "ask"
  | "answer"
  | "unanswered"
  | "given back"
  | "tick"
  // A process, of itself: how much it has of what.
  | "sample"
  // The runner: what it did to whom, and a worker that is up.
  | "fault"
  | "ready"

/** One line. */
export interface Entry {
  readonly kind: Kind
  /** Milliseconds of the monotonic clock. */
  readonly at: number
  /** The process. */
  readonly by: string
  /** The producer's number of the job, 0 where there is none. */
  readonly n: number
  readonly id: string
  readonly fence: number
  /** An outcome, a key, the name of a fault. */
  readonly word: string
}

export const now = (): number => Number(process.hrtime.bigint()) / 1e6

export interface Line {
  readonly n?: number
  readonly id?: string
  readonly fence?: number
  readonly word?: string
}

export type Write = (kind: Kind, line?: Line) => void

const extension = ".ledger"

/** The file of one process. */
export const open = (folder: string, by: string): Write => {
  const file = openSync(join(folder, `${by}${extension}`), "a")
  return (kind, { fence = 0, id = "", n = 0, word = "" } = {}) => {
    writeSync(file, `${[kind, now().toFixed(3), n, id, fence, word.replaceAll(/\s+/g, " ")].join("\t")}\n`)
  }
}

/** All files of a folder, in the order of time. A line that its process did not finish is not there. */
export const read = (folder: string): ReadonlyArray<Entry> =>
  readdirSync(folder).filter((name) => name.endsWith(extension)).flatMap((name) => {
    const by = name.slice(0, -extension.length)
    return readFileSync(join(folder, name), "utf8").split("\n").slice(0, -1).map((line) => parse(by, line))
  }).toSorted((a, b) => a.at - b.at)

const parse = (by: string, line: string): Entry => {
  const [kind, at, n, id, fence, word] = line.split("\t")
  return { kind: kind as Kind, at: Number(at), by, n: Number(n), id: id!, fence: Number(fence), word: word ?? "" }
}
