/** Steps under `TestJobs`: time that passes to the end of each wait, and steps that commit. */
import { TestJobs } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobStore, Step, Waitpoint } from "capstan"
import { Effect, Option, Schedule, Schema } from "effect"

class Failed extends Schema.TaggedError<Failed>()("Failed", {}) {}
class Child extends Job.make("Child") {}
class Work extends Job.make("Work", { success: Schema.Int, error: Failed, retry: Schedule.spaced("1 second") }) {}
class Approval extends Waitpoint.make("Approval") {}

const group = JobGroup.make(Work, Child)

describe("steps under TestJobs", () => {
  it.effect("what sleeps or waits no longer than an instant is walked to", () =>
    Effect.gen(function*() {
      const test = yield* TestJobs.TestJobs
      const handle = yield* Work.enqueue()
      assert.isAtLeast(yield* test.advanceUntilIdle, 40 * 86_400_000)
      assert.strictEqual(yield* handle.await, 1)
    }).pipe(Effect.provide(TestJobs.layer(
      group,
      group.toLayer({
        Child: () => Effect.void,
        Work: () =>
          Step.sleep("month", "30 days").pipe(
            Effect.andThen(Effect.ignore(Approval.awaitFor("10 days"))),
            Effect.as(1)
          )
      })
    ))))

  it.effect("a step that commits stores its records and its result together, once", () => {
    let runs = 0
    let fails = true
    const handlers = group.toLayer({
      Child: () => Effect.void,
      Work: () =>
        Effect.gen(function*() {
          const value = yield* Step.commit(
            "book",
            { success: Schema.Int },
            Effect.andThen(Child.enqueue(), Effect.sync(() => ++runs))
          )
          if (fails) {
            fails = false
            return yield* new Failed()
          }
          return value
        })
    })
    return Effect.gen(function*() {
      const test = yield* TestJobs.TestJobs
      const handle = yield* Work.enqueue()
      yield* test.advanceUntilIdle
      assert.strictEqual(yield* handle.await, 1)
      assert.deepStrictEqual([runs, (yield* test.enqueued(Child)).length], [1, 1])
    }).pipe(Effect.provide(TestJobs.layer(group, handlers)))
  })

  it.effect("a step that commits and fails leaves nothing", () => {
    const handlers = group.toLayer({
      Child: () => Effect.void,
      Work: () =>
        Step.commit("book", { success: Schema.Int }, Effect.andThen(Child.enqueue(), Effect.fail(new Failed())))
    })
    return Effect.gen(function*() {
      const test = yield* TestJobs.TestJobs
      const store = yield* JobStore.JobStore
      const jobs = yield* Jobs.Jobs
      const { id } = yield* Work.enqueue()
      yield* test.drain
      assert.deepStrictEqual((yield* test.enqueued(Child)).length, 0)
      assert.isUndefined((yield* store.get(id))?.checkpoints)
      assert.strictEqual(Option.getOrThrow(yield* jobs.get(id)).failures[0]?.tag, "Failed")
    }).pipe(Effect.provide(TestJobs.layer(group, handlers)))
  })

  it.effect("Jobs shows the names of what is kept, and no value", () => {
    const handlers = group.toLayer({
      Child: () => Effect.void,
      Work: () => Effect.andThen(Step.run("secret", { success: Schema.String }, Effect.succeed("hush")), new Failed())
    })
    return Effect.gen(function*() {
      const test = yield* TestJobs.TestJobs
      const jobs = yield* Jobs.Jobs
      const { id } = yield* Work.enqueue()
      yield* test.drain
      const { checkpoints } = Option.getOrThrow(yield* jobs.get(id))
      assert.deepStrictEqual(checkpoints, { secret: "<redacted>" })
    }).pipe(Effect.provide(TestJobs.layer(group, handlers)))
  })
})
