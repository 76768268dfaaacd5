/** What ended over time: bars that stand on one another, with their greatest value said. */
import type { Series } from "../api.ts"
import { brief, exact, time } from "../format.ts"

interface Bar {
  readonly at: number
  readonly completed: number
  readonly failed: number
  readonly isAtLeast: boolean
}

const width = 90

/** Several samples are one bar, so that the half hour fits. */
const barsOf = ({ every, samples }: Series): ReadonlyArray<Bar> => {
  const each = Math.ceil(360 / width)
  const bars = new Map<number, Bar>()
  for (const { at, completed, failed, isAtLeast } of samples) {
    const start = Math.floor(at / (every * each)) * every * each
    const bar = bars.get(start)
    bars.set(start, {
      at: start,
      completed: completed + (bar?.completed ?? 0),
      failed: failed + (bar?.failed ?? 0),
      isAtLeast: isAtLeast || (bar?.isAtLeast ?? false)
    })
  }
  return [...bars.values()]
}

export const Bars = ({ series }: { readonly series: Series }) => {
  const bars = barsOf(series)
  const step = series.every * Math.ceil(360 / width)
  const last = bars.at(-1)?.at ?? 0
  const most = Math.max(4, ...bars.map(({ completed, failed }) => completed + failed))
  const hasEnded = bars.some(({ completed, failed }) => completed + failed > 0)
  const height = 100
  const sum = (of: (bar: Bar) => number) => bars.reduce((total, bar) => total + of(bar), 0)
  return (
    <figure className="px-3 pt-2 pb-2">
      <div className="relative h-32">
        <span className="label num absolute top-0 left-0 bg-panel pr-1">
          {hasEnded ? `${exact(most)} in ${brief(step)}` : "Nothing has ended yet"}
        </span>
        <svg
          role="img"
          aria-label={`In the last half hour ${exact(sum(({ completed }) => completed))} attempts completed and ${
            exact(sum(({ failed }) => failed))
          } failed`}
          viewBox={`0 0 ${width * 10} ${height}`}
          preserveAspectRatio="none"
          className="size-full"
        >
          <path
            d={`M0 0.500H${width * 10}M0 50H${width * 10}`}
            stroke="var(--line)"
            strokeDasharray="2 4"
            vectorEffect="non-scaling-stroke"
          />
          <path d={`M0 ${height - 0.5}H${width * 10}`} stroke="var(--line)" vectorEffect="non-scaling-stroke" />
          {bars.map(({ at, completed, failed, isAtLeast }) => {
            const x = (width - 1 - (last - at) / step) * 10
            if (x < 0) return null
            const good = completed / most * (height - 2)
            const bad = failed / most * (height - 2)
            return (
              <g key={at}>
                <title>
                  {`${time(at).slice(0, 8)}: ${exact(completed)} completed, ${exact(failed)} failed${
                    isAtLeast ? ", at least" : ""
                  }`}
                </title>
                <rect x={x} width={10} y={0} height={height} fill="transparent" />
                <rect x={x + 1} width={8} y={height - good} height={good} fill="var(--completed)" opacity="0.75" />
                <rect x={x + 1} width={8} y={height - good - bad} height={bad} fill="var(--dead)" opacity="0.9" />
              </g>
            )
          })}
        </svg>
      </div>
      <figcaption className="label flex justify-between pt-1">
        <span>30 min ago</span>
        <span className="flex gap-4">
          <span>
            <span aria-hidden className="mr-1.5 inline-block size-2 rounded-sm bg-completed" />completed
          </span>
          <span>
            <span aria-hidden className="mr-1.5 inline-block size-2 rounded-sm bg-dead" />failed
          </span>
        </span>
        <span>now</span>
      </figcaption>
    </figure>
  )
}
