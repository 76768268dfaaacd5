/** The commands in this process, on a store of the test's, with what they print. */
import { Cli } from "@capstan/cli"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Console, Effect, Exit, Layer, Runtime, Schedule, Schema } from "effect"
import { Command } from "effect/cli"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { message: Schema.String }) {}

export class SendMail extends Job.make("SendMail", {
  payload: { to: Schema.String, token: Schema.optional(Schema.Redacted(Schema.String)) },
  error: Refused,
  onError: { Refused: "dead" },
  queue: "mail"
}) {}

export class Count extends Job.make("Count", { payload: { at: Schema.DateFromString } }) {}

const handlers = JobGroup.make(SendMail, Count).toLayer({
  SendMail: ({ to }) =>
    to.startsWith("bad") ? Effect.fail(new Refused({ message: `${to} is on a list` })) : Effect.void,
  Count: () => Effect.void
})

/** Runs what is due, and stops. */
export const work = Effect.scoped(Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  const live = (stats: JobStore.Stats) =>
    stats.queues.reduce((sum, { counts }) => sum + counts.ready + counts.running, 0)
  yield* Layer.build(
    JobWorker.layer(JobGroup.make(SendMail, Count), { pollInterval: "50 millis" }).pipe(Layer.provide(handlers))
  )
  yield* Effect.repeat(store.stats, { until: (stats) => live(stats) === 0, schedule: spaced })
}))

const spaced = Schedule.spaced("20 millis")

export interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

/** A command line, split at spaces; what holds one itself is given as a list. */
export const run = (
  ...args: ReadonlyArray<string>
): Effect.Effect<Ran, never, JobStore.JobStore> =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const out: Array<string> = []
    const err: Array<string> = []
    const console = {
      ...globalThis.console,
      log: (...parts: ReadonlyArray<unknown>) => void out.push(parts.map(String).join(" ")),
      error: (...parts: ReadonlyArray<unknown>) => void err.push(parts.map(String).join(" "))
    }
    const exit = yield* Command.runWith(Cli.make({ store: Layer.succeed(JobStore.JobStore, store) }), {
      version: "0.0.0"
    })(args).pipe(
      Effect.provideService(Console.Console, console),
      Effect.provide(NodeServices.layer),
      Effect.exit
    )
    let code = 0
    Runtime.defaultTeardown(exit, (given) => void (code = given))
    return { code: Exit.isSuccess(exit) ? 0 : code, out: out.join("\n"), err: err.join("\n") }
  })

export const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

export const documents = (text: string): ReadonlyArray<Record<string, unknown>> =>
  lines(text).map((line) => JSON.parse(line) as Record<string, unknown>)
