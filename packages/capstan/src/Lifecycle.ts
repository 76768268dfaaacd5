/**
 * The life of a record: one table that drives every store, the docs and the property tests.
 *
 * A row says from which states an event may be taken, where it leads, and what it does to the fence and the attempt
 * counter. A store that takes an event from a state that is not in its row has a defect.
 *
 * @since 0.1.0
 */
import type { State } from "./JobRecord.ts"

/**
 * What can happen to a record.
 *
 * @category models
 * @since 0.1.0
 */
export type Event = keyof typeof table

/**
 * One row of the table.
 *
 * @category models
 * @since 0.1.0
 */
export interface Transition {
  readonly from: ReadonlyArray<State>
  /** Where it leads. More than one: the data of the record decides (due or not, a slot free or not). */
  readonly to: ReadonlyArray<State>
  /** The fence rises, so that every write of the attempt before is refused. */
  readonly fence: 0 | 1
  /** The attempt counter. `-1` gives the attempt back: it was not the job's fault that it ended. */
  readonly attempt: -1 | 0 | 1
}

const row = (
  from: ReadonlyArray<State>,
  to: ReadonlyArray<State>,
  fence: 0 | 1,
  attempt: -1 | 0 | 1
): Transition => ({ from, to, fence, attempt })

const waiting: ReadonlyArray<State> = ["blocked", "scheduled", "ready"]
const final: ReadonlyArray<State> = ["completed", "cancelled", "dead"]

/** A store may place a record that may run where its due instant and its key say. */
const runnable: ReadonlyArray<State> = ["scheduled", "ready", "blocked"]

/**
 * The transition table.
 *
 * @category models
 * @since 0.1.0
 */
export const table = {
  /** Its due instant has come. `blocked`: its key has no free slot. */
  due: row(["scheduled"], ["ready", "blocked"], 0, 0),
  /** What it waited for has come. */
  unblock: row(["blocked"], runnable, 0, 0),
  /** A worker takes it. */
  claim: row(["ready"], ["running"], 1, 1),
  /** Its limit is lower than when it became ready, or closed. */
  hold: row(["ready"], ["blocked"], 0, 0),
  /** The handler succeeded. */
  complete: row(["running"], ["completed"], 1, 0),
  /** The handler failed and its policy retries. */
  retryAfter: row(["running"], runnable, 1, 0),
  /** The handler asked for a pause, which charges no attempt. */
  snooze: row(["running"], runnable, 1, -1),
  /** The attempt waits for a signal or for its children. `ready`: what it waits for is there already. */
  waitFor: row(["running"], ["blocked", "ready"], 1, -1),
  /** The worker gives it back unfinished: shutdown, or a prefetched record that would have waited. */
  release: row(["running"], ["ready"], 1, -1),
  /** The worker has no handler for its tag or version. */
  park: row(["running"], ["blocked"], 1, -1),
  /** The policy says that it will not run again. */
  bury: row(["running"], ["dead"], 1, 0),
  /** It was to start earlier than it could. */
  expire: row(waiting, ["dead"], 1, 0),
  /** A record that it waited for failed. */
  dependencyFailed: row(["blocked"], ["dead"], 1, 0),
  /** Its worker died; it keeps its place at the front. */
  rescue: row(["running"], ["ready"], 1, 0),
  /** Its workers died too often. */
  quarantine: row(["running"], ["dead"], 1, 0),
  /** A cancel that found it waiting. */
  cancel: row(waiting, ["cancelled"], 1, 0),
  /** A cancel that found it running, settled or rescued. */
  cancelled: row(["running"], ["cancelled"], 1, 0),
  /** Somebody runs a final record again, with a fresh budget of attempts. */
  replay: row(final, runnable, 1, 0),
  /** Somebody edits what waits: its payload, its due instant or its priority. */
  edit: row(waiting, runnable, 1, 0)
} satisfies Record<string, Transition>

/**
 * Whether the table has this step.
 *
 * @category guards
 * @since 0.1.0
 */
export const allows = (event: Event, from: State, to: State): boolean => {
  const transition: Transition = table[event]
  return transition.from.includes(from) && transition.to.includes(to)
}
