/**
 * Takes what waits in one partition for others to where it belongs: reads it, lets the other partition take it, and removes it
 * where it came from. Whoever does this may die after each of the three, and any number may do it at once: see
 * `lua/forward.ts`.
 */
import { type JobError, JobRecord, type JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Calls } from "../client.ts"
import type { Durability } from "../describe.ts"
import * as Ids from "../ids.ts"
import { monotonicMillis } from "./away.ts"

/** How many entries go in one call. */
const atOnce = 200
/** What follows from what was forwarded is forwarded too, this far; the rest when somebody maintains. */
const steps = 4
/** Milliseconds that whoever forwards waits for all of it: what is not done by then is tried again. */
const patience = 2000
/** Of a partition that took so long over what it did not take, nobody waits for the next try... */
const slow = 1000
/** ...until so long after. */
const rest = 5000

export type Outcomes = Map<JobRecord.JobId, JobStore.Enqueued>

export class Forwarder {
  private readonly partitions: ReadonlyArray<Calls>
  private readonly durability: Durability
  private readonly notBefore: Array<number> = []

  constructor(partitions: ReadonlyArray<Calls>, durability: Durability) {
    this.partitions = partitions
    this.durability = durability
  }

  /** Answers what became of the records among it. What cannot be forwarded now stays, and is tried again. */
  readonly from = (source: number): Effect.Effect<Outcomes> => {
    const outcomes: Outcomes = new Map()
    return Effect.as(Effect.timeoutOption(this.walk(source, outcomes, steps), patience), outcomes)
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

  /** What is to survive a failover stays where it came from until a replica has it: sent again, it is waited for again. */
  private receive(
    target: number,
    args: ReadonlyArray<string>
  ): Effect.Effect<readonly [answers: string, follows: number], JobError.JobStoreError> {
    const at = this.partitions[target]!
    return this.durability === "replicated"
      ? at.replicated("receive", args)
      : at.call("forward", "receive", args)
  }

  private hand(
    source: number,
    target: number,
    entries: ReadonlyArray<string>,
    outcomes: Outcomes,
    left: number
  ): Effect.Effect<void, JobError.JobStoreError> {
    return Effect.gen({ self: this }, function*() {
      const begunAt = yield* monotonicMillis
      if (begunAt < (this.notBefore[target] ?? -Infinity)) return
      const [answers, follows] = yield* Effect.onExit(
        this.receive(target, [String(source), ...entries]),
        (exit) =>
          Exit.isSuccess(exit) ? Effect.void : Effect.map(monotonicMillis, (now) => {
            if (now - begunAt >= slow) this.notBefore[target] = now + rest
          })
      )
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
