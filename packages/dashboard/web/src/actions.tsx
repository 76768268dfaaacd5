/** What can be done to records: said with a count before, and with what came of it after. */
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query"
import { useEffect, useRef, useState } from "react"
import { type Counts, type Estimated, post, type QueueStats, type Selection, states, type Switched } from "./api.ts"
import { exact, plural } from "./format.ts"
import { estimateQuery } from "./queries.ts"
import { tell } from "./store.ts"
import { Dialog } from "./ui/Dialog.tsx"
import type { IconName } from "./ui/Icon.tsx"
import { StateMark } from "./ui/parts.tsx"

interface Act {
  readonly verb: string
  readonly done: string
  readonly icon: IconName
  readonly what: string
  readonly isDanger?: boolean
}

export const acts: Readonly<Record<Estimated, Act>> = {
  retry: {
    verb: "Retry",
    done: "retried",
    icon: "retry",
    what: "What has ended runs again with a fresh budget of attempts, and what is scheduled runs now."
  },
  cancel: {
    verb: "Cancel",
    done: "cancelled",
    icon: "stop",
    what: "What waits is cancelled. What runs is asked to stop."
  },
  promote: { verb: "Run now", done: "made ready", icon: "play", what: "What is scheduled becomes ready now." },
  reschedule: { verb: "Reschedule", done: "rescheduled", icon: "clock", what: "What waits gets another due instant." },
  reprioritise: {
    verb: "Reprioritise",
    done: "reprioritised",
    icon: "lanes",
    what: "What waits gets another priority: a higher one is claimed first."
  },
  delete: {
    verb: "Delete",
    done: "deleted",
    icon: "bin",
    what: "What does not run is removed with its history. This cannot be taken back.",
    isDanger: true
  }
}

const summary = (done: string, { changed, notFound, requested, unchanged }: Counts): string =>
  [
    `${plural(changed, "record")} ${done}`,
    requested > 0 ? `${exact(requested)} asked to stop` : "",
    unchanged > 0 ? `${exact(unchanged)} left as they were` : "",
    notFound > 0 ? `${exact(notFound)} gone` : ""
  ].filter((part) => part !== "").join(" · ")

const none: Counts = { changed: 0, requested: 0, unchanged: 0, notFound: 0 }

/** Reads anew whatever an action may have changed. */
export const useRefresh = () => {
  const queries = useQueryClient()
  return () => queries.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== "me" })
}

/** Pauses a queue that goes on, and lets one go on that is paused. */
export const useTurn = () =>
  useMutation({
    mutationFn: ({ paused, queue }: Pick<QueueStats, "paused" | "queue">) =>
      post<Switched>(`/queues/${encodeURIComponent(queue)}/${paused ? "resume" : "pause"}`),
    onSuccess: (_, { paused, queue }) =>
      tell(paused ? `${queue} goes on` : `${queue} is paused: what runs goes on, nothing new starts`),
    onError: (error) => tell(error.message, true),
    onSettled: useRefresh()
  })

/** Asks once more, with how many records it would meet. */
export const Confirm = (
  { action, first, onClose, onDone, where }: {
    readonly action: Estimated
    readonly where: Selection
    /** Of these, those that the action meets before the others. */
    readonly first?: Selection
    readonly onClose: () => void
    readonly onDone?: () => void
  }
) => {
  const act = acts[action]
  const refresh = useRefresh()
  const estimate = useQuery(estimateQuery(action, where))
  const [reason, setReason] = useState("")
  const [minutes, setMinutes] = useState("10")
  const [priority, setPriority] = useState("high")
  const options = action === "cancel"
    ? { reason: reason.trim() === "" ? "cancelled in the dashboard" : reason.trim() }
    : action === "reschedule"
    ? { delay: Math.round(Number(minutes) * 60_000) }
    : action === "reprioritise"
    ? { priority: /^-?\d+$/.test(priority) ? Number(priority) : priority }
    : {}
  const run = useMutation({
    mutationFn: async () => {
      const act = (where: Selection) => post<Counts>(`/records/${action}`, { where, ...options })
      const before = first === undefined ? none : await act(first)
      const { changed, notFound, requested, unchanged } = await act(where)
      return {
        changed: changed + before.changed,
        requested: requested + before.requested,
        // Those that were met before are met again.
        unchanged: Math.max(0, unchanged - before.changed),
        notFound
      }
    },
    onSuccess: (counts) => {
      tell(summary(act.done, counts))
      onClose()
      onDone?.()
    },
    onError: (error) => tell(`${act.verb}: ${error.message}`, true),
    onSettled: refresh
  })
  const found = estimate.data
  // The server would refuse it: there are more than it looks into.
  const isTooMany = where.payload !== undefined && found?.isAtLeast === true
  // Enter does it once the count is there; what cannot be taken back wants more than that.
  const main = useRef<HTMLButtonElement>(null)
  const isReady = found !== undefined && found.applies > 0 && !isTooMany && act.isDanger !== true
  useEffect(() => {
    if (isReady && !(document.activeElement instanceof HTMLInputElement)) main.current?.focus()
  }, [isReady])
  return (
    <Dialog title={act.verb} onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault()
          run.mutate()
        }}
      >
        <p className="text-soft">{act.what}</p>
        <div className="my-3 rounded-md bg-raised px-3 py-2" aria-live="polite">
          {estimate.isError
            ? <span className="text-dead">{estimate.error.message}</span>
            : found === undefined
            ? <span className="text-faint">Counting…</span>
            : (
              <>
                <p className="font-medium">
                  {found.isAtLeast && "At least "}
                  {plural(found.applies, "record")}{" "}
                  {found.matched !== found.applies && (
                    <span className="font-normal text-soft">of {exact(found.matched)} that match</span>
                  )}
                </p>
                {isTooMany && (
                  <p className="mt-1 text-dead">
                    There are more payloads to look into than one action does. Narrow it first: by job, queue, state or
                    time.
                  </p>
                )}
                <p className="mt-0.5 flex flex-wrap gap-x-3 text-[12px]">
                  {states.filter((state) => found.byState[state] > 0).map((state) => (
                    <StateMark key={state} state={state} text={`${exact(found.byState[state])} ${state}`} />
                  ))}
                </p>
              </>
            )}
        </div>
        {action === "cancel" && (
          <label className="mb-3 block">
            <span className="label">Reason, kept with the record</span>
            <input
              className="field w-full"
              value={reason}
              maxLength={1000}
              onChange={(event) => setReason(event.target.value)}
              placeholder="cancelled in the dashboard"
            />
          </label>
        )}
        {action === "reschedule" && (
          <label className="mb-3 block">
            <span className="label">Minutes from now</span>
            <input
              className="field num w-full"
              type="number"
              min={0}
              step="any"
              required
              value={minutes}
              onChange={(event) => setMinutes(event.target.value)}
            />
          </label>
        )}
        {action === "reprioritise" && (
          <label className="mb-3 block">
            <span className="label">low, normal, high, or a number from -100 to 100</span>
            <input
              className="field w-full"
              required
              pattern="low|normal|high|-?\d{1,3}"
              value={priority}
              onChange={(event) => setPriority(event.target.value)}
            />
          </label>
        )}
        <div className="flex justify-end gap-2">
          <button type="button" className="btn" onClick={onClose}>Back</button>
          <button
            ref={main}
            type="submit"
            className={`btn btn-main ${act.isDanger === true ? "!bg-dead !border-dead" : ""}`}
            disabled={run.isPending || found === undefined || found.applies === 0 || isTooMany}
          >
            {run.isPending ? "Working…" : found === undefined ? act.verb : `${act.verb} ${exact(found.applies)}`}
          </button>
        </div>
      </form>
    </Dialog>
  )
}
