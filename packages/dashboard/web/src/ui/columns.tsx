/** The columns that a list of records may have. State and job stand always; on a phone a row has these and the gist alone. */
import { Link } from "@tanstack/react-router"
import type { ReactNode } from "react"
import type { RecordSummary } from "../api.ts"
import { brief, exact, shortId, visible } from "../format.ts"
import type { ColumnName } from "../search.ts"
import { payloads, useNow } from "../store.ts"
import { Ago } from "./parts.tsx"

interface Column {
  readonly name: string
  /** Of the grid. */
  readonly width: string
  readonly isNumber?: boolean
  readonly cell: (record: RecordSummary) => ReactNode
}

const text = (value: string | undefined): ReactNode =>
  value === undefined ? <span className="text-faint">–</span> : <bdi>{visible(value)}</bdi>

const ago = (at: number | undefined): ReactNode => <Ago at={at} />

export const columnOf: Readonly<Record<ColumnName, Column>> = {
  queue: { name: "Queue", width: "minmax(90px,0.6fr)", cell: ({ queue }) => text(queue) },
  tries: {
    name: "Tries",
    width: "52px",
    isNumber: true,
    cell: ({ attempt }) => <span className={attempt > 1 ? "text-ink" : "text-faint"}>{attempt}</span>
  },
  gist: { name: "Last failure, or payload", width: "minmax(0,2.4fr)", cell: (record) => <Gist record={record} /> },
  when: { name: "When", width: "92px", isNumber: true, cell: (record) => <When record={record} /> },
  priority: { name: "Priority", width: "66px", isNumber: true, cell: ({ priority }) => exact(priority) },
  version: { name: "Version", width: "62px", isNumber: true, cell: ({ version }) => exact(version) },
  crashes: { name: "Crashes", width: "66px", isNumber: true, cell: ({ crashes }) => exact(crashes) },
  worker: { name: "Worker", width: "minmax(80px,0.7fr)", cell: ({ worker }) => text(worker) },
  key: { name: "Key", width: "minmax(80px,0.7fr)", cell: ({ concurrencyKey }) => text(concurrencyKey) },
  tags: { name: "Tags", width: "minmax(90px,0.9fr)", cell: ({ tags }) => text(tags.join(", ") || undefined) },
  flow: {
    name: "Flow",
    width: "80px",
    cell: ({ flowId }) =>
      flowId === undefined
        ? text(undefined)
        : <Link to="/flows/$id" params={{ id: flowId }} className="hover:underline">{shortId(flowId)}</Link>
  },
  enqueued: { name: "Enqueued", width: "88px", isNumber: true, cell: ({ enqueuedAt }) => ago(enqueuedAt) },
  finished: { name: "Finished", width: "88px", isNumber: true, cell: ({ finishedAt }) => ago(finishedAt) }
}

/** What one wants to know of it first. */
const Gist = ({ record }: { readonly record: RecordSummary }) => {
  const isHidden = payloads.useHidden()
  const { blocked, lastFailure, state } = record
  if (state === "blocked" && blocked !== undefined) {
    return (
      <span className="text-blocked">
        waits: {blocked.reason}
        {blocked.on !== undefined && ` · ${visible(blocked.on)}`}
      </span>
    )
  }
  if (lastFailure !== undefined && state !== "completed") {
    return (
      <>
        <span className="text-dead">
          <bdi>{visible(lastFailure.tag ?? lastFailure.kind)}</bdi>
        </span>{" "}
        <span className="text-soft">
          <bdi>{visible(lastFailure.message)}</bdi>
        </span>
      </>
    )
  }
  return (
    <span className="font-mono text-[11.5px] text-faint">
      {isHidden ? "hidden" : <bdi>{visible(record.payload.text)}</bdi>}
    </span>
  )
}

const When = ({ record }: { readonly record: RecordSummary }) => {
  const now = useNow()
  if (record.state === "scheduled" && record.dueAt !== undefined) {
    return record.dueAt > now ? <>in {brief(record.dueAt - now)}</> : <>due</>
  }
  if (record.state === "running" && record.claimedAt !== undefined) return <>for {brief(now - record.claimedAt)}</>
  return <Ago at={record.finishedAt ?? record.enqueuedAt} />
}
