/**
 * What the store does not take, ever. It is found by sending one by one what was refused together, and dropped, so that it
 * holds up nothing else.
 *
 * A store that is broken as a whole refuses the plain words as well that stand for what is dropped: then nothing is. They
 * do not say why, since what the store says may quote what it does not take.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { JobStoreError } from "../../JobError.ts"
import type { ExchangeReply, Settlement, WriteEntry } from "../../JobStore.ts"
import * as Log from "../log.ts"
import { endMark } from "../steps/names.ts"
import { endEntry } from "../steps/steps.ts"
import type { Attempt } from "./attempt.ts"
import { isRefusal, within } from "./call.ts"
import type { Parcel } from "./outbox.ts"
import type { WorkerState } from "./state.ts"

/** Settles one by one; a record whose end the store refuses is dead, once what it has done is undone. */
export const settleEach = (state: WorkerState, parcel: Parcel): Effect.Effect<void, JobStoreError> =>
  Effect.forEach(parcel.settlements, (settlement) =>
    Effect.andThen(
      orElse(settle(state, settlement), (cause) =>
        Effect.andThen(
          bury(state, settlement),
          Log.error(
            `worker ${state.settings.id}: the store refused to settle record ${settlement.id} ` +
              `as ${settlement.outcome._tag}, it is dead instead`,
            cause
          )
        )),
      Effect.sync(() => parcel.settled(1))
    ), { discard: true })

const ask = (state: WorkerState, settlement: Settlement): Effect.Effect<ExchangeReply, JobStoreError> => {
  const { lease, id: worker } = state.settings
  const call = () =>
    state.telemetry.exchange(state.store, { worker, lease, settlements: [settlement], demand: [], total: 0 })
  return Effect.tap(within(state, "exchange", call), (reply) => Effect.sync(() => state.hear(reply)))
}

const settle = (state: WorkerState, settlement: Settlement): Effect.Effect<void, JobStoreError> =>
  Effect.map(ask(state, settlement), ({ settled }) => void state.outbox.reached([settlement], settled))

/**
 * In plain words. Where the record has something to undo, or something follows its failure, they are kept for one more attempt,
 * which ends so. Before that they are tried with a fence that no claim has: a store that is broken as a whole refuses those too,
 * and nothing is undone.
 */
const bury = (state: WorkerState, settlement: Settlement): Effect.Effect<void, JobStoreError> => {
  const plain = dead(settlement)
  const attempt = state.ends.get(settlement)
  if (attempt === undefined || !mustRunOnce(attempt)) return settle(state, plain)
  const once = Effect.andThen(
    within(state, "write", () => state.store.write([endEntry(settlement, plain.outcome)])),
    settle(state, { ...plain, outcome: { _tag: "SnoozeFor", delay: 0 } })
  )
  return Effect.andThen(ask(state, { ...plain, fence: 0 }), orElse(once, () => settle(state, plain)))
}

/** Not an attempt that was the last one. Of steps that cannot be undone a retry by hand is to find what is kept. */
const mustRunOnce = (attempt: Attempt): boolean =>
  attempt.claimed.checkpoints[endMark] === undefined && (!attempt.mayHaveSteps || attempt.steps.mayHaveToUndo)

const dead = ({ fence, finishedAfter, id, outcome }: Settlement): Settlement => ({
  id,
  fence,
  finishedAfter,
  outcome: {
    _tag: "Dead",
    reason: "Defect",
    failure: {
      kind: "Defect",
      tag: "Refused",
      message: `the store refused to settle it as ${outcome._tag}; the log of its worker says why`
    }
  }
})

/** Writes one by one; what the store refuses is in this process's log alone. */
export const writeEach = (state: WorkerState, parcel: Parcel): Effect.Effect<void, JobStoreError> =>
  Effect.forEach(parcel.writes, (entry) =>
    Effect.andThen(
      orElse(write(state, entry), (cause) =>
        Log.warning(
          `worker ${state.settings.id}: the store refused what record ${entry.at.id} wrote`,
          textOf(entry),
          cause
        )),
      Effect.sync(() => parcel.written(1))
    ), { discard: true })

const write = (state: WorkerState, entry: WriteEntry): Effect.Effect<void, JobStoreError> =>
  Effect.map(
    within(state, "write", () => state.store.write([entry])),
    (answers) => state.outbox.wrote([entry], answers)
  )

const textOf = (entry: WriteEntry): string => entry._tag === "Log" ? entry.lines.join("\n") : entry.value

const orElse = (
  call: Effect.Effect<unknown, JobStoreError>,
  onRefusal: (cause: Cause.Cause<JobStoreError>) => Effect.Effect<void, JobStoreError>
): Effect.Effect<void, JobStoreError> =>
  Effect.matchCauseEffect(call, {
    onSuccess: () => Effect.void,
    onFailure: (cause) => isRefusal(cause) ? onRefusal(cause) : Effect.failCause(cause)
  })
