/**
 * A flow as a picture: its nodes in layers, with an edge for each wait. A node stands for all of its records, however many. It is
 * one stop of the Tab key, and the arrow keys go along the edges; the same is said in words below it.
 */
import { type KeyboardEvent, useEffect, useMemo, useRef, useState } from "react"
import type { FlowNode, OnFailure, State } from "../api.ts"
import { exact, visible } from "../format.ts"
import { layout, type Line, type Placed, sizes } from "../layout.ts"
import { StateMark } from "./parts.tsx"
import { Progress, standing, total } from "./Progress.tsx"

/** What each policy means, in the words of whoever waits. */
const policies: Readonly<Record<OnFailure, readonly [name: string, meaning: string]>> = {
  fail: ["fail", "dies with it"],
  cancelSiblings: ["cancel siblings", "dies with it, and what else it waits for is cancelled"],
  continue: ["continue", "runs, and is told how it ended"],
  ignore: ["ignore", "runs, with or without its result"]
}

/** Whether what waits for a node dies with it. */
const isHarmed = (node: FlowNode | undefined, policy: OnFailure): boolean =>
  node !== undefined && node.counts.dead + node.counts.cancelled > 0 && policy !== "continue" && policy !== "ignore"

/** Said of a node to who does not see its edges. */
const waits = ({ after = {} }: FlowNode): string =>
  Object.entries(after).map(([other, policy]) => `Waits for ${other}: if that fails, ${policies[policy][1]}.`).join(" ")

export const FlowGraph = (
  { nodes, onOpen }: { readonly nodes: ReadonlyArray<FlowNode>; readonly onOpen: (name: string) => void }
) => {
  // Only how they wait for each other decides where they stand: figures that change move nothing.
  const shape = JSON.stringify(nodes.map(({ after = {}, name }) => ({ name, after: Object.keys(after) })))
  const placed = useMemo(() => layout(JSON.parse(shape)), [shape])
  const of = new Map(nodes.map((node) => [node.name, node]))
  const [current, setCurrent] = useState<string>()
  const [pointed, setPointed] = useState<string>()
  const buttons = useRef(new Map<string, HTMLButtonElement>())
  const frame = useRef<HTMLDivElement>(null)
  const [scale, setScale] = useState(1)
  useEffect(() => {
    const room = frame.current?.clientWidth ?? 0
    if (room > 0) setScale(Math.max(0.6, Math.min(1, room / placed.width)))
  }, [placed.width])
  const stop = current ?? nodes[0]?.name
  const lit = pointed ?? current

  const go = (event: KeyboardEvent, from: Placed) => {
    const next = neighbour(event.key, from, placed.nodes, placed.lines)
    if (next === undefined) return
    event.preventDefault()
    buttons.current.get(next)?.focus()
  }
  const zoom = (by: number) => setScale((scale) => Math.round(Math.min(1.25, Math.max(0.4, scale + by)) * 100) / 100)
  return (
    <section aria-label="Graph" className="panel relative mx-4 mb-3 hidden overflow-hidden md:mx-6 md:block">
      <div className="absolute top-2 right-2 z-10 flex gap-1">
        <button type="button" className="btn px-2" aria-label="Smaller" onClick={() => zoom(-0.15)}>−</button>
        <button type="button" className="btn px-2" aria-label="Larger" onClick={() => zoom(0.15)}>+</button>
      </div>
      <div ref={frame} className="max-h-[56vh] overflow-auto">
        <div className="mx-auto" style={{ width: placed.width * scale, height: placed.height * scale }}>
          <div
            className="relative origin-top-left"
            style={{ width: placed.width, height: placed.height, transform: `scale(${scale})` }}
          >
            <svg aria-hidden="true" width={placed.width} height={placed.height} className="absolute inset-0">
              <defs>
                {["line", "dead", "accent"].map((colour) => (
                  <marker
                    key={colour}
                    id={`tip-${colour}`}
                    viewBox="0 0 8 8"
                    refX="7"
                    refY="4"
                    markerWidth="7"
                    markerHeight="7"
                    orient="auto"
                  >
                    <path d="M0 0.500L8 4 0 7.500z" fill={`var(--${colour === "line" ? "faint" : colour})`} />
                  </marker>
                ))}
              </defs>
              {placed.lines.map((line) => {
                const policy = of.get(line.to)?.after?.[line.from] ?? "fail"
                return { line, policy, isHarm: isHarmed(of.get(line.from), policy) }
              }).toSorted((a, b) => Number(a.isHarm) - Number(b.isHarm)).map(({ isHarm, line, policy }) => (
                <Edge
                  key={`${line.from}/${line.to}`}
                  line={line}
                  policy={policy}
                  isHarm={isHarm}
                  isLit={lit === line.from || lit === line.to}
                  isDim={lit !== undefined && lit !== line.from && lit !== line.to}
                />
              ))}
            </svg>
            {placed.nodes.map((one) => {
              const node = of.get(one.name)!
              return (
                <button
                  key={one.name}
                  ref={(button) => {
                    if (button === null) buttons.current.delete(one.name)
                    else buttons.current.set(one.name, button)
                  }}
                  type="button"
                  tabIndex={one.name === stop ? 0 : -1}
                  className="panel absolute flex flex-col justify-between border-l-4 px-2.5 py-1.5 text-left shadow-sm hover:bg-raised"
                  style={{
                    left: one.at.x,
                    top: one.at.y,
                    width: sizes.width,
                    height: sizes.height,
                    borderLeftColor: `var(--${colourOf(node)})`
                  }}
                  onFocus={() => setCurrent(one.name)}
                  onBlur={() => setCurrent(undefined)}
                  onMouseEnter={() => setPointed(one.name)}
                  onMouseLeave={() => setPointed(undefined)}
                  onKeyDown={(event) => go(event, one)}
                  onClick={() => onOpen(one.name)}
                >
                  <NodeFace node={node} />
                  <span className="sr-only">{waits(node)}</span>
                </button>
              )
            })}
          </div>
        </div>
      </div>
      <Legend used={new Set(nodes.flatMap(({ after = {} }) => Object.values(after)))} />
    </section>
  )
}

const colourOf = ({ counts }: FlowNode): State | "line" => total(counts) === 0 ? "line" : standing(counts)

const NodeFace = ({ node: { counts, isList = false, name } }: { readonly node: FlowNode }) => {
  const all = total(counts)
  const state = standing(counts)
  return (
    <>
      <span className="flex items-baseline gap-1.5">
        <bdi className="min-w-0 flex-1 truncate font-semibold">{visible(name)}</bdi>
        {(isList || all > 1) && <span className="label">×{exact(all)}</span>}
      </span>
      <span className="flex items-center gap-2 text-[11.5px]">
        {all === 0 ? <span className="text-faint">no records yet</span> : all === 1 ? <StateMark state={state} /> : (
          <>
            <StateMark state={state} text={`${exact(counts[state])} ${state}`} />
            {counts.completed > 0 && state !== "completed" && (
              <span className="text-soft">{exact(counts.completed)} done</span>
            )}
          </>
        )}
      </span>
      {all > 1 ? <Progress counts={counts} isThin /> : <span />}
    </>
  )
}

const pathOf = (points: Line["points"]): string =>
  points.map(({ x, y }, i) => {
    if (i === 0) return `M${x} ${y}`
    const from = points[i - 1]!
    const middle = (from.x + x) / 2
    // Through the layers it goes straight, between them it bends.
    return i % 2 === 0 ? `L${x} ${y}` : `C${middle} ${from.y} ${middle} ${y} ${x} ${y}`
  }).join("")

const Edge = (
  { isDim, isHarm, isLit, line, policy }: {
    readonly line: Line
    readonly policy: OnFailure
    readonly isHarm: boolean
    readonly isLit: boolean
    readonly isDim: boolean
  }
) => {
  const [from, to] = line.points.slice(-2) as [Line["points"][number], Line["points"][number]]
  const colour = isHarm ? "dead" : isLit ? "accent" : "line"
  return (
    <g opacity={isDim ? 0.35 : 1}>
      <path
        d={pathOf(line.points)}
        fill="none"
        stroke={`var(--${colour === "line" ? "faint" : colour})`}
        strokeOpacity={colour === "line" ? 0.7 : 1}
        strokeWidth={isLit ? 2 : 1.5}
        strokeDasharray={policy === "continue" || policy === "ignore" ? "5 4" : undefined}
        markerEnd={`url(#tip-${colour})`}
      />
      <text
        x={(from.x + to.x) / 2}
        y={(from.y + to.y) / 2 + 3.5}
        textAnchor="middle"
        fontSize="10.5"
        fill={isHarm ? "var(--dead)" : "var(--soft)"}
        stroke="var(--panel)"
        strokeWidth="5"
        strokeLinejoin="round"
        paintOrder="stroke"
      >
        {policies[policy][0]}
      </text>
    </g>
  )
}

const Legend = ({ used }: { readonly used: ReadonlySet<OnFailure> }) =>
  used.size === 0 ? null : (
    <p className="flex flex-wrap gap-x-4 border-t border-line px-3 py-1.5 text-[11.5px] text-soft">
      <span className="text-faint">When it ends dead or cancelled, what waits for it</span>
      {(Object.keys(policies) as Array<OnFailure>).filter((policy) => used.has(policy)).map((policy) => (
        <span key={policy}>
          <strong className="font-medium text-ink">{policies[policy][0]}</strong>: {policies[policy][1]}
        </span>
      ))}
    </p>
  )

/** Where an arrow key leads: along an edge, or up and down in a layer. */
const neighbour = (
  key: string,
  from: Placed,
  nodes: ReadonlyArray<Placed>,
  lines: ReadonlyArray<Line>
): string | undefined => {
  const near = (names: ReadonlyArray<string>) =>
    nodes.filter(({ name }) => names.includes(name))
      .toSorted((a, b) => Math.abs(a.at.y - from.at.y) - Math.abs(b.at.y - from.at.y))[0]?.name
  const inLayer = (by: 1 | -1) =>
    nodes.filter(({ layer, place }) => layer === from.layer && Math.sign(place - from.place) === by)
      .toSorted((a, b) => by * (a.place - b.place))[0]?.name
  switch (key) {
    case "ArrowRight":
      return near(lines.filter((line) => line.from === from.name).map(({ to }) => to))
    case "ArrowLeft":
      return near(lines.filter((line) => line.to === from.name).map((line) => line.from))
    case "ArrowUp":
      return inLayer(-1)
    case "ArrowDown":
      return inLayer(1)
    case "Home":
      return nodes[0]?.name
    case "End":
      return nodes.at(-1)?.name
    default:
      return undefined
  }
}

/** What a node waits for, in words. */
export const WaitsFor = ({ node: { after = {} }, of }: {
  readonly node: FlowNode
  readonly of: ReadonlyMap<string, FlowNode>
}) => {
  const all = Object.entries(after)
  return all.length === 0 ? null : (
    <p className="border-b border-line px-3 py-1.5 text-soft">
      Waits for {all.map(([name, policy], i) => {
        const isHarm = isHarmed(of.get(name), policy)
        return (
          <span key={name}>
            {i > 0 && ", "}
            <bdi className="font-medium text-ink">{visible(name)}</bdi>{" "}
            <span className={isHarm ? "text-dead" : "text-faint"}>({policies[policy][0]})</span>
          </span>
        )
      })}
    </p>
  )
}
