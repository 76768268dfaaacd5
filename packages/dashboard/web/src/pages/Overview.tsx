import { Link } from "@tanstack/react-router"
import { type Series, states, type Stats } from "../api.ts"
import { brief, count, exact, plural } from "../format.ts"
import { useSeries, useStats } from "../queries.ts"
import { Bars } from "../ui/Bars.tsx"
import { Empty, Failed, Heading, Loading, Panel, StateMark } from "../ui/parts.tsx"
import { Spark } from "../ui/Spark.tsx"

type Samples = Series["samples"]

/** Per minute, of the newest samples. */
const rate = (samples: Samples, every: number, of: (sample: Samples[number]) => number): number | undefined => {
  const newest = samples.slice(-Math.round(60_000 / every))
  // The first one has no time before it.
  const taken = newest.length === samples.length ? newest.slice(1) : newest
  if (taken.length < 2) return undefined
  return taken.reduce((sum, sample) => sum + of(sample), 0) / (taken.length * every) * 60_000
}

export const Overview = () => {
  const { data: stats, error, isPending } = useStats()
  const { data: series = { every: 5000, samples: [] } } = useSeries()
  if (stats === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  const { every, samples } = series
  const total = (state: (typeof states)[number]) => stats.queues.reduce((sum, { counts }) => sum + counts[state], 0)
  const ages = stats.queues.flatMap(({ oldestReadyAge, paused }) =>
    oldestReadyAge === undefined || paused ? [] : [oldestReadyAge]
  )
  const alive = stats.workers.filter(({ leaseLeft }) => leaseLeft > 0).length
  const all = states.reduce((sum, state) => sum + total(state), 0)
  const completed = rate(samples, every, (sample) => sample.completed)
  const failed = rate(samples, every, (sample) => sample.failed)
  const share = completed === undefined || failed === undefined || completed + failed === 0
    ? undefined
    : failed / (completed + failed)
  const line = (of: (sample: Samples[number]) => number) => samples.slice(-180).map(of)
  return (
    <>
      <Heading title="Overview">
        {all === 0
          ? "Nothing has been enqueued yet."
          : `${plural(all, "record")} in ${plural(stats.queues.length, "queue")}, ${plural(alive, "worker")}.`}
      </Heading>
      <div className="flex flex-col gap-4 px-4 pb-8 md:px-6">
        <dl className="grid grid-cols-2 gap-3 sm:grid-cols-3 xl:grid-cols-6">
          <Figure
            name="Completed a minute"
            value={completed === undefined ? "–" : count(Math.round(completed))}
            line={line((sample) => sample.completed)}
            tone="text-completed"
          />
          <Figure
            name="Failing, of what ends"
            value={share === undefined ? "–" : `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`}
            line={line((sample) => sample.failed)}
            tone="text-dead"
            isBad={share !== undefined && share > 0.25}
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
          <Attention stats={stats} failing={share} />
        </div>
        <Depths stats={stats} />
      </div>
    </>
  )
}

const Figure = (
  { isBad = false, line, name, tone, value }: {
    readonly name: string
    readonly value: string
    readonly line: ReadonlyArray<number>
    readonly tone: string
    readonly isBad?: boolean
  }
) => (
  <div className="panel flex flex-col overflow-hidden">
    <dt className="label px-3 pt-2">{name}</dt>
    <dd className="flex flex-1 flex-col justify-between">
      <span className={`px-3 text-[22px] leading-tight font-semibold tracking-tight ${isBad ? "text-dead" : ""}`}>
        {value}
      </span>
      <Spark values={line} label={`${name}, the last quarter of an hour`} className={tone} height={26} />
    </dd>
  </div>
)

const Attention = ({ failing, stats }: { readonly stats: Stats; readonly failing: number | undefined }) => {
  const served = new Set(stats.workers.filter(({ leaseLeft }) => leaseLeft > 0).flatMap(({ queues }) => queues))
  const lost = stats.workers.filter(({ leaseLeft }) => leaseLeft <= 0)
  const items: ReadonlyArray<readonly [key: string, what: React.ReactNode]> = [
    ...failing !== undefined && failing > 0.25
      ? [
        [
          "failing",
          <>
            <strong className="text-dead">{(failing * 100).toFixed(0)} % of what ends fails</strong>: see{" "}
            <Link to="/errors" className="link">errors</Link>
          </>
        ] as const
      ]
      : [],
    ...stats.queues.filter(({ counts, queue }) => !served.has(queue) && counts.ready + counts.scheduled > 0)
      .map(({ counts, queue }) =>
        [
          `worker-${queue}`,
          <>
            <strong className="text-dead">No worker</strong> for <QueueLink queue={queue} />:{" "}
            {plural(counts.ready + counts.scheduled, "record")} waiting
          </>
        ] as const
      ),
    ...stats.queues.filter(({ oldestReadyAge, paused }) => !paused && (oldestReadyAge ?? 0) > 300_000)
      .map(({ oldestReadyAge, queue }) =>
        [
          `old-${queue}`,
          <>
            <strong className="text-dead">Waiting for {brief(oldestReadyAge ?? 0)}</strong>: the oldest of{" "}
            <QueueLink queue={queue} />
          </>
        ] as const
      ),
    ...stats.queues.filter(({ counts }) => counts.dead > 0).map(({ counts, queue }) =>
      [
        `dead-${queue}`,
        <>
          <Link className="link font-semibold !text-dead" to="/dead" search={{ queue }}>
            {plural(counts.dead, "dead record")}
          </Link>{" "}
          in <QueueLink queue={queue} />
        </>
      ] as const
    ),
    ...stats.queues.filter(({ paused }) => paused).map(({ counts, queue }) =>
      [
        `paused-${queue}`,
        <>
          <strong className="text-blocked">Paused</strong>: <QueueLink queue={queue} />, {exact(counts.ready)}{" "}
          ready behind it
        </>
      ] as const
    ),
    ...stats.queues.filter(({ parked }) => parked > 0).map(({ parked, queue }) =>
      [
        `parked-${queue}`,
        <>
          <strong className="text-blocked">{exact(parked)} parked</strong> in{" "}
          <QueueLink queue={queue} />: no worker knows their job or version
        </>
      ] as const
    ),
    ...lost.map(({ holds, leaseLeft, worker }) =>
      [
        `lost-${worker}`,
        <>
          <strong className="text-dead">Lease ended</strong> {brief(-leaseLeft)} ago: worker{" "}
          <span className="font-mono">{worker.slice(-8)}</span> held {plural(holds, "record")}
        </>
      ] as const
    )
  ]
  return (
    <Panel title="Needs attention" id="attention">
      {items.length === 0
        ? (
          <p className="px-3 py-3 text-soft">
            <span className="font-medium text-completed">Nothing.</span>{" "}
            Every queue with work has a worker, nothing is paused, nothing is dead.
          </p>
        )
        : (
          <ul className="max-h-44 overflow-y-auto" tabIndex={0} aria-label="What needs attention">
            {items.map(([key, what]) => <li key={key} className="border-line px-3 py-1.5 not-first:border-t">{what}
            </li>)}
          </ul>
        )}
    </Panel>
  )
}

const QueueLink = ({ queue }: { readonly queue: string }) => (
  <Link className="link" to="/queues/$queue" params={{ queue }}>
    <bdi>{queue}</bdi>
  </Link>
)

const Depths = ({ stats }: { readonly stats: Stats }) => (
  <Panel title="Queues" id="queues" actions={<Link to="/queues" className="link">Workers, pause, drain</Link>}>
    {stats.queues.length === 0
      ? <Empty title="There is no queue yet">A queue is there with its first record, or its first worker.</Empty>
      : (
        <div className="relative overflow-x-auto" tabIndex={0} role="region" aria-label="Queues by state">
          <table className="w-full border-collapse">
            <thead>
              <tr>
                <th scope="col" className="th">Queue</th>
                {states.map((state) => (
                  <th scope="col" key={state} className="th num">
                    <StateMark state={state} />
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {stats.queues.map(({ counts, queue }) => (
                <tr key={queue} className="hover:bg-raised">
                  <td className="td font-medium">
                    <Link to="/queues/$queue" params={{ queue }} className="hover:underline">
                      <bdi>{queue}</bdi>
                    </Link>
                  </td>
                  {states.map((state) => (
                    <td key={state} className="td num">
                      {counts[state] === 0 ?
                        <span className="text-faint">0</span> :
                        (
                          <Link
                            to="/records"
                            search={{ queue, state }}
                            className="hover:underline"
                            title={exact(counts[state])}
                          >
                            {count(counts[state])}
                          </Link>
                        )}
                    </td>
                  ))}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
  </Panel>
)
