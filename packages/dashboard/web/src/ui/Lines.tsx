/** Figures over a stretch of time, and under them the same ones of another stretch. What is not known is a gap. */
import { useId } from "react"

export interface Point {
  /** Of the stretch: from 0 to 1. */
  readonly at: number
  readonly value: number | undefined
}

const width = 600
const height = 100

/** Lines of what is known without a gap between. */
const pathOf = (points: ReadonlyArray<Point>, step: number, y: (value: number) => number): string => {
  let path = ""
  let last: number | undefined
  for (const { at, value } of points) {
    if (value === undefined) {
      last = undefined
      continue
    }
    const isJoined = last !== undefined && at - last < step * 1.5
    path += `${isJoined ? "L" : "M"}${(at * width).toFixed(1)} ${y(value).toFixed(1)}`
    last = at
  }
  return path
}

/** What has nothing beside it: a line of no length, which its round ends make a dot. */
const dotsOf = (points: ReadonlyArray<Point>, y: (value: number) => number): string =>
  points.flatMap(({ at, value }, i) =>
    value === undefined || points[i - 1]?.value !== undefined || points[i + 1]?.value !== undefined
      ? []
      : [`M${(at * width).toFixed(1)} ${y(value).toFixed(1)}h0.01`]
  ).join("")

export const Lines = (
  { before, label, now, say, since, start, step, tone }: {
    readonly label: string
    /** What the stretch begins with: `1 h ago`. */
    readonly start: string
    readonly now: ReadonlyArray<Point>
    readonly before: ReadonlyArray<Point>
    /** Of what is before it nothing is known: from 0 to 1. */
    readonly since: number
    /** How much of the stretch is one point. */
    readonly step: number
    readonly say: (value: number) => string
    readonly tone: string
  }
) => {
  const id = useId()
  const known = [...now, ...before].flatMap(({ value }) => value === undefined ? [] : [value])
  const most = Math.max(0, ...known)
  const y = (value: number) => height - 1 - (most === 0 ? 0 : value / most * (height - 10))
  return (
    <figure className="px-3 pb-2">
      <div className="relative h-28">
        <span className="label num absolute top-0 left-0 bg-panel pr-1">{most === 0 ? "" : say(most)}</span>
        {known.length === 0 && (
          <span className="label absolute inset-x-0 top-[40%] text-center">
            <span className="bg-panel px-2">Nothing to draw yet</span>
          </span>
        )}
        <svg
          role="img"
          aria-labelledby={id}
          viewBox={`0 0 ${width} ${height}`}
          preserveAspectRatio="none"
          className={`size-full ${tone}`}
        >
          <title id={id}>{label}</title>
          {since > 0 && since < 1 && (
            <path
              d={`M${since * width} 0V${height}`}
              stroke="var(--faint)"
              strokeDasharray="1 3"
              vectorEffect="non-scaling-stroke"
            />
          )}
          <path
            d={`M0 9H${width}M0 54H${width}`}
            stroke="var(--line)"
            strokeDasharray="2 4"
            vectorEffect="non-scaling-stroke"
          />
          <path d={`M0 ${height - 0.5}H${width}`} stroke="var(--line)" vectorEffect="non-scaling-stroke" />
          <path
            d={pathOf(before, step, y)}
            fill="none"
            stroke="var(--faint)"
            strokeWidth="1.500"
            strokeDasharray="4 3"
            strokeLinecap="round"
            opacity="0.8"
            vectorEffect="non-scaling-stroke"
          />
          <path
            d={dotsOf(now, y)}
            stroke="currentColor"
            strokeWidth="5"
            strokeLinecap="round"
            vectorEffect="non-scaling-stroke"
          />
          <path
            d={pathOf(now, step, y)}
            fill="none"
            stroke="currentColor"
            strokeWidth="1.800"
            strokeLinecap="round"
            strokeLinejoin="round"
            vectorEffect="non-scaling-stroke"
          />
          {now.map(({ at, value }) =>
            value === undefined ?
              null :
              (
                <rect key={at} x={(at - step / 2) * width} width={step * width} height={height} fill="transparent">
                  <title>{say(value)}</title>
                </rect>
              )
          )}
        </svg>
      </div>
      <figcaption className="label flex justify-between pt-1">
        <span>{start}</span>
        {since > 0 && since < 1 && <span>nothing is known before the dotted line</span>}
        <span>now</span>
      </figcaption>
    </figure>
  )
}
