/**
 * Takes what waits in one partition for others to where it belongs: reads it, lets the other partition take it, and removes it
 * where it came from. Whoever does this may die after each of the three, and any number may do it at once: see
 * `lua/forward.ts`.
 */
import { type JobError, JobRecord, type JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Calls } from "../client.ts"
import * as Ids from "../ids.ts"

/** How many entries go in one call. */
const atOnce = 200
/** What follows from what was forwarded is forwarded too, this far; the rest when somebody maintains. */
const steps = 4

export type Outcomes = Map<JobRecord.JobId, JobStore.Enqueued>

export class Forwarder {
  private readonly partitions: ReadonlyArray<Calls>

  constructor(partitions: ReadonlyArray<Calls>) {
    this.partitions = partitions
  }

  /** Answers what became of the records among it. What cannot be forwarded now stays, and is tried again. */
  readonly from = (source: number): Effect.Effect<Outcomes> => {
    const outcomes: Outcomes = new Map()
    return Effect.as(this.walk(source, outcomes, steps), outcomes)
  }

  private walk(source: number, outcomes: Outcomes, left: number): Effect.Effect<void> {
    const at = this.partitions[source]!
    return at.call<ReadonlyArray<[string, ReadonlyArray<string>]>>("forward", "outgoing", [String(atOnce)]).pipe(
      Effect.flatMap((waiting) =>
        Effect.forEach(
          waiting.filter(([, entries]) => entries.length > 0),
          ([to, entries]) => Effect.exit(this.hand(source, Number(to), entries, outcomes, left)),
          { concurrency: "unbounded", discard: true }
        )
      ),
      Effect.ignore
    )
  }

  private hand(
    source: number,
    target: number,
    entries: ReadonlyArray<string>,
    outcomes: Outcomes,
    left: number
  ): Effect.Effect<void, JobError.JobStoreError> {
    return Effect.gen({ self: this }, function*() {
      const args = [String(source), ...entries]
      const [answers, follows] = yield* this.partitions[target]!.call<[string, number]>("forward", "receive", args)
      answers.split(";").forEach((answer) => note(outcomes, answer))
      const last = entries.at(-1)!
      const more = yield* this.partitions[source]!.call<number>("forward", "sent", [
        String(target),
        last.slice(0, last.indexOf("\x1f"))
      ])
      if (Number(more) === 1 && left > 0) yield* this.walk(source, outcomes, left - 1)
      if (Number(follows) === 1 && left > 0) yield* this.walk(target, outcomes, left - 1)
    })
  }
}

/** What became of the records of one entry: each with its id, an outcome, and whose that is. */
const note = (outcomes: Outcomes, answer: string): void => {
  if (answer === "") return
  for (const one of answer.split("|")) {
    const [own, outcome, id] = one.split(",")
    outcomes.set(JobRecord.JobId(Ids.unpack(own!)), {
      id: JobRecord.JobId(Ids.unpack(id!)),
      outcome: outcome as JobStore.Enqueued["outcome"]
    })
  }
}
