/**
 * Rows that `results` does not have though the bench gives them, and why. `test/results.test.ts` fails on any other that is missing,
 * and on one named here that is there by now.
 */
import type { Task } from "./task.ts"

type Reasons = Readonly<Record<Task["store"], Readonly<Record<string, string>>>>

const long =
  "the runs that are committed leave out what takes long: `npm run bench -- --store <store> --scenario <row> --save`"

/** Of ours. */
export const unmeasured: Reasons = {
  memory: { "backlog-ratio-1m": long },
  pg: { "backlog-ratio-1m": long, "backlog-ratio-5m": long },
  redis: { "backlog-ratio-1m": long }
}

const noTarget =
  "no target of ours names a rival there, so the run that is committed had ours and the limit: a full one has all systems"

/** Of every rival: the limit is none. What no rival can do is in `alone`. */
export const unrivalled: Reasons = {
  memory: {
    "enqueue-seq": noTarget,
    "enqueue-bulk": "nobody else in memory has a call for many",
    "handler-10ms": noTarget,
    "half-load": noTarget,
    "half-load-p50": noTarget,
    "half-load-p99": noTarget,
    "pickup-p50": noTarget,
    "pickup-p95": noTarget,
    "pickup-p99": noTarget
  },
  pg: {},
  redis: {}
}
