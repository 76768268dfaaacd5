/**
 * What the jobs of a simulated cluster have in common.
 */
import { Schedule, Schema } from "effect"

export class Failed extends Schema.TaggedError<Failed>()("Failed", {}) {}

export const retention = { completed: "forever", cancelled: "forever", dead: "forever" } as const
export const payload = { millis: Schema.Int, failures: Schema.Int }
export const common = { payload, success: Schema.Int, error: Failed, retention, retry: Schedule.spaced("500 millis") }
