import { JobStore } from "capstan"
import { Console, Effect, Layer } from "effect"
import { dim } from "./terminal.ts"

/** What the store says of itself, before anything is kept in it. */
export const told = Layer.effectDiscard(
  Effect.flatMap(
    JobStore.JobStore,
    ({ describe }) =>
      Effect.flatMap(describe, ({ absent = [], durability, kind }) =>
        Console.log(dim(
          [`${kind}: an acknowledged enqueue survives ${durability}`, ...absent.map((line) => `not promised: ${line}`)]
            .join("\n")
        )))
  )
)
