/**
 * A place to try things on Redis: `node scripts/node.mjs scratchpad/redis.ts`. The server is a throwaway one.
 *
 * Beside what memory.ts shows: another process, here another store on the same server, sees the same records.
 */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Job, JobContext, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Console, Effect, Layer, Schedule, Schema } from "effect"
import { durableRedis, startRedis } from "../scripts/servers/index.ts"

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

await using server = await startRedis({ settings: durableRedis() })

const StoreLive = RedisJobStore.layer().pipe(Layer.provide(NodeRedis.layer({ url: server.url })))

const Live = Layer.mergeAll(JobWorker.layer(Group).pipe(Layer.provide(GroupLive)), Jobs.layer).pipe(
  Layer.provideMerge(StoreLive)
)

const program = Effect.gen(function*() {
  const jobs = yield* Jobs.Jobs
  yield* Console.log(yield* (yield* JobStore.JobStore).describe)

  const handle = yield* Play.enqueue({ name: "works" })
  yield* Console.log(yield* handle.await)
  yield* Console.log(yield* jobs.get(handle.id))

  const elsewhere = Layer.fresh(Jobs.layer.pipe(Layer.provide(StoreLive)))
  const { records } = yield* Effect.provide(Effect.flatMap(Jobs.Jobs, (jobs) => jobs.query({})), elsewhere)
  yield* Console.log(`${records.length} record is seen from elsewhere`)
})

await Effect.runPromise(Effect.provide(program, Live))
