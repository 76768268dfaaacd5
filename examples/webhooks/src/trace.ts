/**
 * One record's trace as a tree, from the spans that a collector received.
 */
import type { Span as OtlpSpan } from "./collector.ts"
import { bold, cyan, dim, red, yellow } from "./terminal.ts"

type Span = typeof OtlpSpan.Type

const attribute = (span: Span, name: string): string | undefined => {
  const value = span.attributes.find(({ key }) => key === name)?.value
  const found = value?.stringValue ?? value?.intValue ?? value?.doubleValue ?? value?.boolValue
  return found === undefined ? undefined : String(found)
}

const kinds = ["", "internal", "server", "client", "producer", "consumer"]

/** The spans of one record: the request that it came with at the root, each attempt where it is linked. */
export const tree = (spans: ReadonlyArray<Span>, recordId: string): ReadonlyArray<string> => {
  const send = spans.find((span) =>
    span.name.startsWith("send ") && attribute(span, "messaging.message.id") === recordId
  )
  if (send === undefined) return []
  const below = new Map<string, Array<Span>>()
  for (const span of spans) {
    const above = span.parentSpanId ?? span.links[0]?.spanId
    if (above !== undefined) below.set(above, [...below.get(above) ?? [], span])
  }
  const parent = spans.find(({ spanId }) => spanId === send.parentSpanId)
  const lines: Array<string> = []
  const draw = (span: Span, lead: string, isLast: boolean, isRoot: boolean) => {
    lines.push(`  ${dim(isRoot ? "" : `${lead}${isLast ? "└─ " : "├─ "}`)}${lineOf(span)}`)
    const children = (below.get(span.spanId) ?? []).toSorted((a, b) => Number(startOf(a) - startOf(b)))
    children.forEach((child, i) =>
      draw(child, isRoot ? "" : `${lead}${isLast ? "   " : "│  "}`, i === children.length - 1, false)
    )
  }
  draw(parent ?? send, "", true, true)
  return lines
}

const lineOf = (span: Span): string => {
  const attempt = attribute(span, "capstan.attempt")
  const notes = [
    attempt === undefined ? "" : `attempt ${attempt}`,
    attribute(span, "capstan.decision") ?? "",
    span.links.length > 0 ? cyan("linked") : "",
    span.status.code === 2 ? red("failed") : "",
    statusOf(span)
  ].filter((note) => note !== "")
  return `${bold(nameOf(span))}  ${notes.join(dim(" · "))}  ${dim(timeOf(span))}`
}

/** An HTTP span is named by its method alone: its side and its path say more. */
const nameOf = (span: Span): string => {
  const path = attribute(span, "url.path")
  return path === undefined ? span.name : `${kinds[span.kind]} ${span.name} ${path}`
}

const statusOf = (span: Span): string => {
  const code = attribute(span, "http.response.status_code")
  return code === undefined ? "" : Number(code) >= 400 ? yellow(code) : code
}

const startOf = (span: Span): bigint => BigInt(span.startTimeUnixNano)

const timeOf = (span: Span): string => `${(Number(BigInt(span.endTimeUnixNano) - startOf(span)) / 1e6).toFixed(1)} ms`
