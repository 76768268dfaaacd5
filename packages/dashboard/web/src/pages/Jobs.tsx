import { Link } from "@tanstack/react-router"
import { type JobsSeen, states } from "../api.ts"
import { duration, exact, plural } from "../format.ts"
import { useJobsSeen } from "../queries.ts"
import { Ago, Empty, Failed, Heading, Loading, StateMark } from "../ui/parts.tsx"
import { Table } from "../ui/Table.tsx"

type Row = JobsSeen["jobs"][number]

const span = (of: Row["run"]) =>
  of === undefined ? <span className="text-faint">–</span> : (
    <>
      {duration(of.p50)} <span className="text-faint">/</span> {duration(of.p95)}
    </>
  )

const failing = ({ attempts, failures }: Row) => attempts === 0 ? undefined : failures / attempts

export const Jobs = () => {
  const { data, error, isPending } = useJobsSeen()
  if (data === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  return (
    <>
      <Heading title="Jobs">Of the newest {plural(data.looked, "record")}: how their jobs do.</Heading>
      <div className="panel mx-4 mb-8 overflow-hidden md:mx-6">
        {data.jobs.length === 0 ? <Empty title="No job has a record yet" /> : (
          <Table<Row>
            label="Jobs"
            rows={data.jobs}
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
                  <span className="flex flex-wrap gap-x-3">
                    {states.filter((state) => counts[state] > 0).map((state) => (
                      <Link key={state} to="/records" search={{ job, state }} className="hover:underline">
                        <StateMark state={state} text={exact(counts[state])} />
                        <span className="sr-only">{state}</span>
                      </Link>
                    ))}
                  </span>
                )
              },
              { name: "Attempts", isNumber: true, cell: ({ attempts }) => exact(attempts) },
              {
                name: "Failing",
                isNumber: true,
                cell: (row) => {
                  const share = failing(row)
                  return share === undefined
                    ? <span className="text-faint">–</span>
                    : (
                      <span className={share > 0.25 ? "text-dead" : share === 0 ? "text-faint" : ""}>
                        {(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %
                      </span>
                    )
                }
              },
              { name: "Wait p50 / p95", isNumber: true, cell: ({ wait }) => span(wait) },
              { name: "Run p50 / p95", isNumber: true, cell: ({ run }) => span(run) },
              {
                name: "Version",
                isNumber: true,
                cell: ({ versions }) => versions.toSorted((a, b) => a - b).join(", ")
              },
              { name: "Newest", isNumber: true, cell: ({ newest }) => <Ago at={newest} /> }
            ]}
          />
        )}
      </div>
    </>
  )
}
