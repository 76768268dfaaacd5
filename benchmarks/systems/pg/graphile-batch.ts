/**
 * graphile-worker as its page on performance sets it for the rates that it quotes: a local queue of 500, completions in
 * batches. Jobs that fall due are found by polling: every 100 ms here, in place of every 2 s.
 */
import { makeGraphile } from "./graphileWorker.ts"

export const make = makeGraphile({
  localQueue: { size: 500 },
  completeJobBatchDelay: 0,
  failJobBatchDelay: 0,
  pollInterval: 100
})
