import { useMutation } from "@tanstack/react-query"
import { Link } from "@tanstack/react-router"
import { useState } from "react"
import { acts, useRefresh, useTurn } from "../actions.tsx"
import { type Counts, post, type QueueStats, type State } from "../api.ts"
import { brief, exact, plural } from "../format.ts"
import { useMay, useStats } from "../queries.ts"
import { tell } from "../store.ts"
import { Depth } from "../ui/Depth.tsx"
import { Dialog } from "../ui/Dialog.tsx"
import { Icon } from "../ui/Icon.tsx"
import { Chip, Empty, Failed, Heading, Loading, StateMark } from "../ui/parts.tsx"
import { type Column, Table } from "../ui/Table.tsx"

const shown: ReadonlyArray<State> = ["ready", "running", "scheduled", "blocked", "dead"]

export const Queues = () => {
  const { data: stats, error, isPending } = useStats()
  if (stats === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  const workersOf = (queue: string) =>
    stats.workers.filter(({ leaseLeft, queues }) => leaseLeft > 0 && queues.includes(queue)).length
  const isForgotten = ({ counts, queue }: QueueStats) => workersOf(queue) === 0 && counts.ready + counts.scheduled > 0
  return (
    <>
      <Heading title="Queues">
        {plural(stats.queues.length, "queue")}, {plural(stats.workers.length, "worker")}.
      </Heading>
      {stats.queues.length === 0
        ? <Empty title="There is no queue yet">A queue is there with its first record, or its first worker.</Empty>
        : (
          <div className="mx-4 md:mx-6">
            <div className="panel overflow-hidden">
              <Table<QueueStats>
                label="Queues"
                rows={stats.queues}
                keyOf={({ queue }) => queue}
                columns={[
                  { name: "Queue", cell: (row) => <Name stats={row} isForgotten={isForgotten(row)} /> },
                  ...shown.map((state): Column<QueueStats> => ({
                    name: <StateMark state={state} />,
                    isNumber: true,
                    cell: ({ counts, queue }) => <Depth queue={queue} state={state} of={counts[state]} />
                  })),
                  {
                    name: "Oldest ready",
                    isNumber: true,
                    cell: ({ oldestReadyAge }) =>
                      oldestReadyAge === undefined ? <span className="text-faint">–</span> : brief(oldestReadyAge)
                  },
                  {
                    name: "Workers",
                    isNumber: true,
                    cell: (row) => (
                      <span className={isForgotten(row) ? "text-dead" : ""}>{exact(workersOf(row.queue))}</span>
                    )
                  },
                  { name: "Actions", isActions: true, cell: (row) => <QueueActions stats={row} /> }
                ]}
              />
            </div>
          </div>
        )}
    </>
  )
}

const Name = (
  { isForgotten, stats: { parked, paused, queue } }: { readonly stats: QueueStats; readonly isForgotten: boolean }
) => (
  <span className="flex flex-wrap items-center gap-2">
    <Link to="/queues/$queue" params={{ queue }} className="font-medium hover:underline">
      <bdi>{queue}</bdi>
    </Link>
    {paused && <Chip tone="text-blocked">paused</Chip>}
    {parked > 0 && <Chip tone="text-blocked">{exact(parked)} parked</Chip>}
    {isForgotten && <Chip tone="text-dead">no worker</Chip>}
  </span>
)

export const QueueActions = ({ stats: { counts, paused, queue } }: { readonly stats: QueueStats }) => {
  const may = useMay()
  const refresh = useRefresh()
  const [isDraining, setDraining] = useState(false)
  const turn = useTurn()
  const drain = useMutation({
    mutationFn: () => post<Counts>(`/queues/${encodeURIComponent(queue)}/drain`),
    onSuccess: ({ changed }) => {
      tell(`${plural(changed, "record")} of ${queue} cancelled`)
      setDraining(false)
    },
    onError: (error) => tell(error.message, true),
    onSettled: refresh
  })
  const waiting = counts.ready + counts.scheduled + counts.blocked
  return (
    <span className="flex justify-end gap-1.5">
      {may(paused ? "resume" : "pause", queue) && (
        <button
          type="button"
          className="btn"
          disabled={turn.isPending}
          aria-label={`${paused ? "Resume" : "Pause"} ${queue}`}
          onClick={() => turn.mutate({ paused, queue })}
        >
          <Icon name={paused ? "play" : "pause"} />
          {paused ? "Resume" : "Pause"}
        </button>
      )}
      {may("drain", queue) && (
        <button
          type="button"
          className="btn btn-danger"
          disabled={waiting === 0}
          aria-label={`Drain ${queue}`}
          onClick={() => setDraining(true)}
        >
          Drain
        </button>
      )}
      {isDraining && (
        <Dialog title={`Drain ${queue}`} onClose={() => setDraining(false)}>
          <p className="text-soft">
            Everything of the queue that waits is cancelled. What runs goes on. {acts.retry.verb} brings records back.
          </p>
          <p className="my-3 rounded-md bg-raised px-3 py-2 font-medium">
            {plural(waiting, "record")} would be cancelled
          </p>
          <div className="flex justify-end gap-2">
            <button type="button" className="btn" onClick={() => setDraining(false)}>Back</button>
            <button
              type="button"
              autoFocus
              className="btn btn-main !border-dead !bg-dead"
              disabled={drain.isPending}
              onClick={() => drain.mutate()}
            >
              Cancel {exact(waiting)}
            </button>
          </div>
        </Dialog>
      )}
    </span>
  )
}
