import { Link } from "@tanstack/react-router"
import type { FlowsSeen } from "../api.ts"
import { exact, plural, shortId } from "../format.ts"
import { useFlows } from "../queries.ts"
import { Ago, Empty, Failed, Heading, Loading, StateMark } from "../ui/parts.tsx"
import { Progress, standing, total } from "../ui/Progress.tsx"
import { Table } from "../ui/Table.tsx"

type Row = FlowsSeen["flows"][number]

export const Flows = () => {
  const { data, error, isPending } = useFlows()
  if (data === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  return (
    <>
      <Heading title="Flows">Those among the newest {plural(data.looked, "record")}.</Heading>
      <div className="panel mx-4 mb-8 overflow-hidden md:mx-6">
        {data.flows.length === 0 ?
          <Empty title="No flow among them">A flow is a graph of records that wait for each other.</Empty> :
          (
            <Table<Row>
              label="Flows"
              rows={data.flows}
              keyOf={({ id }) => id}
              columns={[
                {
                  name: "Flow",
                  cell: ({ id, name }) => (
                    <Link to="/flows/$id" params={{ id }} className="font-medium hover:underline">
                      <bdi>{name ?? "flow"}</bdi>{" "}
                      <span className="font-mono text-[11px] font-normal text-faint">{shortId(id)}</span>
                    </Link>
                  )
                },
                { name: "State", cell: ({ counts }) => <StateMark state={standing(counts)} /> },
                {
                  name: "Progress",
                  cell: ({ counts }) => (
                    <span className="block w-48">
                      <Progress counts={counts} />
                    </span>
                  )
                },
                {
                  name: "Seen",
                  isNumber: true,
                  cell: ({ counts }) => exact(total(counts))
                },
                { name: "Newest", isNumber: true, cell: ({ newest }) => <Ago at={newest} /> }
              ]}
            />
          )}
      </div>
    </>
  )
}
