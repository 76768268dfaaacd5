/**
 * The record that tells of a death which no attempt has decided, so that what follows it is enqueued: stored in the same step, it is
 * run by whoever has the job's code.
 */
import { endedHeader } from "../ended.ts"
import { idsOf } from "../flow/ids.ts"
import { enqueueOne } from "./enqueue.ts"
import type { Row } from "./row.ts"
import type { MemoryState } from "./state.ts"

export const follow = (state: MemoryState, row: Row, now: number): void => {
  const { spec } = row
  if (spec.followed !== true) return
  const { headers, partitionKey, retention, sensitive, tag, tags, version } = spec
  const ended = JSON.stringify({ reason: row.more?.deadReason, failure: row.more?.failures.at(-1) })
  enqueueOne(state, {
    // Of another life another one.
    id: idsOf(row.id, endedHeader)(row.fence),
    tag,
    version,
    queue: row.queue.name,
    priority: row.priority,
    payload: row.payload,
    delay: 0,
    retention,
    sensitive,
    tags,
    headers: { ...headers, [endedHeader]: ended },
    partitionKey,
    parent: row.id
  }, now)
}
