/** The commands in this process, on a store of the test's, with what they print. */
import { Cli } from "@capstan/cli"
import * as NodeServices from "@effect/platform-node/NodeServices"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Console, Deferred, Effect, Exit, Layer, Runtime, Schedule, Schema, Sink, Stdio } from "effect"
import { Command } from "effect/cli"

export class Refused extends Schema.TaggedError<Refused>()("Refused", { message: Schema.String }) {}

export class SendMail extends Job.make("SendMail", {
  payload: { to: Schema.String, token: Schema.optional(Schema.Redacted(Schema.String)) },
  error: Refused,
  onError: { Refused: "dead" },
  queue: "mail"
}) {}

export class Count extends Job.make("Count", { payload: { at: Schema.DateFromString } }) {}

/** Nobody works on it. */
export class Page extends Job.make("Page", { priority: "high" }) {}

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

/** Runs a command line, and hands on what it prints. */
const execute = (args: ReadonlyArray<string>, print: (to: "out" | "err", line: string) => void) =>
  Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const to = (name: "out" | "err") => (...parts: ReadonlyArray<unknown>) => print(name, parts.map(String).join(" "))
    const console = { ...globalThis.console, log: to("out"), error: to("err") }
    const stdout = () =>
      Sink.forEach((part: string | Uint8Array) => Effect.sync(() => to("out")(String(part).trimEnd())))
    return yield* Command.runWith(Cli.make({ store: Layer.succeed(JobStore.JobStore, store) }), {
      version: "0.0.0"
    })(args).pipe(
      Effect.provideService(Console.Console, console),
      Effect.updateService(Stdio.Stdio, (stdio) => ({ ...stdio, stdout })),
      Effect.provide(NodeServices.layer)
    )
  })

/** A command line, split at spaces; what holds one itself is given as a list. */
export const run = (
  ...args: ReadonlyArray<string>
): Effect.Effect<Ran, never, JobStore.JobStore> =>
  Effect.gen(function*() {
    const printed = { out: new Array<string>(), err: new Array<string>() }
    const exit = yield* Effect.exit(execute(args, (to, line) => void printed[to].push(line)))
    let code = 0
    Runtime.defaultTeardown(exit, (given) => void (code = given))
    return { code: Exit.isSuccess(exit) ? 0 : code, out: printed.out.join("\n"), err: printed.err.join("\n") }
  })

/** A command that goes on, until the scope closes. Answers with the first line that it prints, and what it tells beside. */
export const running = (...args: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const err: Array<string> = []
    const first = yield* Deferred.make<string, unknown>()
    yield* execute(
      args,
      (to, line) => to === "err" ? void err.push(line) : Deferred.doneUnsafe(first, Effect.succeed(line))
    ).pipe(Effect.catchCause((cause) => Deferred.failCause(first, cause)), Effect.forkScoped)
    return { line: yield* Deferred.await(first), err }
  })

export const lines = (text: string): ReadonlyArray<string> => text.split("\n").filter((line) => line !== "")

export const documents = (text: string): ReadonlyArray<Record<string, unknown>> =>
  lines(text).map((line) => JSON.parse(line) as Record<string, unknown>)
