/** What a store of several partitions says of itself: that of the first server, and what holds within a partition only. */
import type { JobError, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import type { Counts } from "./choose.ts"

export const describe = (
  stores: ReadonlyArray<JobStore.Shape>,
  counts: Counts
): Effect.Effect<JobStore.Description, JobError.JobStoreError> =>
  Effect.map(stores[0]!.describe, (home) => {
    const queues = [...counts].map(([queue, many]) => `${queue} ${many}`).join(", ")
    return {
      ...home,
      kind: `${home.kind}, ${stores.length} partitions (${queues})`,
      absent: [
        `priority and order between records of different partitions (${queues}): each partition keeps its own`,
        "a batch over several partitions is stored by each at once for itself, all or none; one of an event or of an attempt is " +
        "written in one partition, and what belongs elsewhere is visible when it has been forwarded: never lost, never doubled"
      ]
    }
  })
