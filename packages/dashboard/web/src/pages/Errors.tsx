import { Link } from "@tanstack/react-router"
import { useState } from "react"
import { Confirm } from "../actions.tsx"
import type { ErrorGroups, Selection } from "../api.ts"
import { exact, plural, visible } from "../format.ts"
import { useErrorGroups, useMay } from "../queries.ts"
import { Icon } from "../ui/Icon.tsx"
import { Ago, Empty, Failed, Heading, Loading } from "../ui/parts.tsx"
import { Table } from "../ui/Table.tsx"

type Row = ErrorGroups["errors"][number]

export const Errors = () => {
  const { data, error, isPending } = useErrorGroups()
  const may = useMay()
  const [asked, setAsked] = useState<Selection>()
  if (data === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  return (
    <>
      <Heading title="Errors">
        By job and error, of the newest {plural(data.looked, "record")} that are dead or wait to be tried again.
      </Heading>
      <div className="panel mx-4 mb-8 overflow-hidden md:mx-6">
        {data.errors.length === 0 ?
          <Empty title="Nothing fails">No record is dead, and none waits after a failure.</Empty> :
          (
            <Table<Row>
              label="Errors"
              rows={data.errors}
              keyOf={({ job, kind, tag }) => JSON.stringify([job, kind, tag])}
              columns={[
                {
                  name: "Error",
                  cell: ({ kind, message, tag }) => (
                    <span className="block max-w-xl">
                      <span className="font-medium text-dead">
                        <bdi>{visible(tag ?? kind)}</bdi>
                      </span>{" "}
                      <span className="label">{kind === "Declared" ? "" : kind}</span>
                      <span className="block truncate text-soft" title={visible(message)}>
                        <bdi>{visible(message)}</bdi>
                      </span>
                    </span>
                  )
                },
                { name: "Job", cell: ({ job }) => <bdi className="font-medium">{job}</bdi> },
                {
                  name: "Retrying",
                  isNumber: true,
                  cell: ({ job, retrying, tag }) =>
                    retrying === 0
                      ? <span className="text-faint">0</span>
                      : (
                        <Link
                          className="hover:underline"
                          to="/records"
                          search={{ job, state: "scheduled", ...tag === undefined ? {} : { error: tag } }}
                        >
                          {exact(retrying)}
                        </Link>
                      )
                },
                {
                  name: "Dead",
                  isNumber: true,
                  cell: ({ dead, job, tag }) =>
                    dead === 0
                      ? <span className="text-faint">0</span>
                      : (
                        <Link
                          className="text-dead hover:underline"
                          to="/records"
                          search={{ job, state: "dead", ...tag === undefined ? {} : { error: tag } }}
                        >
                          {exact(dead)}
                        </Link>
                      )
                },
                { name: "First", isNumber: true, cell: ({ first }) => <Ago at={first} /> },
                { name: "Last", isNumber: true, cell: ({ last }) => <Ago at={last} /> },
                {
                  name: "Actions",
                  isActions: true,
                  cell: ({ dead, example, job, queues, tag }) => (
                    <span className="flex justify-end gap-1.5">
                      <Link to="/records/$id" params={{ id: example }} className="btn">Newest</Link>
                      {dead > 0 && queues.some((queue) => may("retry", queue)) && (
                        <button
                          type="button"
                          className="btn"
                          onClick={() =>
                            setAsked({
                              tag: job,
                              states: ["dead"],
                              ...tag === undefined ? {} : { errorTag: tag },
                              ...queues.length === 1 ? { queue: queues[0]! } : {}
                            })}
                        >
                          <Icon name="retry" />
                          Retry dead
                        </button>
                      )}
                    </span>
                  )
                }
              ]}
            />
          )}
      </div>
      {asked !== undefined && <Confirm action="retry" where={asked} onClose={() => setAsked(undefined)} />}
    </>
  )
}
