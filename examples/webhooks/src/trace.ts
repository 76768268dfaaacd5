/**
 * Spans as they end, for the tree at the end of the demo. Another tracer, such as an exporter, may stand behind it.
 */
import { Context, Effect, Layer, Tracer } from "effect"
import { bold, cyan, dim, red, yellow } from "./terminal.ts"

export class Spans extends Context.Service<Spans, { readonly ended: ReadonlyArray<Tracer.Span> }>()("webhooks/Spans") {
  /** Collects what the tracer around it makes. */
  static readonly layer = Layer.effectContext(Effect.gen(function*() {
    const behind = yield* Effect.tracer
    const ended: Array<Tracer.Span> = []
    const tracer = Tracer.make({
      span: (options) => {
        const span = behind.span(options)
        const end = span.end.bind(span)
        span.end = (time, exit) => {
          end(time, exit)
          ended.push(span)
        }
        return span
      }
    })
    return Context.make(Spans, { ended }).pipe(Context.add(Tracer.Tracer, tracer))
  }))
}

/** The spans of one record: the request that it came with at the root, each attempt where it is linked. */
export const tree = (spans: ReadonlyArray<Tracer.Span>, recordId: string): ReadonlyArray<string> => {
  const send = spans.find((span) =>
    span.name.startsWith("send ") && span.attributes.get("messaging.message.id") === recordId
  )
  if (send === undefined) return []
  const below = new Map<string, Array<Tracer.Span>>()
  for (const span of spans) {
    const linked = span.links[0]?.span.spanId
    const above = span.parent._tag === "Some" ? span.parent.value.spanId : linked
    if (above !== undefined) below.set(above, [...below.get(above) ?? [], span])
  }
  const ids = new Map(spans.map((span) => [span.spanId, span]))
  const parent = send.parent._tag === "Some" ? ids.get(send.parent.value.spanId) : undefined
  const lines: Array<string> = []
  const draw = (span: Tracer.Span, lead: string, isLast: boolean, isRoot: boolean) => {
    lines.push(`  ${dim(isRoot ? "" : `${lead}${isLast ? "└─ " : "├─ "}`)}${lineOf(span)}`)
    const children = (below.get(span.spanId) ?? []).toSorted((a, b) => Number(a.status.startTime - b.status.startTime))
    children.forEach((child, i) =>
      draw(child, isRoot ? "" : `${lead}${isLast ? "   " : "│  "}`, i === children.length - 1, false)
    )
  }
  draw(parent ?? send, "", true, true)
  return lines
}

const lineOf = (span: Tracer.Span): string => {
  const attempt = span.attributes.get("capstan.attempt")
  const notes = [
    attempt === undefined ? "" : `attempt ${String(attempt)}`,
    span.links.length > 0 ? cyan("linked") : "",
    failed(span) ? red("failed") : "",
    statusOf(span)
  ].filter((note) => note !== "")
  return `${bold(nameOf(span))}  ${notes.join(dim(" · "))}  ${dim(timeOf(span))}`
}

/** An HTTP span is named by its method alone: its side and its path say more. */
const nameOf = (span: Tracer.Span): string => {
  const path = span.attributes.get("url.path")
  return path === undefined ? span.name : `${span.kind} ${span.name} ${String(path)}`
}

const statusOf = (span: Tracer.Span): string => {
  const code = span.attributes.get("http.response.status_code")
  return code === undefined ? "" : Number(code) >= 400 ? yellow(String(code)) : String(code)
}

const failed = ({ status }: Tracer.Span): boolean => status._tag === "Ended" && status.exit._tag === "Failure"

const timeOf = ({ status }: Tracer.Span): string =>
  status._tag === "Ended" ? `${(Number(status.endTime - status.startTime) / 1e6).toFixed(1)} ms` : "still open"
