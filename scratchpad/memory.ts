/**
 * A place to try things on the memory store: `node scripts/node.mjs scratchpad/memory.ts`.
 */
import { Job, JobContext, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Console, Effect, Layer, Schedule, Schema } from "effect"

class Unlucky extends Schema.TaggedError<Unlucky>()("Unlucky", { attempt: Schema.Number }) {}

class Play extends Job.make("Play", {
  payload: { name: Schema.String },
  success: Schema.String,
  error: Unlucky,
  retry: Schedule.exponential("50 millis")
}) {}

class Group extends JobGroup.make(Play) {}

const GroupLive = Group.toLayer({
  Play: Effect.fnUntraced(function*({ name }) {
    const { attempt, log } = yield* JobContext.JobContext
    yield* log(attempt < 3 ? "no luck" : "luck")
    if (attempt < 3) return yield* new Unlucky({ attempt })
    return `${name} after ${attempt} attempts`
  })
})

const Live = Layer.mergeAll(JobWorker.layer(Group).pipe(Layer.provide(GroupLive)), Jobs.layer).pipe(
  Layer.provideMerge(JobStore.layerMemory())
)

const program = Effect.gen(function*() {
  const handle = yield* Play.enqueue({ name: "works" })
  yield* Console.log(yield* handle.await)
  const record = yield* Effect.flatMap((yield* Jobs.Jobs).get(handle.id), Effect.fromOption)
  for (const { attempt, decision, failure } of record.attempts) {
    yield* Console.log(`attempt ${attempt} ${decision}${failure === undefined ? "" : `: ${failure.tag}`}`)
  }
  for (const { attempt, message } of record.logs) yield* Console.log(`log of attempt ${attempt}: ${message}`)
})

Effect.runPromise(Effect.provide(program, Live))
