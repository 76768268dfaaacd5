/** The small parts that pages are made of. */
import { useQueryClient } from "@tanstack/react-query"
import type { ReactNode } from "react"
import type { State } from "../api.ts"
import { ago, instant } from "../format.ts"
import { statsQuery } from "../queries.ts"
import { useNow } from "../store.ts"

const colours: Readonly<Record<State, string>> = {
  blocked: "text-blocked",
  scheduled: "text-scheduled",
  ready: "text-ready",
  running: "text-running",
  completed: "text-completed",
  cancelled: "text-cancelled",
  dead: "text-dead"
}

export const colourOf = (state: State): string => colours[state]

/** The state is told by its word and by its mark, not by its colour alone. */
export const StateMark = ({ state, text }: { readonly state: State; readonly text?: string }) => (
  <span className={`inline-flex items-center gap-1.5 whitespace-nowrap ${colours[state]}`}>
    <svg aria-hidden="true" width="9" height="9" viewBox="0 0 10 10" className="shrink-0">
      {state === "running"
        ? <path d="M2 1l7 4-7 4z" fill="currentColor" />
        : state === "dead"
        ? <path d="M1.500 1.500l7 7M8.500 1.500l-7 7" stroke="currentColor" strokeWidth="2" />
        : state === "blocked"
        ? <rect x="1" y="1" width="8" height="8" fill="currentColor" />
        : state === "scheduled"
        ? <circle cx="5" cy="5" r="3.500" fill="none" stroke="currentColor" strokeWidth="1.800" />
        : state === "cancelled"
        ? <path d="M1 5h8" stroke="currentColor" strokeWidth="2" />
        : <circle cx="5" cy="5" r="4" fill="currentColor" />}
    </svg>
    {text ?? state}
  </span>
)

/** An instant as a distance, with the instant itself beside it. */
export const Ago = ({ at }: { readonly at: number | undefined }) => {
  const now = useNow()
  if (at === undefined) return <span className="text-faint">–</span>
  return <time dateTime={new Date(at).toISOString()} title={instant(at)}>{ago(at, now)}</time>
}

export const Heading = (
  { actions, children, title }: {
    readonly title: ReactNode
    readonly children?: ReactNode
    readonly actions?: ReactNode
  }
) => (
  <header className="flex flex-wrap items-center gap-x-4 gap-y-2 px-4 pt-4 pb-3 md:px-6">
    <div className="min-w-0 flex-1">
      <h1 className="text-[17px] font-semibold tracking-tight">{title}</h1>
      {children !== undefined && <p className="text-soft">{children}</p>}
    </div>
    {actions}
  </header>
)

export const Panel = (
  { actions, children, title, id }: {
    readonly title?: ReactNode
    readonly actions?: ReactNode
    readonly children: ReactNode
    readonly id?: string
  }
) => (
  <section className="panel min-w-0 overflow-hidden" aria-labelledby={id}>
    {title !== undefined && (
      <div className="flex flex-wrap items-center gap-2 border-b border-line px-3 py-2">
        <h2 id={id} className="flex-1 font-semibold">{title}</h2>
        {actions}
      </div>
    )}
    {children}
  </section>
)

export const Empty = ({ children, title }: { readonly title: ReactNode; readonly children?: ReactNode }) => (
  <div className="px-6 py-10 text-center">
    <div className="font-medium">{title}</div>
    {children !== undefined && <div className="mx-auto mt-1 max-w-md text-soft">{children}</div>}
  </div>
)

export const Loading = () => <p role="status" className="p-6 text-faint">Loading…</p>

/** Why there is nothing to see. What is said above all pages is not said twice. */
export const Failed = ({ error }: { readonly error: Error }) => {
  // Read and not watched: who begins to watch what has failed asks for it anew, and this would never be seen.
  const above = useQueryClient().getQueryState(statsQuery.queryKey)?.error
  return above?.message === error.message
    ? (
      <Empty title={<h1>Nothing was read yet</h1>}>
        It is asked for again every few seconds, and appears here by itself.
      </Empty>
    )
    : (
      <div role="alert" className="m-4 rounded-md border border-dead/40 bg-dead/10 px-3 py-2 md:mx-6">
        <h1 className="inline font-semibold text-dead">This could not be read.</h1>{" "}
        <span className="text-soft">{error.message}</span>
      </div>
    )
}

export const Chip = ({ children, tone = "" }: { readonly children: ReactNode; readonly tone?: string }) => (
  <span
    className={`inline-flex max-w-full items-center rounded border border-line bg-raised px-1.5 text-[11.5px] leading-[18px] ${tone}`}
  >
    <bdi className="truncate">{children}</bdi>
  </span>
)
