import { getRouteApi } from "@tanstack/react-router"
import type { History } from "../api.ts"
import { count, duration, exact, instant, percent } from "../format.ts"
import { useHistory, useStats } from "../queries.ts"
import { type Against, againsts, type MetricsSearch, type Span, spans } from "../search.ts"
import { useNow } from "../store.ts"
import { Lines, type Point } from "../ui/Lines.tsx"
import { Failed, Heading, Loading, Panel } from "../ui/parts.tsx"

type Figures = History["total"]
type Times = NonNullable<Figures["wait"]>

const route = getRouteApi("/metrics")

const minute = 60_000
const hour = 60 * minute
const lengths: Readonly<Record<Span, number>> = { "1h": hour, "6h": 6 * hour }
const named: Readonly<Record<Span, string>> = { "1h": "hour", "6h": "6 hours" }
const thanNamed = (span: Span): Readonly<Record<Against, string>> => ({
  before: `the ${named[span]} before`,
  yesterday: "the same time yesterday"
})

interface Chart {
  readonly name: string
  readonly what: string
  readonly tone: string
  /** Per minute of the stretch, where it is a rate. */
  readonly of: (figures: Figures, minutes: number) => number | undefined
  readonly say: (value: number) => string
  /** Where more is worse. */
  readonly isCost: boolean
  readonly isRate?: boolean
  readonly times?: (figures: Figures) => Times | undefined
}

const failing = ({ completed, failed }: Figures): number | undefined =>
  completed + failed === 0 ? undefined : failed / (completed + failed)

const millis = (value: number): string => value < 10 ? `${Number(value.toPrecision(2))} ms` : duration(value)
const some = (value: number): string => value < 10 ? String(Number(value.toFixed(1))) : count(Math.round(value))

const charts: ReadonlyArray<Chart> = [
  {
    name: "Wait, p95",
    what: "From when a record was due to its first start",
    tone: "text-blocked",
    of: ({ wait }) => wait?.p95,
    times: ({ wait }) => wait,
    say: millis,
    isCost: true
  },
  {
    name: "Run, p95",
    what: "Of one attempt, however it ended",
    tone: "text-running",
    of: ({ run }) => run?.p95,
    times: ({ run }) => run,
    say: millis,
    isCost: true
  },
  {
    name: "Oldest ready",
    what: "How long the one has waited that is next",
    tone: "text-blocked",
    of: ({ oldestReadyAge }) => oldestReadyAge,
    say: duration,
    isCost: true
  },
  {
    name: "Completed a minute",
    what: "Attempts that ended well",
    tone: "text-completed",
    of: ({ completed }, minutes) => completed / minutes,
    say: some,
    isCost: false,
    isRate: true
  },
  {
    name: "Attempts that fail",
    what: "Of all that ended",
    tone: "text-dead",
    of: failing,
    say: percent,
    isCost: true
  },
  {
    name: "Ready",
    what: "Records that wait for a worker, on average",
    tone: "text-ready",
    of: ({ ready }) => ready,
    say: some,
    isCost: true
  },
  {
    name: "Running",
    what: "Records that run, on average",
    tone: "text-running",
    of: ({ running }) => running,
    say: some,
    isCost: false
  },
  {
    name: "Store round trip, p95",
    what: "In which the store answers this process",
    tone: "text-scheduled",
    of: ({ roundTrip }) => roundTrip?.p95,
    times: ({ roundTrip }) => roundTrip,
    say: millis,
    isCost: true
  }
]

/** What is not yet over would look like a fall. */
const pointsOf = (
  { before, every, from, parts }: History,
  { isRate = false, of }: Chart,
  now: number
): ReadonlyArray<Point> =>
  parts.filter(({ at }) => !isRate || at + every <= now)
    .map((part) => ({ at: (part.at + every / 2 - from) / (before - from), value: of(part, every / minute) }))

/** Minutes of the stretch that were looked at. */
const minutesOf = ({ every, parts }: History): number => Math.max(1, parts.length * every / minute)

export const Metrics = () => {
  const { against = "before", queue, span = "1h" } = route.useSearch()
  const navigate = route.useNavigate()
  const clock = useNow()
  // Whole minutes, so that the earlier stretch is read once in each.
  const before = Math.floor(clock / minute) * minute + minute
  const from = before - lengths[span]
  const back = against === "before" ? lengths[span] : 24 * hour
  const { data: now, error, isPending } = useHistory({ from, before }, queue)
  const { data: then } = useHistory({ from: from - back, before: before - back }, queue)
  const { data: stats } = useStats()
  const choose = (chosen: MetricsSearch) => void navigate({ search: (search) => ({ ...search, ...chosen }) })
  const queues = [...new Set([...stats?.queues.map((one) => one.queue) ?? [], ...queue === undefined ? [] : [queue]])]
  if (now === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  const isKnown = then !== undefined && then.parts.length > 0
  return (
    <>
      <Heading
        title="Metrics"
        actions={
          <div className="flex flex-wrap items-center gap-2">
            <select
              aria-label="Queue"
              className="field max-w-40"
              value={queue ?? ""}
              onChange={({ target: { value } }) => choose({ queue: value === "" ? undefined : value })}
            >
              <option value="">all queues</option>
              {queues.map((name) => <option key={name} value={name}>{name}</option>)}
            </select>
            <select
              aria-label="How much is shown"
              className="field"
              value={span}
              onChange={({ target: { value } }) => choose({ span: value === "1h" ? undefined : value as Span })}
            >
              {spans.map((one) => <option key={one} value={one}>the last {named[one]}</option>)}
            </select>
            <select
              aria-label="Compared with"
              className="field"
              value={against}
              onChange={({ target: { value } }) =>
                choose({ against: value === "before" ? undefined : value as Against })}
            >
              {againsts.map((one) => <option key={one} value={one}>against {thanNamed(span)[one]}</option>)}
            </select>
          </div>
        }
      >
        As this process was told{now.since !== undefined && ` since ${instant(now.since).slice(0, -7)}`}.
        {!isKnown && ` Of ${thanNamed(span)[against]} it knows nothing.`}
        {now.total.isAtLeast && " More happened than it was told: counts are at least."}
      </Heading>
      <div className="grid gap-4 px-4 pb-8 md:grid-cols-2 md:px-6 2xl:grid-cols-3">
        {charts.map((chart) => (
          <One
            key={chart.name}
            chart={chart}
            now={now}
            then={isKnown ? then : undefined}
            clock={clock}
            span={named[span]}
            start={span === "1h" ? "1 h ago" : "6 h ago"}
            than={thanNamed(span)[against]}
          />
        ))}
      </div>
    </>
  )
}

const One = (
  { chart, clock, now, span, start, than, then }: {
    readonly chart: Chart
    readonly now: History
    readonly then: History | undefined
    readonly clock: number
    readonly span: string
    readonly start: string
    readonly than: string
  }
) => {
  const value = chart.of(now.total, minutesOf(now))
  const earlier = then === undefined ? undefined : chart.of(then.total, minutesOf(then))
  const times = chart.times?.(now.total)
  const said = value === undefined ? "–" : chart.say(value)
  return (
    <Panel
      title={
        <>
          {chart.name}
          <span className="label block font-normal">{chart.what}</span>
        </>
      }
      id={`of-${chart.name.replace(/\W+/g, "-")}`}
    >
      <p className="flex flex-wrap items-baseline gap-x-2 px-3 pt-2 pb-1">
        <span className="text-[22px] leading-tight font-semibold tracking-tight">{said}</span>
        {earlier !== undefined && value !== undefined && (
          <Change now={value} before={earlier} isCost={chart.isCost} say={chart.say} than={than} />
        )}
      </p>
      <p className="label min-h-[18px] px-3">
        {times !== undefined &&
          `p50 ${chart.say(times.p50)} · p95 ${chart.say(times.p95)} · p99 ${chart.say(times.p99)} · of ${
            exact(times.count)
          }`}
      </p>
      <Lines
        label={`${chart.name} of the last ${span}: ${said}${
          earlier === undefined ? "" : `; ${than}: ${chart.say(earlier)}`
        }`}
        start={start}
        step={now.every / (now.before - now.from)}
        since={((now.since ?? now.from) - now.from) / (now.before - now.from)}
        now={pointsOf(now, chart, clock)}
        before={then === undefined ? [] : pointsOf(then, chart, clock)}
        say={chart.say}
        tone={chart.tone}
      />
    </Panel>
  )
}

/** Less than a tenth is no news. */
const news = 0.1

const Change = (
  { before, isCost, now, say, than }: {
    readonly now: number
    readonly before: number
    readonly isCost: boolean
    readonly say: (value: number) => string
    readonly than: string
  }
) => {
  const by = before === 0 ? undefined : now / before - 1
  const tone = !isCost || by === undefined || Math.abs(by) < news
    ? "text-soft"
    : by > 0
    ? "text-dead"
    : "text-completed"
  return (
    <span className="label">
      {by !== undefined && (
        <span className={`mr-1.5 font-medium ${tone}`}>
          {by > 9 ? `${some(by + 1)} times` : `${by < 0 ? "−" : "+"}${Math.round(Math.abs(by) * 100)} %`}
        </span>
      )}
      <span title={than}>
        <svg aria-hidden="true" width="14" height="6" className="mr-1 inline-block align-middle">
          <path d="M0 3H14" stroke="var(--faint)" strokeWidth="1.500" strokeDasharray="4 3" />
        </svg>
        {say(before)} {than}
      </span>
    </span>
  )
}
