import { Link, useParams } from "@tanstack/react-router"
import { useState } from "react"
import { acts, Confirm } from "../actions.tsx"
import { ApiFailure, type Estimated, type FlowNode, type FlowView, states } from "../api.ts"
import { useActions } from "../commands.ts"
import { exact, plural, shortId, visible } from "../format.ts"
import { useFlow, useMay } from "../queries.ts"
import { FlowGraph, WaitsFor } from "../ui/FlowGraph.tsx"
import { Icon } from "../ui/Icon.tsx"
import { Ago, Empty, Failed, Loading, StateMark } from "../ui/parts.tsx"
import { Progress, total } from "../ui/Progress.tsx"

export const Flow = () => {
  const { id } = useParams({ from: "/flows/$id" })
  const { data: flow, error, isPending } = useFlow(id)
  const may = useMay()
  const [asked, setAsked] = useState<Estimated>()
  const can = flow === undefined ? [] : actionsOf(flow).filter((action) => may(action))
  useActions("all of this flow", can, setAsked)
  if (flow === undefined) {
    if (isPending) return <Loading />
    return error instanceof ApiFailure && error.status === 404
      ? <Empty title="There is no such flow">The retention of its records has passed, or you may not see them.</Empty>
      : <Failed error={error!} />
  }
  const isDrawn = flow.nodes.some(({ after }) => after !== undefined)
  const of = new Map(flow.nodes.map((node) => [node.name, node]))
  return (
    <div className="pb-10">
      <header className="px-4 pt-4 pb-4 md:px-6">
        <p className="label mb-1">
          <Link to="/flows" className="hover:underline">Flows</Link> / <span className="font-mono">{flow.id}</span>
        </p>
        <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
          <h1 className="text-[19px] font-semibold tracking-tight">
            <bdi>{flow.name ?? "Flow"}</bdi>
          </h1>
          <span className="text-soft">
            {plural(total(flow.counts), "record")}
            {flow.isCut && " and more"} in {plural(flow.nodes.length, "node")}
          </span>
          <span className="flex-1" />
          {can.map((action) => (
            <button
              key={action}
              type="button"
              className="btn"
              onClick={() => setAsked(action)}
            >
              <Icon name={acts[action].icon} />
              {acts[action].verb} all of it
            </button>
          ))}
        </div>
        <div className="mt-3">
          <Progress counts={flow.counts} />
        </div>
      </header>
      {isDrawn
        ? <FlowGraph nodes={flow.nodes} onOpen={open} />
        : (
          <p className="px-4 pb-3 text-soft md:px-6">
            How its nodes wait for each other is not told: the record that stands for it is gone, may not be seen, or
            was stored by an earlier release.
          </p>
        )}
      <div className="grid items-start gap-3 px-4 md:px-6 lg:grid-cols-2 2xl:grid-cols-3">
        {flow.nodes.map((node) => <NodeRecords key={node.name} node={node} of={of} flow={flow} />)}
      </div>
      {asked !== undefined && (
        <Confirm
          action={asked}
          {
            // What waits for others first: else it would be dead for want of them.
            ...asked === "cancel" ? { first: { flowId: flow.id, states: ["blocked"] } } : {}
          }
          where={asked === "retry" ? { flowId: flow.id, states: ["dead", "cancelled"] } : { flowId: flow.id }}
          onClose={() => setAsked(undefined)}
        />
      )}
    </div>
  )
}

const actionsOf = ({ counts }: FlowView): ReadonlyArray<Estimated> => [
  ...counts.dead + counts.cancelled > 0 ? ["retry"] as const : [],
  ...counts.blocked + counts.ready + counts.scheduled + counts.running > 0 ? ["cancel"] as const : []
]

const idOf = (name: string): string => `node-${name}`

/** From the picture to the words. */
const open = (name: string): void => {
  const section = document.getElementById(idOf(name))
  section?.scrollIntoView({ block: "start" })
  section?.querySelector("h2")?.focus()
}

const NodeRecords = ({ flow, node, of }: {
  readonly node: FlowNode
  readonly of: ReadonlyMap<string, FlowNode>
  readonly flow: FlowView
}) => {
  const { counts, name, records } = node
  const many = total(counts)
  return (
    <section id={idOf(name)} className="panel min-w-0 scroll-mt-3 overflow-hidden" aria-label={`Node ${name}`}>
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b border-line px-3 py-2">
        <h2 className="font-semibold" tabIndex={-1}>
          <bdi>{visible(name)}</bdi>
        </h2>
        <span className="flex flex-1 flex-wrap gap-x-3">
          {states.filter((state) => counts[state] > 0).map((state) => (
            <StateMark key={state} state={state} text={`${exact(counts[state])} ${state}`} />
          ))}
        </span>
      </div>
      <WaitsFor node={node} of={of} />
      {records.length === 0 ?
        <p className="px-3 py-2 text-faint">It has no records yet.</p> :
        (
          <ul className="max-h-72 overflow-auto" tabIndex={0} aria-label={`Records of ${name}`}>
            {records.map((record) => <RecordLine key={record.id} record={record} />)}
          </ul>
        )}
      {many > records.length && (
        <p className="label border-t border-line px-3 py-1.5">
          {exact(records.length)} of {exact(many)};{" "}
          <Link
            className="link"
            to="/records"
            search={{ flow: flow.id, ...flow.name === undefined ? {} : { tag: `${flow.name}/${name}` } }}
          >
            all records
          </Link>
        </p>
      )}
    </section>
  )
}

const RecordLine = ({ record }: { readonly record: FlowNode["records"][number] }) => (
  <li className="grid grid-cols-[92px_minmax(0,1fr)_auto] items-baseline gap-x-2 border-line px-3 py-1 not-first:border-t hover:bg-raised">
    <StateMark state={record.state} />
    <span className="truncate">
      <Link to="/records/$id" params={{ id: record.id }} className="hover:underline">
        <bdi>{record.tag}</bdi> <span className="font-mono text-[11px] text-faint">{shortId(record.id)}</span>
      </Link>
      {record.lastFailure !== undefined && record.state !== "completed" && (
        <span className="text-dead">
          {" · "}
          <bdi>{visible(record.lastFailure.message)}</bdi>
        </span>
      )}
      {record.blocked !== undefined && <span className="text-blocked">{" · "}waits: {record.blocked.reason}</span>}
    </span>
    <span className="text-faint">
      <Ago at={record.finishedAt ?? record.enqueuedAt} />
    </span>
  </li>
)
