import { Link } from "@tanstack/react-router"
import { type FlowsSeen, type State, states } from "../api.ts"
import { exact, plural, shortId } from "../format.ts"
import { useFlows } from "../queries.ts"
import { Ago, Empty, Failed, Heading, Loading, StateMark } from "../ui/parts.tsx"
import { Table } from "../ui/Table.tsx"

type Row = FlowsSeen["flows"][number]

/** The states of a number of records as one bar. */
export const Progress = ({ counts }: { readonly counts: Readonly<Record<State, number>> }) => {
  const all = states.reduce((sum, state) => sum + counts[state], 0)
  const shown = ["completed", "running", "ready", "scheduled", "blocked", "cancelled", "dead"] as const
  return (
    <span
      className="flex h-2 w-full min-w-24 overflow-hidden rounded-sm bg-raised"
      role="img"
      aria-label={shown.filter((state) => counts[state] > 0).map((state) => `${counts[state]} ${state}`).join(", ")}
    >
      {shown.filter((state) => counts[state] > 0).map((state) => (
        <span key={state} style={{ width: `${counts[state] / all * 100}%`, background: `var(--${state})` }} />
      ))}
    </span>
  )
}

const standing = (counts: Row["counts"]): State =>
  counts.dead > 0 ? "dead" : counts.running + counts.ready > 0 ? "running" : counts.scheduled > 0 ?
    "scheduled"
    : counts.blocked > 0
    ? "blocked"
    : counts.cancelled > 0
    ? "cancelled"
    : "completed"

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
                  cell: ({ counts }) => exact(states.reduce((sum, state) => sum + counts[state], 0))
                },
                { name: "Newest", isNumber: true, cell: ({ newest }) => <Ago at={newest} /> }
              ]}
            />
          )}
      </div>
    </>
  )
}
