import { Link } from "@tanstack/react-router"
import { states, type Stats } from "../api.ts"
import { brief, count, exact, plural } from "../format.ts"
import { useStats } from "../queries.ts"
import { Empty, Failed, Heading, Loading, Panel, StateMark } from "../ui/parts.tsx"

export const Overview = () => {
  const { data: stats, error, isPending } = useStats()
  if (stats === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  const total = (state: (typeof states)[number]) => stats.queues.reduce((sum, { counts }) => sum + counts[state], 0)
  const ages = stats.queues.flatMap(({ oldestReadyAge, paused }) =>
    oldestReadyAge === undefined || paused ? [] : [oldestReadyAge]
  )
  const alive = stats.workers.filter(({ leaseLeft }) => leaseLeft > 0).length
  const all = states.reduce((sum, state) => sum + total(state), 0)
  return (
    <>
      <Heading title="Overview">
        {all === 0
          ? "Nothing has been enqueued yet."
          : `${plural(all, "record")} in ${plural(stats.queues.length, "queue")}.`}
      </Heading>
      <div className="flex flex-col gap-4 px-4 pb-8 md:px-6">
        <dl className="panel grid grid-cols-2 gap-px overflow-hidden sm:grid-cols-3 lg:grid-cols-6">
          <Figure name="Ready" value={count(total("ready"))} />
          <Figure name="Running" value={count(total("running"))} />
          <Figure name="Scheduled" value={count(total("scheduled"))} />
          <Figure name="Dead" value={count(total("dead"))} tone={total("dead") > 0 ? "text-dead" : ""} />
          <Figure name="Oldest ready" value={ages.length === 0 ? "–" : brief(Math.max(...ages))} />
          <Figure name="Workers" value={exact(alive)} tone={alive === 0 && all > 0 ? "text-dead" : ""} />
        </dl>
        <Attention stats={stats} />
        <Depths stats={stats} />
      </div>
    </>
  )
}

const Figure = (
  { name, tone = "", value }: { readonly name: string; readonly value: string; readonly tone?: string }
) => (
  <div className="flex flex-col-reverse px-3 py-2.5">
    <dt className="label">{name}</dt>
    <dd className={`text-[22px] leading-tight font-semibold tracking-tight ${tone}`}>{value}</dd>
  </div>
)

const Attention = ({ stats }: { readonly stats: Stats }) => {
  const served = new Set(stats.workers.filter(({ leaseLeft }) => leaseLeft > 0).flatMap(({ queues }) => queues))
  const lost = stats.workers.filter(({ leaseLeft }) => leaseLeft <= 0)
  const items: ReadonlyArray<readonly [key: string, what: React.ReactNode]> = [
    ...stats.queues.filter(({ counts, queue }) => !served.has(queue) && counts.ready + counts.scheduled > 0).map((
      { counts, queue }
    ) =>
      [
        `worker-${queue}`,
        <>
          <strong className="text-dead">No worker</strong> for{" "}
          <Link className="link" to="/records" search={{ queue }}>{queue}</Link>:{" "}
          {plural(counts.ready + counts.scheduled, "record")} wait
        </>
      ] as const
    ),
    ...stats.queues.filter(({ paused }) => paused).map(({ counts, queue }) =>
      [
        `paused-${queue}`,
        <>
          <strong className="text-blocked">Paused</strong>: <Link className="link" to="/queues">{queue}</Link>,{" "}
          {exact(counts.ready)} ready behind it
        </>
      ] as const
    ),
    ...stats.queues.filter(({ counts }) => counts.dead > 0).map(({ counts, queue }) =>
      [
        `dead-${queue}`,
        <>
          <strong className="text-dead">{plural(counts.dead, "dead record")}</strong> in{" "}
          <Link className="link" to="/dead" search={{ queue }}>{queue}</Link>
        </>
      ] as const
    ),
    ...stats.queues.filter(({ parked }) => parked > 0).map(({ parked, queue }) =>
      [
        `parked-${queue}`,
        <>
          <strong className="text-blocked">{exact(parked)} parked</strong> in{" "}
          <Link className="link" to="/records" search={{ queue, state: "blocked" }}>{queue}</Link>: no worker knows
          their job or version
        </>
      ] as const
    ),
    ...lost.map(({ holds, leaseLeft, worker }) =>
      [
        `lost-${worker}`,
        <>
          <strong className="text-dead">Lease ended</strong> {brief(-leaseLeft)} ago: worker{" "}
          <span className="font-mono">{worker.slice(0, 12)}</span> held {plural(holds, "record")}
        </>
      ] as const
    )
  ]
  return (
    <Panel title="Needs attention" id="attention">
      {items.length === 0
        ? (
          <p className="px-3 py-3 text-soft">
            <span className="text-completed">Nothing.</span>{" "}
            Every queue with work has a worker, nothing is paused, nothing is dead.
          </p>
        )
        : (
          <ul>
            {items.map(([key, what]) => <li key={key} className="border-line px-3 py-1.5 not-first:border-t">{what}
            </li>)}
          </ul>
        )}
    </Panel>
  )
}

const Depths = ({ stats }: { readonly stats: Stats }) => (
  <Panel title="Queues" id="queues" actions={<Link to="/queues" className="link">All of it</Link>}>
    {stats.queues.length === 0 ?
      <Empty title="There is no queue yet" /> :
      (
        <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Queues by state">
          <table className="w-full border-collapse">
            <thead>
              <tr>
                <th className="th">Queue</th>
                {states.map((state) => (
                  <th key={state} className="th num">
                    <StateMark state={state} />
                  </th>
                ))}
              </tr>
            </thead>
            <tbody>
              {stats.queues.map(({ counts, queue }) => (
                <tr key={queue} className="hover:bg-raised">
                  <td className="td font-medium">
                    <Link to="/records" search={{ queue }} className="hover:underline">
                      <bdi>{queue}</bdi>
                    </Link>
                  </td>
                  {states.map((state) => (
                    <td key={state} className="td num">
                      {counts[state] === 0 ? <span className="text-faint">0</span> : count(counts[state])}
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
