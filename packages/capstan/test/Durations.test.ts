/** Durations that come as text from outside: what is none is an error of who gave it, and no defect. */
import { assert, describe, it } from "@effect/vitest"
import { Job, Jobs, JobSchedules, JobStore } from "capstan"
import { Effect, Layer } from "effect"

class Work extends Job.make("Work") {}

/** As the text of a form is, which no type has checked. */
const given = "soon" as "1 second"

const layer = Layer.mergeAll(Jobs.layer, JobSchedules.layer).pipe(Layer.provideMerge(JobStore.layerMemory()))

describe("text that is no duration", () => {
  it.effect("as a delay is an EnqueueError", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Work.enqueue(undefined, { delay: given }))
      assert.strictEqual(error._tag, "EnqueueError")
      assert.include(error.message, "delay")
      assert.include(error.message, "it is no duration: soon")
    }).pipe(Effect.provide(layer)))

  it.effect("as a new delay of records is a JobControlError", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const error = yield* Effect.flip(jobs.reschedule({}, { delay: given }))
      assert.deepInclude(error, { _tag: "JobControlError", option: "delay" })
      assert.include(error.message, "it is no duration: soon")
    }).pipe(Effect.provide(layer)))

  it.effect("as a period or a jitter is a ScheduleError", () =>
    Effect.gen(function*() {
      const schedules = yield* JobSchedules.JobSchedules
      for (const options of [{ every: given }, { every: "1 hour", jitter: given }] as const) {
        const error = yield* Effect.flip(schedules.upsert("hourly", Work, options))
        assert.strictEqual(error._tag, "ScheduleError")
        assert.include(error.message, "it is no duration: soon")
      }
    }).pipe(Effect.provide(layer)))
})
