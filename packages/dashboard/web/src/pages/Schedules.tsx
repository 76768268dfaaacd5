import { useMutation } from "@tanstack/react-query"
import { Link } from "@tanstack/react-router"
import cronstrue from "cronstrue"
import { useState } from "react"
import { useRefresh } from "../actions.tsx"
import { post, type Run, type Schedule, type Switched } from "../api.ts"
import { brief, duration, exact, instant, plural } from "../format.ts"
import { useMay, useSchedules } from "../queries.ts"
import { tell, useNow } from "../store.ts"
import { Dialog } from "../ui/Dialog.tsx"
import { Icon } from "../ui/Icon.tsx"
import { Ago, Chip, Empty, Failed, Heading, Loading, StateMark } from "../ui/parts.tsx"
import { Table } from "../ui/Table.tsx"

export const Schedules = () => {
  const { data, error, isPending } = useSchedules()
  if (data === undefined) return isPending ? <Loading /> : <Failed error={error!} />
  return (
    <>
      <Heading title="Schedules">
        {plural(data.length, "schedule")}. Each planned instant enqueues one record, whoever is up.
      </Heading>
      <div className="panel mx-4 mb-8 overflow-hidden md:mx-6">
        {data.length === 0
          ? (
            <Empty title="There is no schedule">
              One that code declares appears with its first worker, one that is data when it is made.
            </Empty>
          )
          : (
            <Table<Schedule>
              label="Schedules"
              rows={data}
              keyOf={({ name }) => name}
              columns={[
                {
                  name: "Schedule",
                  cell: ({ name, origin, paused, status }) => (
                    <span className="flex flex-wrap items-center gap-2">
                      <span className="font-medium">
                        <bdi>{name}</bdi>
                      </span>
                      {status === "paused" && (
                        <Chip tone="text-blocked">
                          {paused?.reason === "Vanished" ? "no process declares it" : "paused"}
                        </Chip>
                      )}
                      {status === "ended" && <Chip>ended</Chip>}
                      <span className="label">{origin === "code" ? "in code" : ""}</span>
                    </span>
                  )
                },
                { name: "When", isWide: true, cell: (schedule) => <When schedule={schedule} /> },
                {
                  name: "Job",
                  cell: ({ job }) => (
                    <Link to="/records" search={{ job }} className="hover:underline">
                      <bdi>{job}</bdi>
                    </Link>
                  )
                },
                { name: "Next", isNumber: true, cell: ({ next }) => <Next at={next?.dueAt} /> },
                { name: "Last", cell: ({ last }) => <Last last={last} /> },
                {
                  name: "Late",
                  isNumber: true,
                  cell: ({ last }) =>
                    last === undefined
                      ? <span className="text-faint">–</span>
                      : (
                        <span className={last.lateness > 60_000 ? "text-dead" : "text-soft"}>
                          {duration(last.lateness)}
                        </span>
                      )
                },
                { name: "Runs", isNumber: true, cell: ({ count }) => exact(count) },
                { name: "Actions", isActions: true, cell: (schedule) => <Actions schedule={schedule} /> }
              ]}
            />
          )}
      </div>
    </>
  )
}

const plain = (cron: string): string => {
  try {
    return cronstrue.toString(cron, { use24HourTimeFormat: true })
  } catch {
    return ""
  }
}

const When = ({ schedule: { cron, every, timeZone } }: { readonly schedule: Schedule }) =>
  cron === undefined
    ? <>every {duration(every ?? 0)}</>
    : (
      <span className="block max-w-sm">
        {plain(cron)}
        <span className="label block">
          <span className="font-mono">{cron}</span>
          {timeZone !== undefined && ` · ${timeZone}`}
        </span>
      </span>
    )

const Next = ({ at }: { readonly at: number | undefined }) => {
  const now = useNow()
  if (at === undefined) return <span className="text-faint">–</span>
  return <time title={instant(at)}>{at > now ? `in ${brief(at - now)}` : "due"}</time>
}

const Last = ({ last }: { readonly last: Schedule["last"] }) => {
  if (last === undefined) return <span className="text-faint">never</span>
  const { run } = last
  return (
    <span className="flex flex-wrap items-baseline gap-x-2 whitespace-nowrap">
      <Ago at={last.tickedAt} />
      {last.outcome === "Skipped" && <Chip>skipped</Chip>}
      {run !== undefined && (run.state === "Gone"
        ? <span className="text-faint">gone</span>
        : (
          <Link to="/records/$id" params={{ id: run.id }} className="hover:underline">
            <StateMark state={run.state} />
          </Link>
        ))}
    </span>
  )
}

const Actions = ({ schedule: { name, origin, paused, queue, status } }: { readonly schedule: Schedule }) => {
  const may = useMay()
  const refresh = useRefresh()
  const [isRemoving, setRemoving] = useState(false)
  const told = (said: string) => ({
    onSuccess: () => tell(said),
    onError: (error: Error) => tell(error.message, true),
    onSettled: refresh
  })
  const turn = useMutation({
    mutationFn: () => post<Switched>(`/schedules/${status === "paused" ? "resume" : "pause"}`, { name }),
    ...told(status === "paused" ? `${name} goes on` : `${name} is paused`)
  })
  const run = useMutation({
    mutationFn: () => post<Run>("/schedules/run", { name }),
    onSuccess: ({ outcome }) =>
      tell(
        outcome === "Enqueued"
          ? `${name} was enqueued`
          : outcome === "Skipped"
          ? `${name}: the run before has not ended`
          : `${name}: a process that declares it will enqueue it`
      ),
    onError: (error) => tell(error.message, true),
    onSettled: refresh
  })
  const remove = useMutation({
    mutationFn: () => post<Switched>("/schedules/remove", { name }),
    ...told(`${name} is removed`)
  })
  return (
    <span className="flex justify-end gap-1.5">
      {may("run", queue) && (
        <button
          type="button"
          className="btn"
          aria-label={`Run now: ${name}`}
          disabled={run.isPending}
          onClick={() => run.mutate()}
        >
          <Icon name="play" />Run now
        </button>
      )}
      {status !== "ended" && may(status === "paused" ? "resume" : "pause", queue) && (
        <button
          type="button"
          className="btn"
          aria-label={`${status === "paused" ? "Resume" : "Pause"} ${name}`}
          disabled={turn.isPending}
          onClick={() => turn.mutate()}
        >
          <Icon name={status === "paused" ? "play" : "pause"} />
          {status === "paused" ? "Resume" : "Pause"}
        </button>
      )}
      {(origin === "data" || paused?.reason === "Vanished") && may("delete", queue) && (
        <button
          type="button"
          className="btn btn-danger"
          aria-label={`Remove ${name}`}
          onClick={() => setRemoving(true)}
        >
          <Icon name="bin" />
        </button>
      )}
      {isRemoving && (
        <Dialog title={`Remove ${name}`} onClose={() => setRemoving(false)}>
          <p className="mb-3 text-soft">The schedule does not tick any more. The records that it enqueued stay.</p>
          <div className="flex justify-end gap-2">
            <button type="button" className="btn" onClick={() => setRemoving(false)}>Back</button>
            <button
              type="button"
              autoFocus
              className="btn btn-main !border-dead !bg-dead"
              onClick={() => {
                remove.mutate()
                setRemoving(false)
              }}
            >
              Remove
            </button>
          </div>
        </Dialog>
      )}
    </span>
  )
}
