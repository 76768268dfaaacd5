import { Link } from "@tanstack/react-router"
import { lazy, Suspense, useState } from "react"
import { type Declarations, type JobsSeen, type State, states } from "../api.ts"
import { duration, exact, percent, plural } from "../format.ts"
import { useDeclarations, useJobsSeen, useMay } from "../queries.ts"
import { Ago, Empty, Failed, Heading, Loading, StateMark } from "../ui/parts.tsx"
import { Table } from "../ui/Table.tsx"

const Enqueue = lazy(async () => ({ default: (await import("../ui/Enqueue.tsx")).Enqueue }))

type Declaration = Declarations["jobs"][number]
type Row = Omit<JobsSeen["jobs"][number], "newest"> & { readonly newest?: number }

const none = Object.fromEntries(states.map((state) => [state, 0])) as Record<State, number>

/** A job that is declared, and has no record among those that were looked at. */
const unseen = ({ job, queue }: Declaration): Row => ({
  job,
  queues: [queue],
  versions: [],
  counts: none,
  attempts: 0,
  failures: 0
})

/** The same mark for what there is none of. */
const Nothing = () => <span className="text-faint">–</span>

/** A unit that both have is said once. */
const span = (of: Row["run"]) => {
  if (of === undefined) return <Nothing />
  const [p50, p95] = [duration(of.p50), duration(of.p95)]
  const [number, unit] = p50.split(/ (?=\D+$)/)
  return (
    <span className="whitespace-nowrap">
      {unit !== undefined && /^\S+ \D+$/.test(p95) && p95.endsWith(` ${unit}`) ? number : p50}{" "}
      <span className="text-faint">/</span> {p95}
    </span>
  )
}

const failing = ({ attempts, failures }: Row) => attempts === 0 ? undefined : failures / attempts

export const Jobs = () => {
  const { data, error, isPending } = useJobsSeen()
  const { data: { jobs: declared } = { jobs: [] } } = useDeclarations()
  const may = useMay()
  const [enqueued, setEnqueued] = useState<Declaration>()
  if (data === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  const declarations = new Map(declared.map((one) => [one.job, one]))
  const seen = new Set(data.jobs.map(({ job }) => job))
  const rows = [...data.jobs, ...declared.filter(({ job }) => !seen.has(job)).map(unseen)]
    .toSorted((a, b) => a.job < b.job ? -1 : 1)
  return (
    <>
      <Heading title="Jobs">
        {data.jobs.length === 0 && rows.length > 0
          ? "No job has a record yet."
          : `Of the newest ${plural(data.looked, "record")}: how their jobs do.`}
      </Heading>
      <div className="panel mx-4 mb-8 overflow-hidden md:mx-6">
        {rows.length === 0 ? <Empty title="No job has a record yet" /> : (
          <Table<Row>
            label="Jobs"
            rows={rows}
            keyOf={({ job }) => job}
            columns={[
              {
                name: "Job",
                cell: ({ job }) => (
                  <Link to="/records" search={{ job }} className="font-medium hover:underline">
                    <bdi>{job}</bdi>
                  </Link>
                )
              },
              {
                name: "Queue",
                cell: ({ queues }) =>
                  queues.map((queue) => (
                    <Link key={queue} to="/queues/$queue" params={{ queue }} className="mr-2 text-soft hover:underline">
                      <bdi>{queue}</bdi>
                    </Link>
                  ))
              },
              {
                name: "Records",
                cell: ({ counts, job }) => (
                  counts === none ? <Nothing /> : (
                    <span className="flex flex-wrap gap-x-3">
                      {states.filter((state) => counts[state] > 0).map((state) => (
                        <Link key={state} to="/records" search={{ job, state }} className="hover:underline">
                          <StateMark state={state} text={exact(counts[state])} />
                          <span className="sr-only">{state}</span>
                        </Link>
                      ))}
                    </span>
                  )
                )
              },
              { name: "Attempts", isNumber: true, cell: ({ attempts }) => exact(attempts) },
              {
                name: "Failing",
                isNumber: true,
                cell: (row) => {
                  const share = failing(row)
                  return share === undefined
                    ? <Nothing />
                    : (
                      <span className={share > 0.25 ? "text-dead" : share === 0 ? "text-faint" : ""}>
                        {percent(share)}
                      </span>
                    )
                }
              },
              { name: "Wait p50 / p95", isNumber: true, cell: ({ wait }) => span(wait) },
              { name: "Run p50 / p95", isNumber: true, cell: ({ run }) => span(run) },
              {
                name: "Version",
                isNumber: true,
                cell: ({ versions }) =>
                  versions.length === 0 ? <Nothing /> : versions.toSorted((a, b) => a - b).join(", ")
              },
              { name: "Newest", isNumber: true, cell: ({ newest }) => <Ago at={newest} /> },
              ...declared.some(({ queue }) => may("enqueue", queue))
                ? [{
                  name: "Actions",
                  isActions: true,
                  cell: ({ job }: Row) => {
                    const declaration = declarations.get(job)
                    return declaration !== undefined && may("enqueue", declaration.queue) && (
                      <button
                        type="button"
                        className="btn"
                        aria-label={`Enqueue ${job}`}
                        onClick={() => setEnqueued(declaration)}
                      >
                        Enqueue
                      </button>
                    )
                  }
                }]
                : []
            ]}
          />
        )}
      </div>
      {enqueued !== undefined && (
        <Suspense fallback={null}>
          <Enqueue job={enqueued} onClose={() => setEnqueued(undefined)} />
        </Suspense>
      )}
    </>
  )
}
