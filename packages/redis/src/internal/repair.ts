/** Makes every index anew from the records, or looks at each of them: see `lua/repair.ts`. */
import type { JobError, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Calls } from "./client.ts"

/** Records of one call. */
const page = 500

/** Where it is: in which partition, at which of its records, and what is to be made as a whole. */
interface Place {
  readonly partition: number
  readonly cursor: string
  readonly broken: ReadonlyArray<string>
  readonly all: JobStore.Repairing
}

/** One partition after the other, a bounded number of records a call. */
export const repair = (
  partitions: ReadonlyArray<Calls>,
  dryRun: boolean
): Stream.Stream<JobStore.Repairing, JobError.JobStoreError> => {
  const step = dryRun ? look : mend
  return Stream.unwrap(
    Effect.map(
      Effect.forEach(partitions, (client) => client.send<number>("repair", "HLEN", `${client.key}:c`)),
      (many) => {
        const all = { records: sum(many), seen: 0, missing: 0, lost: 0, lacking: [] }
        const start: Place = { partition: 0, cursor: "", broken: [], all }
        return Stream.paginate(start, (place) =>
          Effect.map(step(partitions[place.partition]!, place), (reached) => {
            const isLast = reached.cursor === "0" && reached.partition === partitions.length - 1
            const next = reached.cursor === "0"
              ? { ...reached, partition: reached.partition + 1, cursor: "", broken: [] }
              : reached
            return [[reached.all], isLast ? Option.none<Place>() : Option.some(next)] as const
          }))
      }
    )
  )
}

const look = (client: Calls, place: Place): Effect.Effect<Place, JobError.JobStoreError> =>
  Effect.map(
    client.call<[number, number, number, number, ReadonlyArray<string>, string]>("repair", "examine", [
      String(page),
      place.cursor === "" ? "0" : place.cursor
    ]),
    ([, seen, lost, missing, lacking, cursor]) => reach(place, cursor, place.broken, { seen, lost, missing, lacking })
  )

/** All is counted first; then some records a call, and what is sorted by them in the end. */
const mend = (client: Calls, place: Place): Effect.Effect<Place, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const lacking = place.cursor === ""
      ? (yield* client.call<[number, ReadonlyArray<string>]>("repair", "recount", []))[1]
      : []
    const broken = place.cursor === "" ? lacking : place.broken
    const [cursor, seen, missing, lost] = yield* client.call<[string, number, number, number]>("repair", "mend", [
      place.cursor === "" ? "0" : place.cursor,
      ...broken
    ])
    if (cursor === "0") {
      for (const shelf of broken.filter((key) => key.startsWith(`${client.key}:f:`))) {
        while (Number(yield* client.call<number>("repair", "reshelve", [shelf])) === 1);
      }
    }
    return reach(place, cursor, broken, { seen, lost, missing, lacking })
  })

const reach = (
  place: Place,
  cursor: string,
  broken: ReadonlyArray<string>,
  found: Omit<JobStore.Repairing, "records">
): Place => {
  const { lacking, lost, missing, records, seen } = place.all
  const all = {
    // What was enqueued meanwhile is seen, too.
    records: Math.max(records, seen + Number(found.seen)),
    seen: seen + Number(found.seen),
    missing: missing + Number(found.missing),
    lost: lost + Number(found.lost),
    lacking: [...new Set([...lacking, ...found.lacking])]
  }
  return { ...place, cursor, broken, all }
}

const sum = (many: ReadonlyArray<number>): number => many.reduce((total, one) => total + Number(one), 0)
