/**
 * Records among which next to none is found: one of a job in queue `other`, before as many as it takes to look for it in two calls,
 * of its job in another queue and of another job in its queue.
 */
import { JobRecord, JobStore } from "capstan"
import { Effect } from "effect"

/** A call looks at 10,000 records. */
const enough = 10_500

const forever = { age: Infinity, count: Infinity }

const records = (from: number, count: number, tag: string, queue: string): ReadonlyArray<JobStore.NewRecord> =>
  Array.from({ length: count }, (_, i) => ({
    id: JobRecord.JobId(`00000000-0000-7000-8000-${String(from + i).padStart(12, "0")}`),
    tag,
    version: 1,
    queue,
    priority: 0,
    payload: "null",
    delay: 0,
    retention: { completed: forever, cancelled: forever, dead: forever },
    sensitive: { payload: [], result: [], error: [], progress: [] },
    tags: [],
    headers: {}
  }))

/** The one that is found is enqueued first; `many` of each kind stand after it. Answers its id. */
export const enqueueUnmatched = Effect.fnUntraced(function*(tag: string, many = enough) {
  const { enqueue } = yield* JobStore.JobStore
  const one = records(1, 1, tag, "other")
  yield* enqueue({ records: one })
  yield* enqueue({ records: records(1_000_000, many, tag, "mail") })
  yield* enqueue({ records: records(2_000_000, many, "Other", "other") })
  return one[0]!.id
})
