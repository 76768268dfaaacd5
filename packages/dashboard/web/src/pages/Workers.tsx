import { Link } from "@tanstack/react-router"
import type { Stats } from "../api.ts"
import { brief, exact } from "../format.ts"
import { useStats } from "../queries.ts"
import { Chip, Empty, Failed, Heading, Loading } from "../ui/parts.tsx"
import { Table } from "../ui/Table.tsx"

type Row = Stats["workers"][number]

/** Where workers that live run several versions beside each other, as they do while a release is brought out. */
const skewsOf = (workers: Stats["workers"]) =>
  (["capstanVersion", "appVersion"] as const).flatMap((field) => {
    const many = new Map<string | undefined, number>()
    for (const { leaseLeft, process } of workers) {
      if (leaseLeft > 0) many.set(process?.[field], (many.get(process?.[field]) ?? 0) + 1)
    }
    const versions = [...many].map(([version, workers]) => ({ version, workers }))
      .toSorted((a, b) => b.workers - a.workers)
    return versions.length < 2 ? [] : [{ of: field === "appVersion" ? "the application" : "Capstan", versions }]
  })

export const Workers = () => {
  const { data: stats, error, isPending } = useStats()
  if (stats === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  return (
    <>
      <Heading title="Workers">
        One for each process that works. What a worker holds is given to others when its lease ends.
      </Heading>
      {skewsOf(stats.workers).map(({ of, versions }) => (
        <p key={of} className="mx-4 mb-3 rounded-md border border-line bg-raised px-3 py-2 md:mx-6">
          <strong className="font-semibold">{versions.length} versions of {of} are at work:</strong>{" "}
          <span className="text-soft">
            {versions.map(({ version, workers }) =>
              `${version ?? "one that says none"} (${exact(workers)})`
            ).join(", ")}
          </span>
        </p>
      ))}
      <div className="panel mx-4 mb-8 overflow-hidden md:mx-6">
        {stats.workers.length === 0
          ? <Empty title="No worker is there">What is enqueued waits until one starts.</Empty>
          : (
            <Table<Row>
              label="Workers"
              rows={stats.workers}
              keyOf={({ worker }) => worker}
              columns={[
                {
                  name: "Worker",
                  cell: ({ leaseLeft, worker }) => (
                    <span className="flex items-center gap-2">
                      <span
                        aria-hidden
                        className={`size-2 shrink-0 rounded-full ${leaseLeft > 0 ? "bg-completed" : "bg-dead"}`}
                      />
                      <span className="min-w-0 font-mono text-[12px] break-all">{worker}</span>
                      {leaseLeft <= 0 && <Chip tone="text-dead">lease ended</Chip>}
                    </span>
                  )
                },
                {
                  name: "Runs on",
                  isWide: true,
                  cell: ({ process }) =>
                    process?.host === undefined && process?.pid === undefined
                      ? <span className="text-faint">–</span>
                      : (
                        <span className="break-all">
                          {process.host}
                          {process.pid !== undefined && (
                            <span className="whitespace-nowrap text-soft">{" "}pid {process.pid}</span>
                          )}
                        </span>
                      )
                },
                {
                  name: "Version",
                  cell: ({ process }) =>
                    process === undefined
                      ? <span className="text-faint">–</span>
                      : (
                        <span>
                          <span className="block max-w-44 truncate" title={process.appVersion}>
                            {process.appVersion ?? <span className="text-faint">–</span>}
                          </span>
                          {process.capstanVersion !== undefined && (
                            <span className="block text-[11.5px] whitespace-nowrap text-soft">
                              capstan {process.capstanVersion}
                            </span>
                          )}
                        </span>
                      )
                },
                {
                  name: "Holds",
                  isNumber: true,
                  cell: ({ holds, worker }) => (
                    <Link to="/records" search={{ worker }} className="hover:underline">
                      {holds === undefined ? "–" : exact(holds)}
                      <span className="sr-only">held by {worker}</span>
                    </Link>
                  )
                },
                {
                  name: "Lease",
                  isNumber: true,
                  cell: ({ leaseLeft }) =>
                    leaseLeft > 0
                      ? `${brief(leaseLeft)} left`
                      : <span className="whitespace-nowrap text-dead">ended {brief(-leaseLeft)} ago</span>
                },
                {
                  name: "Queues",
                  isWide: true,
                  cell: ({ queues }) => (
                    <span className="flex flex-wrap gap-1">
                      {queues.map((queue) => (
                        <Link key={queue} to="/queues/$queue" params={{ queue }}>
                          <Chip>{queue}</Chip>
                        </Link>
                      ))}
                    </span>
                  )
                }
              ]}
            />
          )}
      </div>
    </>
  )
}
