/** What somebody should look at now, the worst first: each with the way to it. */
import { Link } from "@tanstack/react-router"
import type { ReactNode } from "react"
import type { JobsSeen, Schedule, Stats } from "../api.ts"
import { brief, exact, plural } from "../format.ts"
import { useJobsSeen, useSchedules } from "../queries.ts"
import { Panel } from "../ui/parts.tsx"

type Item = readonly [key: string, what: ReactNode]

/** A queue's oldest that waits for longer, and a tick that is later, is something to look at. */
const tooOld = 300_000
const tooLate = 60_000
/** Of fewer attempts a share says little. */
const enough = 10

export const Attention = ({ stats }: { readonly stats: Stats }) => {
  const { data: jobs } = useJobsSeen()
  const { data: schedules } = useSchedules()
  const items = [
    ...ofWorkers(stats),
    ...ofQueues(stats),
    ...ofJobs(jobs?.jobs ?? []),
    ...ofSchedules(schedules ?? [], stats.now),
    ...ofDead(stats),
    ...ofPaused(stats)
  ]
  return (
    <Panel
      title="Needs attention"
      id="attention"
      actions={items.length > 0 && <span className="label">{plural(items.length, "thing")}</span>}
    >
      {items.length === 0
        ? (
          <p className="px-3 py-3 text-soft">
            <span className="font-medium text-completed">Nothing.</span>{" "}
            Every queue with work has a worker, nothing is late, paused or dead, and no job fails more than a quarter of
            its attempts.
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

const ofWorkers = ({ queues, workers }: Stats): ReadonlyArray<Item> => {
  const served = new Set(workers.filter(({ leaseLeft }) => leaseLeft > 0).flatMap(({ queues }) => queues))
  return [
    ...queues.filter(({ counts, queue }) => !served.has(queue) && counts.ready + counts.scheduled > 0)
      .map(({ counts, queue }): Item => [
        `worker-${queue}`,
        <>
          <strong className="text-dead">No worker</strong> for <QueueLink queue={queue} />:{" "}
          {plural(counts.ready + counts.scheduled, "record")} waiting
        </>
      ]),
    ...workers.filter(({ leaseLeft }) => leaseLeft <= 0).map(({ holds, leaseLeft, worker }): Item => [
      `lost-${worker}`,
      <>
        <strong className="text-dead">Lease ended</strong> {brief(-leaseLeft)} ago: worker{" "}
        <span className="font-mono">{worker.slice(-8)}</span>
        {holds !== undefined && <>{" "}held {plural(holds, "record")}</>}
      </>
    ])
  ]
}

const ofQueues = ({ queues }: Stats): ReadonlyArray<Item> =>
  queues.filter(({ oldestReadyAge, paused }) => !paused && (oldestReadyAge ?? 0) > tooOld)
    .map(({ oldestReadyAge, queue }): Item => [
      `old-${queue}`,
      <>
        <strong className="text-dead">Waiting for {brief(oldestReadyAge ?? 0)}</strong>: the oldest of{" "}
        <QueueLink queue={queue} />
      </>
    ])

/** The job itself is named: a share of all that ends hides one that fails among many that do not. */
const ofJobs = (jobs: JobsSeen["jobs"]): ReadonlyArray<Item> =>
  jobs.filter(({ attempts, failures }) => attempts >= enough && failures / attempts > 0.25)
    .toSorted((a, b) => b.failures / b.attempts - a.failures / a.attempts)
    .map(({ attempts, failures, job }): Item => [
      `failing-${job}`,
      <>
        <strong className="text-dead">{(failures / attempts * 100).toFixed(0)} % fails</strong>: of the last{" "}
        {exact(attempts)} attempts of{" "}
        <Link to="/records" search={{ job }} className="link">
          <bdi>{job}</bdi>
        </Link>, <Link to="/errors" className="link">by error</Link>
      </>
    ])

const ofSchedules = (schedules: ReadonlyArray<Schedule>, now: number): ReadonlyArray<Item> =>
  schedules.flatMap(({ last, name, next, status }): ReadonlyArray<Item> => {
    if (status !== "active") return []
    const late = next === undefined ? 0 : now - next.dueAt
    const run = last?.run
    return [
      ...late > tooLate
        ? [
          [
            `late-${name}`,
            <>
              <strong className="text-dead">{brief(late)} late</strong>: schedule{" "}
              <Link to="/schedules" className="link">
                <bdi>{name}</bdi>
              </Link>
            </>
          ] as const
        ]
        : [],
      ...run?.state === "dead"
        ? [
          [
            `run-${name}`,
            <>
              <strong className="text-dead">The last run died</strong>: schedule{" "}
              <Link to="/records/$id" params={{ id: run.id }} className="link">
                <bdi>{name}</bdi>
              </Link>
            </>
          ] as const
        ]
        : []
    ]
  })

const ofDead = ({ queues }: Stats): ReadonlyArray<Item> =>
  queues.filter(({ counts }) => counts.dead > 0).map(({ counts, queue }): Item => [
    `dead-${queue}`,
    <>
      <Link className="link font-semibold !text-dead" to="/dead" search={{ queue }}>
        {plural(counts.dead, "dead record")}
      </Link>{" "}
      in <QueueLink queue={queue} />
    </>
  ])

const ofPaused = ({ queues }: Stats): ReadonlyArray<Item> => [
  ...queues.filter(({ paused }) => paused).map(({ counts, queue }): Item => [
    `paused-${queue}`,
    <>
      <strong className="text-blocked">Paused</strong>: <QueueLink queue={queue} />, {exact(counts.ready)}{" "}
      ready behind it
    </>
  ]),
  ...queues.filter(({ parked }) => parked > 0).map(({ parked, queue }): Item => [
    `parked-${queue}`,
    <>
      <strong className="text-blocked">{exact(parked)} parked</strong> in{" "}
      <QueueLink queue={queue} />: no worker knows their job or version
    </>
  ])
]
