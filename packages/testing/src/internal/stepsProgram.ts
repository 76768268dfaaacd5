/**
 * A saga as a worker runs it on a store elsewhere, in real time: steps larger than a claim carries, a sleep, an invoked job,
 * a waitpoint that times out and one that does not, a cancel that finds the record waiting. Answers what was done, in order.
 */
import { Job, JobGroup, type JobStore, JobWorker, Step, Waitpoint } from "capstan"
import { Effect, Layer, Schema } from "effect"

class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
class Approval extends Waitpoint.make("Approval", { success: Schema.String }) {}
class Double extends Job.make("Double", { payload: Schema.Int, success: Schema.Int }) {}
class Order extends Job.make("Order", {
  payload: { name: Schema.String, patience: Schema.Int },
  success: Schema.String,
  error: Declined,
  onError: { Declined: "dead" }
}) {}

const large = "x".repeat(40_000)

export const stepsProgram: Effect.Effect<ReadonlyArray<string>, unknown, JobStore.JobStore> = Effect.gen(function*() {
  const done: Array<string> = []
  const note = (line: string) => Effect.sync(() => void done.push(line))
  const group = JobGroup.make(Order, Double)
  const handlers = group.toLayer({
    Double: (n) => Effect.succeed(2 * n),
    Order: ({ name, patience }) =>
      Effect.gen(function*() {
        const first = yield* Step.run("first", { success: Schema.String }, Effect.as(note(`${name} first`), large))
          .pipe(
            Step.withCompensation((value) => note(`${name} undoes ${value.length}`))
          )
        const second = yield* Step.run("second", { success: Schema.String }, Effect.as(note(`${name} second`), large))
        yield* Step.sleep("nap", "50 millis")
        const doubled = yield* Step.invoke("double", Double, first.length + second.length).pipe(Effect.orDie)
        const by = yield* Approval.awaitFor(patience).pipe(
          Effect.catchTag("WaitpointTimedOut", () => new Declined())
        )
        return `${doubled} by ${by}`
      })
  })
  yield* Layer.build(Layer.provide(JobWorker.layer(group, { shutdownGrace: 0, pollInterval: "50 millis" }), handlers))
  const long = 60_000
  const agreed = yield* Order.enqueue({ name: "agreed", patience: long }, { delay: "1 second" })
  yield* note(yield* Approval.complete(agreed.id, "ada"))
  yield* note(yield* Approval.complete(agreed.id, "eve"))
  yield* note(yield* agreed.await)
  const alone = yield* Order.enqueue({ name: "alone", patience: 100 })
  yield* note((yield* Effect.flip(alone.await))._tag)
  const cancelled = yield* Order.enqueue({ name: "cancelled", patience: long })
  const hasBegun = Effect.sync(() => done.includes("cancelled second"))
  yield* Effect.repeat(Effect.delay(hasBegun, "20 millis"), { until: (has) => has })
  yield* cancelled.cancel({ reason: "rain" })
  yield* note((yield* Effect.flip(cancelled.await))._tag)
  return done
}).pipe(Effect.scoped)

export const stepsProgramDoes: ReadonlyArray<string> = [
  "Kept",
  "TooLate",
  "agreed first",
  "agreed second",
  "160000 by ada",
  "alone first",
  "alone second",
  "alone undoes 40000",
  "Declined",
  "cancelled first",
  "cancelled second",
  "cancelled undoes 40000",
  "JobCancelled"
]
