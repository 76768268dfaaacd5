/** Records that are handled in batches. Some end badly the first time: each in its own way, and nobody else may hear of it. */
import { JobBatch } from "capstan"
import { Effect, Exit, Schema } from "effect"
import type { Write } from "../ledger.ts"
import { success, work } from "./attempt.ts"

export class Rejected extends Schema.TaggedError<Rejected>()("Rejected", { n: Schema.Int }) {}

export class Batched extends JobBatch.make("Batched", {
  payload: work,
  success,
  error: Rejected,
  queue: "batches",
  batch: { size: 20, within: "100 millis" }
}) {}

export const endings = ["fails", "dies", "is omitted"] as const

/** One in 20, and how. */
export const endingOf = (n: number): typeof endings[number] | undefined =>
  n % 20 === 0 ? endings[n / 20 % endings.length] : undefined

export const BatchedLive = (write: Write, name: string) =>
  Batched.toLayer((members) =>
    Effect.gen(function*() {
      const lineOf = ({ context: { fence, id }, payload: { n } }: typeof members[number]) => ({ n, id, fence })
      for (const member of members) write("start", lineOf(member))
      yield* Effect.sleep(Math.max(...members.map(({ payload }) => payload.millis)))
      const exits: Array<readonly [typeof members[number], Exit.Exit<typeof success.Type, Rejected>]> = []
      for (const member of members) {
        const { context: { attempt, fence }, payload: { n } } = member
        const ending = attempt === 1 ? endingOf(n) : undefined
        if (ending === undefined) {
          write("end", lineOf(member))
          exits.push([member, Exit.succeed({ fence })])
        } else {
          write("fault", { id: name, word: ending })
          if (ending === "fails") exits.push([member, Exit.fail(new Rejected({ n }))])
          if (ending === "dies") exits.push([member, Exit.die(new Error(`${n} dies`))])
        }
      }
      return exits
    })
  )
