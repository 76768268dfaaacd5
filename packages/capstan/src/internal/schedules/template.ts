/**
 * From a job, a payload and options to the template of a schedule's records.
 */
import * as Effect from "effect/Effect"
import type { EnqueueError } from "../../JobError.ts"
import type { ScheduleOptions } from "../../JobSchedule.ts"
import type { Definition } from "../definition.ts"
import { prepareOne } from "../enqueue.ts"
import type { Template } from "./body.ts"
import type { Spec } from "./plan.ts"

/** The tag by which all records of a schedule are found. */
export const tagOf = (name: string): string => `schedule:${name}`

/** The record of a payload, as every tick stores it but for its id and its headers. */
export const templateOf = (
  name: string,
  job: Definition,
  spec: Spec,
  { priority, tags = [] }: Pick<ScheduleOptions, "priority" | "tags">,
  payload: unknown
): Effect.Effect<Template, EnqueueError> =>
  Effect.map(prepareOne(job, payload, { priority, tags: [tagOf(name), ...tags] }), (prepared) => {
    // Whoever puts a schedule is neither the parent of its records nor part of their traces.
    const { id: _, parent: __, ...record } = prepared
    const { traceparent: ___, ...headers } = record.headers
    const concurrency = spec.overlap === "queue" ? { key: tagOf(name), limit: 1 } : record.concurrency
    return { ...record, headers, concurrency }
  })
