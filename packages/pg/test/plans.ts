/**
 * What the server really did for the statements of an effect, also for those inside functions: `auto_explain` tells it to
 * the session as notices, and these are read from the wire, for the driver drops them. Needs a superuser's client.
 */
import { Effect, Redacted } from "effect"
import { connect } from "node:net"
import { Duplex } from "node:stream"
import { type ClientOptions } from "./server.ts"

export interface Recorded<A> {
  readonly answer: A
  /** Those that read or write tables, in their order. */
  readonly statements: ReadonlyArray<Statement>
  /** Pages of 8 KiB that all of them looked at. */
  readonly pages: number
}

export interface Statement {
  readonly text: string
  /** What is read and written, one line each, with the rows of it. */
  readonly lines: ReadonlyArray<string>
  /** Rows that scans took into their hands, whether they answered them or not. */
  readonly rows: number
  /** Tables that were read from end to end, and were not empty. */
  readonly sequential: ReadonlyArray<string>
}

/** Tables of a page or two: they are read whole or by an index, as the planner likes. */
const small = /^(worker|listener|queue|agenda|cancel|housekeeping|schedule|counter|delta|gone)(_|$)/

/**
 * Whether plans are as they are kept: line by line, and the number that ends a line is not of a higher order of magnitude.
 * Between versions and statistics it moves by more than a little, and by less than a scan would; newer versions read less
 * (Postgres 18 finds a hundred ids of history in 186 pages, 15 in 6,600).
 */
export const areAlike = (kept: string, found: string): boolean => {
  const lines = kept.trim().split("\n")
  const others = found.trim().split("\n")
  return lines.length === others.length && lines.every((line, i) => isAlike(line, others[i]!))
}

const isAlike = (kept: string, found: string): boolean => {
  const [, text, number] = ending.exec(kept) ?? []
  const [, otherText, otherNumber] = ending.exec(found) ?? []
  if (text === undefined || otherText === undefined) return kept === found
  return text === otherText && Number(otherNumber) <= 4 * Math.max(1, Number(number))
}

const ending = /^(.*) (\d+)$/

interface Node {
  readonly "Node Type": string
  readonly "Index Name"?: string
  readonly "Relation Name"?: string
  readonly "Operation"?: string
  readonly "Actual Rows": number
  readonly "Actual Loops": number
  readonly "Rows Removed by Filter"?: number
  readonly "Rows Removed by Index Recheck"?: number
  readonly "Shared Hit Blocks": number
  readonly "Shared Read Blocks": number
  readonly "Plans"?: ReadonlyArray<Node>
}

export class Recorder {
  private statements: Array<Statement> = []
  private pages = 0

  /** Of a client whose statements are recorded. */
  readonly clientOf = (url: string): ClientOptions => ({
    url: Redacted.make(url),
    startupOptions: [
      "session_preload_libraries=auto_explain",
      "auto_explain.log_min_duration=0",
      "auto_explain.log_analyze=on",
      "auto_explain.log_buffers=on",
      "auto_explain.log_timing=off",
      "auto_explain.log_nested_statements=on",
      "auto_explain.log_format=json",
      "auto_explain.log_level=notice",
      "client_min_messages=notice"
    ].map((setting) => `-c ${setting}`).join(" "),
    stream: () => tapped(url, (notice) => this.hear(notice))
  })

  readonly record = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<Recorded<A>, E, R> =>
    Effect.suspend(() => {
      this.statements = []
      this.pages = 0
      return Effect.map(effect, (answer) => ({ answer, statements: this.statements, pages: this.pages }))
    })

  private hear(notice: string): void {
    const at = notice.indexOf("plan:\n")
    if (at < 0) return
    const { Plan, "Query Text": text }: { readonly Plan: Node; readonly "Query Text": string } = JSON.parse(
      notice.slice(at + 6)
    )
    const lines: Array<string> = []
    const sequential: Array<string> = []
    let rows = 0
    const walk = (node: Node): void => {
      const { "Index Name": index, "Node Type": type, "Relation Name": relation } = node
      const answered = Math.round(node["Actual Rows"] * node["Actual Loops"])
      // Which way to an index's rows is taken is the planner's to say; that it is this index is ours.
      if (node["Actual Loops"] > 0 && (relation ?? index) !== undefined && type !== "Bitmap Heap Scan") {
        lines.push(
          `${node.Operation ?? "Read"} ${small.exec(index ?? relation!)?.[1] ?? index ?? relation} ${answered}`
        )
      }
      if (type.endsWith("Scan") && (relation !== undefined || index !== undefined)) {
        const removed = (node["Rows Removed by Filter"] ?? 0) + (node["Rows Removed by Index Recheck"] ?? 0)
        const taken = answered + Math.round(removed * node["Actual Loops"])
        rows += taken
        // A partition of history that has a page or two is read and sorted.
        if (type === "Seq Scan" && taken > (relation!.startsWith("history_") ? 100 : 0)) sequential.push(relation!)
      }
      for (const child of node.Plans ?? []) walk(child)
    }
    walk(Plan)
    // What a statement has looked at holds what the functions in it have.
    this.pages = Math.max(this.pages, Plan["Shared Hit Blocks"] + Plan["Shared Read Blocks"])
    lines.sort()
    if (lines.length > 0) this.statements.push({ text, lines, rows, sequential })
  }
}

/** A connection to the server whose notices are listened to. */
const tapped = (url: string, hear: (notice: string) => void): Duplex => {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  let rest: Buffer = Buffer.alloc(0)
  socket.on("data", (data) => {
    rest = Buffer.concat([rest, data])
    while (rest.length >= 5) {
      const length = rest.readInt32BE(1) + 1
      if (rest.length < length) return
      if (rest[0] === 0x4e) hear(messageOf(rest.subarray(5, length)))
      rest = rest.subarray(length)
    }
  })
  return socket
}

/** Fields of one letter and a text each; M is the message. */
const messageOf = (fields: Buffer): string => {
  const field = fields.toString("utf8").split("\0").find((field) => field.startsWith("M"))
  return field?.slice(1) ?? ""
}
