/**
 * A place to try things on Postgres: `node scripts/node.mjs scratchpad/pg.ts`. The server is a throwaway one.
 *
 * Beside what memory.ts shows: a transaction that rolls back takes its jobs with it.
 */
import { PgJobStore } from "@capstan/pg"
import * as PgClient from "@effect/sql-pg/PgClient"
import { Job, JobContext, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Console, Effect, Layer, Redacted, Schedule, Schema } from "effect"
import { startPostgres } from "../scripts/servers/index.ts"

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
    yield* log(`attempt ${attempt}`)
    if (attempt < 3) return yield* new Unlucky({ attempt })
    return `${name} after ${attempt} attempts`
  })
})

await using server = await startPostgres()

const Live = Layer.mergeAll(JobWorker.layer(Group).pipe(Layer.provide(GroupLive)), Jobs.layer).pipe(
  Layer.provideMerge(PgJobStore.layer()),
  Layer.provideMerge(PgClient.layer({ url: Redacted.make(server.url) }))
)

const program = Effect.gen(function*() {
  const sql = yield* PgClient.PgClient
  const jobs = yield* Jobs.Jobs
  yield* Console.log(yield* (yield* JobStore.JobStore).describe)

  const handle = yield* sql.withTransaction(Play.enqueue({ name: "works" }))
  yield* Console.log(yield* handle.await)
  yield* Console.log(yield* jobs.get(handle.id))

  yield* sql.withTransaction(Effect.andThen(Play.enqueue({ name: "never" }), Effect.fail("no"))).pipe(Effect.ignore)
  const { records } = yield* jobs.query({})
  yield* Console.log(`${records.length} record is left`)
})

await Effect.runPromise(Effect.provide(program, Live))
