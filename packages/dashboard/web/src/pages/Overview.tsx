import { Link } from "@tanstack/react-router"
import { type QueueStats, type Series, type State, states, type Stats } from "../api.ts"
import { brief, count, duration, percent, plural } from "../format.ts"
import { useSeries, useStats } from "../queries.ts"
import { Bars } from "../ui/Bars.tsx"
import { Depth } from "../ui/Depth.tsx"
import { Empty, Failed, Heading, Loading, Panel, StateMark } from "../ui/parts.tsx"
import { Spark } from "../ui/Spark.tsx"
import { type Column, Table } from "../ui/Table.tsx"
import { Attention } from "./Attention.tsx"

type Samples = Series["samples"]

interface Ended {
  /** Per minute. */
  readonly completed: number
  /** Of what ended, where something did. */
  readonly failing: number | undefined
}

/** What ended in the last minute, and in the half hour before it. */
const endedIn = ({ every, samples }: Series): { readonly now?: Ended; readonly before?: Ended } => {
  const minute = Math.round(60_000 / every)
  const of = (taken: Samples): Ended | undefined => {
    if (taken.length < 2) return undefined
    const completed = taken.reduce((sum, sample) => sum + sample.completed, 0)
    const failed = taken.reduce((sum, sample) => sum + sample.failed, 0)
    return {
      completed: completed / (taken.length * every) * 60_000,
      failing: completed + failed === 0 ? undefined : failed / (completed + failed)
    }
  }
  // The first one has no time before it.
  const counted = samples.slice(1)
  const now = of(counted.slice(-minute))
  // A shorter time would be compared with itself.
  const before = counted.length < 3 * minute ? undefined : of(counted.slice(0, -minute))
  return { ...now === undefined ? {} : { now }, ...before === undefined ? {} : { before } }
}

export const Overview = () => {
  const { data: stats, error, isPending } = useStats()
  const { data: series = { every: 5000, samples: [] } } = useSeries()
  if (stats === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  const { samples } = series
  const total = (state: (typeof states)[number]) => stats.queues.reduce((sum, { counts }) => sum + counts[state], 0)
  const ages = stats.queues.flatMap(({ oldestReadyAge, paused }) =>
    oldestReadyAge === undefined || paused ? [] : [oldestReadyAge]
  )
  const alive = stats.workers.filter(({ leaseLeft }) => leaseLeft > 0).length
  const all = states.reduce((sum, state) => sum + total(state), 0)
  const { before, now } = endedIn(series)
  const last = samples.at(-1)
  const line = (of: (sample: Samples[number]) => number | undefined) => samples.slice(-180).map(of)
  return (
    <>
      <Heading title="Overview">
        {all === 0
          ? "Nothing has been enqueued yet."
          : `${plural(all, "record")} in ${plural(stats.queues.length, "queue")}, ${plural(alive, "worker")}.`}
      </Heading>
      <div className="flex flex-col gap-4 px-4 pb-8 md:px-6">
        <dl className="grid grid-cols-2 gap-3 lg:grid-cols-4">
          <Figure
            name="Completed a minute"
            value={now === undefined ? "–" : count(Math.round(now.completed))}
            before={before === undefined ? undefined : count(Math.round(before.completed))}
            line={line((sample) => sample.completed)}
            tone="text-completed"
          />
          <Figure
            name="Attempts that fail"
            value={now?.failing === undefined ? "–" : percent(now.failing)}
            before={before?.failing === undefined ? undefined : percent(before.failing)}
            line={line((sample) => sample.failed)}
            tone="text-dead"
            isBad={now?.failing !== undefined && now.failing > 0.25}
          />
          <Figure
            name="Wait, p95"
            title="From when a record was due to its first start, in the last minute"
            value={last?.wait === undefined ? "–" : duration(last.wait)}
            before={series.waitBefore === undefined ? undefined : duration(series.waitBefore)}
            line={line((sample) => sample.wait)}
            tone="text-blocked"
          />
          <Figure
            name="Run, p95"
            title="Of the attempts that ended in the last minute"
            value={last?.run === undefined ? "–" : duration(last.run)}
            before={series.runBefore === undefined ? undefined : duration(series.runBefore)}
            line={line((sample) => sample.run)}
            tone="text-running"
          />
          <Figure
            name="Oldest ready"
            value={ages.length === 0 ? "–" : brief(Math.max(...ages))}
            line={line((sample) => sample.oldestReadyAge ?? 0)}
            tone="text-blocked"
            isBad={ages.some((age) => age > 300_000)}
          />
          <Figure name="Ready" value={count(total("ready"))} line={line((sample) => sample.ready)} tone="text-ready" />
          <Figure
            name="Running"
            value={count(total("running"))}
            line={line((sample) => sample.running)}
            tone="text-running"
          />
          <Figure
            name="Dead"
            value={count(total("dead"))}
            line={line((sample) => sample.dead)}
            tone="text-dead"
            isBad={total("dead") > 0}
          />
        </dl>
        <div className="grid gap-4 xl:grid-cols-[minmax(0,1.6fr)_minmax(0,1fr)]">
          <Panel
            title="Attempts that ended"
            id="ended"
            actions={<span className="label">as this process was told</span>}
          >
            <Bars series={series} />
          </Panel>
          <Attention stats={stats} />
        </div>
        <Depths stats={stats} />
      </div>
    </>
  )
}

const Figure = (
  { before, isBad = false, line, name, title, tone, value }: {
    readonly name: string
    readonly title?: string
    /** The same of the half hour before the last minute. */
    readonly before?: string | undefined
    readonly value: string
    readonly line: ReadonlyArray<number | undefined>
    readonly tone: string
    readonly isBad?: boolean
  }
) => (
  <div className="panel flex flex-col overflow-hidden">
    <dt className="label px-3 pt-2" title={title}>{name}</dt>
    <dd className="flex flex-1 flex-col justify-between">
      <span className={`px-3 text-[22px] leading-tight font-semibold tracking-tight ${isBad ? "text-dead" : ""}`}>
        {value}
        {before !== undefined && (
          <span className="label ml-2 font-normal tracking-normal" title="In the half hour before the last minute">
            before {before}
          </span>
        )}
      </span>
      <Spark values={line} label={`${name}, the last quarter of an hour`} className={tone} height={26} />
    </dd>
  </div>
)

/** As on the page of queues, and what has ended. */
const order: ReadonlyArray<State> = ["ready", "running", "scheduled", "blocked", "dead", "completed", "cancelled"]

const Depths = ({ stats }: { readonly stats: Stats }) => (
  <Panel title="Queues" id="queues" actions={<Link to="/queues" className="link">Workers, pause, drain</Link>}>
    {stats.queues.length === 0
      ? <Empty title="There is no queue yet">A queue is there with its first record, or its first worker.</Empty>
      : (
        <Table<QueueStats>
          label="Queues by state"
          rows={stats.queues}
          keyOf={({ queue }) => queue}
          columns={[
            {
              name: "Queue",
              cell: ({ queue }) => (
                <Link to="/queues/$queue" params={{ queue }} className="font-medium hover:underline">
                  <bdi>{queue}</bdi>
                </Link>
              )
            },
            ...order.map((state): Column<QueueStats> => ({
              name: <StateMark state={state} />,
              isNumber: true,
              cell: ({ counts, queue }) => <Depth queue={queue} state={state} of={counts[state]} />
            }))
          ]}
        />
      )}
  </Panel>
)
