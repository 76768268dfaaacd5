/** How a number of records stands, as one state and as a bar. */
import { type State, states } from "../api.ts"

type Counts = Readonly<Record<State, number>>

export const total = (counts: Counts): number => states.reduce((sum, state) => sum + counts[state], 0)

/** The state that says most of them all: what failed first, then what happens. */
export const standing = (counts: Counts): State =>
  (["dead", "running", "ready", "scheduled", "blocked", "cancelled"] as const).find((state) => counts[state] > 0) ??
    "completed"

const shown = ["completed", "running", "ready", "scheduled", "blocked", "cancelled", "dead"] as const

export const Progress = ({ counts, isThin = false }: { readonly counts: Counts; readonly isThin?: boolean }) => {
  const all = total(counts)
  return (
    <span
      className={`flex w-full min-w-24 overflow-hidden rounded-sm bg-raised ${isThin ? "h-1" : "h-2"}`}
      role="img"
      aria-label={shown.filter((state) => counts[state] > 0).map((state) => `${counts[state]} ${state}`).join(", ")}
    >
      {shown.filter((state) => counts[state] > 0).map((state) => (
        <span
          key={state}
          className="min-w-[3px]"
          style={{ width: `${counts[state] / all * 100}%`, background: `var(--${state})` }}
        />
      ))}
    </span>
  )
}
