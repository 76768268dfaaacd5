/** Whether the indexes say what the records say, by a sample of them: see `lua/repair.ts`. */
import type { JobError, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Calls } from "./client.ts"

/** How many records of a partition are looked at: a fault of one in a hundred is among them in seven of eight looks. */
const sample = 200

/** So many keys are named. */
const named = 3

export const examine = (
  partitions: ReadonlyArray<Calls>
): Effect.Effect<ReadonlyArray<JobStore.Finding>, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const found = { records: 0, looked: 0, lost: 0, wrong: 0, keys: new Array<string>() }
    for (const client of partitions) {
      const [records, looked, lost, wrong, keys] = yield* client.call<
        [number, number, number, number, ReadonlyArray<string>]
      >("examine", "examine", [String(sample)])
      found.records += Number(records)
      found.looked += Number(looked)
      found.lost += Number(lost)
      found.wrong += Number(wrong)
      found.keys.push(...keys)
    }
    return findings(found)
  })

const findings = (
  { keys, looked, lost, records, wrong }: {
    readonly records: number
    readonly looked: number
    readonly lost: number
    readonly wrong: number
    readonly keys: ReadonlyArray<string>
  }
): ReadonlyArray<JobStore.Finding> => {
  const some = `${looked} of ${records} records looked at`
  return [
    ...(lost > 0
      ? [{
        what: "records",
        is: "warning" as const,
        detail:
          `${lost} of ${some} have lost what keys, retries and waits are made of ({prefix}:m, :dp): nothing makes it anew`
      }]
      : []),
    keys.length > 0
      ? {
        what: "indexes",
        is: "warning",
        detail: `${wrong} of ${some} are in not all of them, and ${keys.slice(0, named).join(", ")}` +
          `${keys.length > named ? ` and ${keys.length - named} more lack` : keys.length === 1 ? " lacks" : " lack"} ` +
          "something: `capstan repair`, or RedisJobStore.repair, makes them anew while workers go on"
      }
      : {
        what: "indexes",
        is: "ok",
        detail: `${some}, each is where it belongs; lanes have what the figures say`
      }
  ]
}
