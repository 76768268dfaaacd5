/**
 * What a set of runs has to reach: of the transition table every event, and every step from state to state; and what the features
 * do.
 */
import { Lifecycle } from "capstan"

const events = Object.keys(Lifecycle.table) as ReadonlyArray<Lifecycle.Event>

const steps = new Set(
  Object.values(Lifecycle.table).flatMap(({ from, to }) => from.flatMap((a) => to.map((b) => `${a} → ${b}`)))
)

/** Without deaths, nobody's lease ends. */
const ofDeaths: ReadonlySet<string> = new Set<Lifecycle.Event>(["rescue", "quarantine"])

/** Steps that the table has, and no store of today takes. */
const unreachable: ReadonlySet<string> = new Set([
  // Somebody's retry runs a record now.
  "completed → scheduled",
  "cancelled → scheduled",
  "dead → scheduled"
])

/** Steps that leave the state as it is, which a comparison of states does not show; their events are told otherwise. */
const isStep = (step: string): boolean => {
  const [from, to] = step.split(" → ")
  return from !== to && !unreachable.has(step)
}

/** Of the features. */
const features = [
  "rate of a queue is used up",
  "enqueue takes a worker along",
  "tick is skipped",
  "tick is queued",
  "tick cancels what runs",
  "event is known",
  "tenant waits its turn",
  "circuit is opened",
  "circuit is opened by a probe",
  "circuit is closed by a probe",
  "record is put off",
  "record is put off no longer",
  "last that comes while one runs is kept",
  "last of a window is kept",
  "record waits for the end of a window",
  "waitpoint is completed: Completed",
  "waitpoint is completed: Kept",
  "waitpoint is completed: TooLate",
  "waitpoint times out"
] as const

export type Reached = typeof features[number]

export const unreached = (
  reached: {
    readonly events: ReadonlyMap<string, number>
    readonly transitions: ReadonlyMap<string, number>
    readonly features: ReadonlyMap<string, number>
  },
  kills: boolean
): ReadonlyArray<string> => [
  ...events.filter((event) => !reached.events.has(event) && (kills || !ofDeaths.has(event))),
  ...[...steps].filter((step) => isStep(step) && !reached.transitions.has(step)),
  ...features.filter((feature) => !reached.features.has(feature))
]
