/**
 * A process of one release, which does what it is told over its channel: `node release.ts <url> <prefix>`.
 *
 * It imports what a user would and nothing else, so that the same text runs beside the packages of a release as it was
 * when they were packed (`fixtures/releases`), and beside those of today.
 */
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Job, JobContext, JobGroup, JobStore, JobWorker } from "capstan"
import { Context, type Duration, Effect, Exit, Layer, Logger, Schedule, Schema, Scope } from "effect"
import process from "node:process"

const [url = "", prefix = ""] = process.argv.slice(2)

// ------------------------------------------------------------------------------------------------------- the jobs

class Busy extends Schema.TaggedError<Busy>()("Busy", {}) {}

const common = { payload: { n: Schema.Int }, success: Schema.Int }

class Note extends Job.make("Note", common) {}
class Keyed extends Job.make("Keyed", { ...common, concurrency: { key: ({ n }) => `${n % 5}`, limit: 2 } }) {}
class Unique extends Job.make("Unique", { ...common, unique: { key: ({ n }) => `${n}`, onConflict: "keep" } }) {}
class Flaky extends Job.make("Flaky", { ...common, error: Busy, retry: Schedule.spaced("10 millis") }) {}
/** Its retry is an hour away: somebody promotes it. */
class Later extends Job.make("Later", { ...common, error: Busy, retry: Schedule.spaced("1 hour") }) {}
class Parent extends Job.make("Parent", common) {}
/** Its first attempt never ends. */
class Long extends Job.make("Long", common) {}

const jobs = { Note, Keyed, Unique, Flaky, Later, Parent, Long }
const group = JobGroup.make(Note, Keyed, Unique, Flaky, Later, Parent, Long)

/** Says that it began and that it came to its end, and answers the fence that it ran with. */
const told = <A, E, R>(work: (attempt: number) => Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    const { attempt, fence, id } = yield* JobContext.JobContext
    const say = (event: "began" | "done") => Effect.sync(() => void process.send!({ event, id, attempt, fence }))
    yield* say("began")
    yield* work(attempt)
    yield* say("done")
    return fence
  })

const plain = () => told(() => Effect.sleep("2 millis"))
const failing = () => told((attempt) => attempt === 1 ? Effect.fail(new Busy()) : Effect.void)

const handlers = group.toLayer({
  Note: plain,
  Keyed: plain,
  Unique: plain,
  Flaky: failing,
  Later: failing,
  Parent: ({ n }) => told(() => Note.enqueue({ n })),
  Long: () => told((attempt) => attempt === 1 ? Effect.never : Effect.void)
})

// --------------------------------------------------------------------------------------------------- what it is told

const opened = Scope.makeUnsafe()
let context: Context.Context<JobStore.JobStore> | undefined
let working: Scope.Closeable | undefined

const commands = {
  open: () =>
    Effect.gen(function*() {
      const store = RedisJobStore.layer({ prefix }).pipe(Layer.provide(NodeRedis.layer({ url })))
      context = yield* Layer.buildWithScope(store, opened)
    }),

  /** A short lease is for who is to be killed: on a busy machine others must not lose theirs. */
  work: ({ lease }: { readonly lease: Duration.Input }) =>
    Effect.gen(function*() {
      working = yield* Scope.make()
      const options = { concurrency: 20, lease, pollInterval: "200 millis" } as const
      yield* Layer.buildWithScope(Layer.provide(JobWorker.layer(group, options), handlers), working)
    }),

  /** The worker closes; the process goes on. */
  rest: () => Scope.close(working!, Exit.void),

  enqueue: ({ job, ns }: { readonly job: keyof typeof jobs; readonly ns: ReadonlyArray<number> }) =>
    Effect.forEach(ns, (n) => Effect.map(jobs[job].enqueue({ n }), ({ id, outcome }) => ({ id, outcome })), {
      concurrency: "unbounded"
    }),

  /** A verb of the seam. */
  store: ({ args, verb }: { readonly verb: keyof JobStore.Shape; readonly args: ReadonlyArray<unknown> }) =>
    Effect.flatMap(JobStore.JobStore, (store) => {
      const operation = store[verb] as
        | Effect.Effect<unknown, unknown>
        | ((...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, unknown>)
      return typeof operation === "function" ? operation(...args) : operation
    })
}

type Command = { readonly [N in keyof typeof commands]: Parameters<(typeof commands)[N]>[0] }

const obey = ({ argument, id, name }: {
  readonly id: number
  readonly name: keyof Command
  readonly argument: never
}): Promise<unknown> =>
  Effect.suspend((): Effect.Effect<unknown, unknown, JobStore.JobStore> => commands[name](argument)).pipe(
    Effect.provideContext(context ?? Context.empty() as Context.Context<JobStore.JobStore>),
    Effect.provide(Logger.layer([])),
    Effect.match({
      onSuccess: (answer) => ({ answers: id, answer }),
      onFailure: (error) => ({ answers: id, failure: describe(error) })
    }),
    Effect.runPromise
  ).then((answer) => process.send!(answer))

/** The reason of an error of the store, and its message. */
const describe = (error: unknown): string => {
  const reason = (error as { readonly reason?: { readonly _tag?: string } }).reason?._tag ?? "?"
  return `${reason}: ${error instanceof Error ? error.message : String(error)}`
}

process.on("message", obey)
// Who tells it what to do is gone.
process.on("disconnect", () => process.exit())
process.send!({ event: "ready" })
