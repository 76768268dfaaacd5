/** A queue that is named on the command line: one that the store knows. */
import { Jobs } from "capstan"
import * as Effect from "effect/Effect"
import { failed } from "./failure.ts"

/** Its figures; or the names that there are, because one was mistyped. `otherwise` says what else may have been meant. */
export const known = Effect.fnUntraced(function*(queue: string, otherwise?: string) {
  const { queues } = yield* (yield* Jobs.Jobs).stats
  const found = queues.find((one) => one.queue === queue)
  if (found !== undefined) return found
  const names = queues.map(({ queue }) => queue)
  const there = names.length === 0 ? "" : `, but ${names.slice(0, 10).join(", ")}${names.length > 10 ? ", …" : ""}`
  return yield* failed(
    "NotFound",
    `there is no queue ${queue}${there}${otherwise === undefined ? "" : `: ${otherwise}`}`
  )
})
