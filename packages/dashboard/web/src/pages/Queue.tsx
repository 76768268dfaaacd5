import { useMutation } from "@tanstack/react-query"
import { Link, useParams } from "@tanstack/react-router"
import { useState } from "react"
import { useRefresh } from "../actions.tsx"
import { type Keys, type Limit, type LimitOf, type LimitSettings, post, states } from "../api.ts"
import { brief, count, duration, exact, visible } from "../format.ts"
import { useKeysOf, useLimits, useMay, useSeries, useStats } from "../queries.ts"
import { tell, useNow } from "../store.ts"
import { Bars } from "../ui/Bars.tsx"
import { Dialog } from "../ui/Dialog.tsx"
import { Icon } from "../ui/Icon.tsx"
import { Chip, Empty, Failed, Loading, Panel, StateMark } from "../ui/parts.tsx"
import { Table } from "../ui/Table.tsx"
import { QueueActions } from "./Queues.tsx"

export const Queue = () => {
  const { queue } = useParams({ from: "/queues/$queue" })
  const { data: stats, error, isPending } = useStats()
  const { data: series } = useSeries(queue)
  const { data: limits } = useLimits()
  if (stats === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  const found = stats.queues.find((one) => one.queue === queue)
  if (found === undefined) {
    return <Empty title="There is no such queue">It has no record and no worker, or you may not see it.</Empty>
  }
  const workers = stats.workers.filter(({ queues }) => queues.includes(queue))
  const own = limits?.limits.find(({ of }) => "queue" in of && of.queue === queue)
  const ofKeys = limits?.limits.filter(({ of }) => "key" in of) ?? []
  return (
    <div className="pb-10">
      <header className="px-4 pt-4 pb-4 md:px-6">
        <p className="label mb-1">
          <Link to="/queues" className="hover:underline">Queues</Link>
        </p>
        <div className="flex flex-wrap items-center gap-x-4 gap-y-2">
          <h1 className="text-[19px] font-semibold tracking-tight">
            <bdi>{visible(queue)}</bdi>
          </h1>
          {found.paused && <Chip tone="text-blocked">paused</Chip>}
          <span className="text-soft">
            {workers.length === 0
              ? <span className="text-dead">no worker</span>
              : `${exact(workers.length)} of ${exact(stats.workers.length)} workers`}
            {found.oldestReadyAge !== undefined && `, the oldest ready waits for ${brief(found.oldestReadyAge)}`}
          </span>
          <span className="flex-1" />
          <QueueActions stats={found} />
        </div>
      </header>
      <div className="flex flex-col gap-4 px-4 md:px-6">
        <dl className="panel grid grid-cols-2 overflow-hidden sm:grid-cols-4 lg:grid-cols-7">
          {states.map((state) => (
            <div key={state} className="px-3 py-2">
              <dt className="text-[11.5px]">
                <StateMark state={state} />
              </dt>
              <dd className="text-[19px] font-semibold tracking-tight" title={exact(found.counts[state])}>
                <Link
                  to="/records"
                  search={{ queue, state }}
                  className="hover:underline"
                  aria-label={`${exact(found.counts[state])} ${state}`}
                >
                  {count(found.counts[state])}
                </Link>
              </dd>
            </div>
          ))}
        </dl>
        {series !== undefined && (
          <Panel title="Attempts that ended" id="ended">
            <Bars series={series} />
          </Panel>
        )}
        <LimitPanel of={{ queue }} limit={own} title="Limit of the queue" queue={queue} />
        {ofKeys.map((limit) => "key" in limit.of && <KeyLimit key={limit.of.key} name={limit.of.key} limit={limit} />)}
      </div>
    </div>
  )
}

const said = ({ breaker, concurrency, order, rate }: LimitSettings): string => {
  const parts = [
    concurrency === undefined ? "" : `${exact(concurrency)} at a time`,
    rate === undefined
      ? ""
      : `${exact(rate.limit)} per ${duration(rate.perMillis)}${
        (rate.burst ?? 1) > 1 ? `, ${exact(rate.burst!)} at once` : ""
      }`,
    breaker === undefined
      ? ""
      : `opens for ${duration(breaker.openMillis)} after ${exact(breaker.consecutive)} failures`,
    order === undefined ? "" : order
  ].filter((part) => part !== "")
  return parts.length === 0 ? "none" : parts.join(" · ")
}

const LimitPanel = (
  { children, limit, of, queue, title }: {
    readonly of: LimitOf
    readonly limit: Limit | undefined
    readonly title: string
    readonly queue?: string
    readonly children?: React.ReactNode
  }
) => {
  const may = useMay()
  const refresh = useRefresh()
  const [isEditing, setEditing] = useState(false)
  const clear = useMutation({
    mutationFn: () => post<Limit>("/limits/clear", { of }),
    onSuccess: () => tell("What code proposes holds again"),
    onError: (error) => tell(error.message, true),
    onSettled: refresh
  })
  const mayLimit = may("limit", queue)
  return (
    <Panel
      title={title}
      id={`limit-${"queue" in of ? "queue" : of.key}`}
      actions={mayLimit && (
        <>
          {limit?.override !== undefined && (
            <button type="button" className="btn" onClick={() => clear.mutate()}>Clear override</button>
          )}
          <button type="button" className="btn" onClick={() => setEditing(true)}>
            <Icon name="edit" />Override
          </button>
        </>
      )}
    >
      <dl className="grid grid-cols-[auto_1fr] gap-x-6 gap-y-1 px-3 py-2.5">
        <dt className="text-faint">Holds</dt>
        <dd className="font-medium">{said(limit?.holds ?? {})}</dd>
        <dt className="text-faint">Proposed by code</dt>
        <dd>
          {said(limit?.proposed ?? {})}{" "}
          {limit?.release !== undefined && <span className="text-faint">· release {limit.release}</span>}
        </dd>
        <dt className="text-faint">Set by hand</dt>
        <dd className={limit?.override === undefined ? "" : "text-blocked"}>
          {limit?.override === undefined ? "nothing" : said(limit.override)}
        </dd>
      </dl>
      {children}
      {isEditing && <LimitForm of={of} before={limit?.holds ?? {}} onClose={() => setEditing(false)} />}
    </Panel>
  )
}

const LimitForm = (
  { before, of, onClose }: { readonly of: LimitOf; readonly before: LimitSettings; readonly onClose: () => void }
) => {
  const refresh = useRefresh()
  const [concurrency, setConcurrency] = useState(before.concurrency === undefined ? "" : String(before.concurrency))
  const [many, setMany] = useState(before.rate === undefined ? "" : String(before.rate.limit))
  const [seconds, setSeconds] = useState(String((before.rate?.perMillis ?? 1000) / 1000))
  const [burst, setBurst] = useState(String(before.rate?.burst ?? 1))
  const set = useMutation({
    mutationFn: () =>
      post<Limit>("/limits/set", {
        of,
        settings: {
          ...concurrency === "" ? {} : { concurrency: Number(concurrency) },
          ...many === ""
            ? {}
            : { rate: { limit: Number(many), perMillis: Number(seconds) * 1000, burst: Number(burst) } }
        }
      }),
    onSuccess: ({ holds }) => {
      tell(`The limit holds: ${said(holds)}`)
      onClose()
    },
    onError: (error) => tell(error.message, true),
    onSettled: refresh
  })
  const field = (label: string, value: string, change: (value: string) => void, min: number) => (
    <label className="block">
      <span className="label">{label}</span>
      <input
        className="field num w-full"
        type="number"
        min={min}
        step="any"
        value={value}
        placeholder="no limit"
        onChange={(event) => change(event.target.value)}
      />
    </label>
  )
  return (
    <Dialog title="Override the limit" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          set.mutate()
        }}
      >
        <p className="mb-3 text-soft">
          It holds from the next claim on, in every worker, until it is cleared. What runs is not stopped.
        </p>
        <div className="grid grid-cols-2 gap-3">
          {field("At a time", concurrency, setConcurrency, 1)}
          <span />
          {field("Starts", many, setMany, 1)}
          {field("per seconds", seconds, setSeconds, 0.001)}
          {field("of them at once", burst, setBurst, 1)}
        </div>
        <div className="mt-4 flex justify-end gap-2">
          <button type="button" className="btn" onClick={onClose}>Back</button>
          <button
            type="submit"
            className="btn btn-main"
            disabled={set.isPending || (concurrency === "" && many === "")}
          >
            Override
          </button>
        </div>
      </form>
    </Dialog>
  )
}

type Key = Keys["keys"][number]

const KeyLimit = ({ limit, name }: { readonly name: string; readonly limit: Limit }) => {
  const { data } = useKeysOf(name)
  const now = useNow()
  return (
    <LimitPanel of={{ key: name }} limit={limit} title={`Keys of ${visible(name)}`}>
      {data !== undefined && data.keys.length > 0 && (
        <div className="max-h-80 overflow-y-auto border-t border-line">
          <Table<Key>
            label={`The keys of ${name}, one a row`}
            rows={data.keys}
            keyOf={({ key }) => key}
            columns={[
              { name: "Key", cell: ({ key }) => <bdi className="font-mono text-[12px]">{visible(key)}</bdi> },
              { name: "Waiting", isNumber: true, cell: ({ waiting }) => exact(waiting) },
              { name: "Ready", isNumber: true, cell: ({ ready }) => exact(ready) },
              { name: "Running", isNumber: true, cell: ({ running }) => exact(running) },
              {
                name: "Limited",
                isNumber: true,
                cell: ({ limitedUntil }) =>
                  limitedUntil === undefined || limitedUntil <= now
                    ? <span className="text-faint">–</span>
                    : <span className="text-blocked">for {brief(limitedUntil - now)}</span>
              },
              {
                name: "Failed in a row",
                isNumber: true,
                cell: ({ failed }) => failed === 0 ? <span className="text-faint">0</span> : exact(failed)
              }
            ]}
          />
          {data.isCut && (
            <p className="label border-t border-line px-3 py-1.5">The first {exact(data.keys.length)} by name.</p>
          )}
        </div>
      )}
      {data !== undefined && data.keys.length === 0 && (
        <p className="label border-t border-line px-3 py-2">No key waits, runs or is limited.</p>
      )}
    </LimitPanel>
  )
}
