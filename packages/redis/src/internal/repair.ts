/** Makes every index anew from the records: see `lua/repair.ts`. */
import type { JobError } from "capstan"
import * as Effect from "effect/Effect"
import type { Calls } from "./client.ts"

export const repair = (
  client: Calls
): Effect.Effect<{ readonly records: number; readonly broken: number }, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const [records, broken] = yield* client.call<[number, ReadonlyArray<string>]>("repair", "recount", [])
    let cursor = "0"
    do {
      cursor = yield* client.call<string>("repair", "mend", [cursor, ...broken])
    } while (cursor !== "0")
    for (const shelf of broken.filter((key) => key.startsWith(`${client.key}:f:`))) {
      while (Number(yield* client.call<number>("repair", "reshelve", [shelf])) === 1);
    }
    return { records: Number(records), broken: broken.length }
  })
