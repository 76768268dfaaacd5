import { Link, useParams } from "@tanstack/react-router"
import { useState } from "react"
import { acts, Confirm } from "../actions.tsx"
import { ApiFailure, type Estimated, states } from "../api.ts"
import { exact, plural, shortId, visible } from "../format.ts"
import { useFlow, useMay } from "../queries.ts"
import { Icon } from "../ui/Icon.tsx"
import { Ago, Empty, Failed, Loading, StateMark } from "../ui/parts.tsx"
import { Progress } from "./Flows.tsx"

export const Flow = () => {
  const { id } = useParams({ from: "/flows/$id" })
  const { data: flow, error, isPending } = useFlow(id)
  const may = useMay()
  const [asked, setAsked] = useState<Estimated>()
  if (flow === undefined) {
    if (isPending) return <Loading />
    return error instanceof ApiFailure && error.status === 404
      ? <Empty title="There is no such flow">The retention of its records has passed, or you may not see them.</Empty>
      : <Failed error={error!} />
  }
  const all = states.reduce((sum, state) => sum + flow.counts[state], 0)
  const isWaiting = flow.counts.blocked + flow.counts.ready + flow.counts.scheduled + flow.counts.running > 0
  const can: ReadonlyArray<Estimated> = [
    ...flow.counts.dead + flow.counts.cancelled > 0 ? ["retry"] as const : [],
    ...isWaiting ? ["cancel"] as const : []
  ]
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
            {plural(all, "record")}
            {flow.isCut && " and more"} in {plural(flow.nodes.length, "node")}
          </span>
          <span className="flex-1" />
          {can.filter((action) => may(action)).map((action) => (
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
      <div className="grid gap-3 px-4 md:px-6 lg:grid-cols-2 2xl:grid-cols-3">
        {flow.nodes.map(({ counts, name, records }) => {
          const many = states.reduce((sum, state) => sum + counts[state], 0)
          return (
            <section key={name} className="panel min-w-0 overflow-hidden" aria-label={`Node ${name}`}>
              <div className="flex flex-wrap items-center gap-x-3 gap-y-1 border-b border-line px-3 py-2">
                <h2 className="font-semibold">
                  <bdi>{visible(name)}</bdi>
                </h2>
                <span className="flex flex-1 flex-wrap gap-x-3">
                  {states.filter((state) => counts[state] > 0).map((state) => (
                    <StateMark key={state} state={state} text={`${exact(counts[state])} ${state}`} />
                  ))}
                </span>
              </div>
              <ul className="max-h-72 overflow-auto" tabIndex={0} aria-label={`Records of ${name}`}>
                {records.map((record) => (
                  <li
                    key={record.id}
                    className="grid grid-cols-[92px_minmax(0,1fr)_auto] items-baseline gap-x-2 border-line px-3 py-1 not-first:border-t hover:bg-raised"
                  >
                    <StateMark state={record.state} />
                    <span className="truncate">
                      <Link to="/records/$id" params={{ id: record.id }} className="hover:underline">
                        <bdi>{record.tag}</bdi>{" "}
                        <span className="font-mono text-[11px] text-faint">{shortId(record.id)}</span>
                      </Link>
                      {record.lastFailure !== undefined && record.state !== "completed" && (
                        <span className="text-dead">
                          · <bdi>{visible(record.lastFailure.message)}</bdi>
                        </span>
                      )}
                      {record.blocked !== undefined && (
                        <span className="text-blocked">· waits: {record.blocked.reason}</span>
                      )}
                    </span>
                    <span className="text-faint">
                      <Ago at={record.finishedAt ?? record.enqueuedAt} />
                    </span>
                  </li>
                ))}
              </ul>
              {many > records.length && (
                <p className="label border-t border-line px-3 py-1.5">
                  {exact(records.length)} of {exact(many)};{" "}
                  <Link className="link" to="/records" search={{ flow: flow.id }}>all records</Link>
                </p>
              )}
            </section>
          )
        })}
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
