/** `enqueue` and `replay`: a payload from the command line, through the job's schema where the application gives it. */
import { Job, type JobError, type JobHandle, Jobs, type JobStore } from "capstan"
import { Argument, Command, Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { app, declared } from "./app.ts"
import type { Session } from "./connection.ts"
import { type CommandFailed, failed, whatWentWrong } from "./failure.ts"
import { print } from "./print.ts"
import { idOf } from "./where.ts"

const json = (text: string): Effect.Effect<unknown, CommandFailed> =>
  Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => failed("Usage", `the payload is no JSON: ${whatWentWrong(error).message}`)
  })

/** `-` reads it from the input, which no list of processes shows. */
const textOf = (given: string): Effect.Effect<string, CommandFailed, Stdio.Stdio> =>
  given === "-"
    ? Effect.flatMap(Stdio.Stdio, ({ stdin }) => Stream.mkString(Stream.decodeText(stdin))).pipe(
      Effect.mapError(whatWentWrong)
    )
    : Effect.succeed(given)

/** A schema that needs services of the application's cannot have them here: it dies, and says which one it misses. */
const withoutServices = <A, E>(effect: Effect.Effect<A, E, unknown>): Effect.Effect<A, E> =>
  effect as Effect.Effect<A, E>

/** What the JSON stands for in the job's program. */
const decoded = (job: Job.Any, value: unknown): Effect.Effect<unknown, CommandFailed> =>
  withoutServices(Schema.decodeUnknownEffect(Schema.toCodecJson(job.payloadSchema))(value)).pipe(
    Effect.mapError((error) => failed("Usage", `the payload is not what ${job._tag} takes: ${error.message}`))
  )

/** A job of which the names alone are known. */
const unchecked = (tag: string, queue: string): Effect.Effect<Job.Any, CommandFailed> =>
  Effect.try({
    try: () => Job.make(tag, { payload: Schema.Json, queue }),
    catch: (error) => failed("Usage", whatWentWrong(error).message)
  })

/** A declaration as far as enqueueing goes; its payload was decoded by its own schema. */
interface Enqueueing {
  readonly enqueue: (
    payload: unknown,
    options: Readonly<Record<string, unknown>>
  ) => Effect.Effect<
    Pick<JobHandle.JobHandle<unknown, unknown, unknown, unknown, unknown>, "id" | "outcome">,
    JobError.EnqueueError | JobError.JobStoreError,
    JobStore.JobStore
  >
}

export const enqueue = (session: Session) =>
  Command.make("enqueue", {
    job: Argument.String("job").pipe(Argument.withDescription("The job's tag, such as SendMail")),
    payload: Argument.String("payload").pipe(
      Argument.withDescription("JSON, or - to read it from the input"),
      Argument.withDefault("null")
    ),
    app,
    queue: Flag.String("queue").pipe(
      Flag.withDescription("The queue, where no --app says it"),
      Flag.withDefault("default")
    ),
    delay: Flag.String("delay").pipe(Flag.withDescription("Such as \"10 minutes\""), Flag.optional),
    priority: Flag.Int("priority").pipe(Flag.withDescription("-100 to 100, higher first"), Flag.withDefault(0)),
    key: Flag.String("key").pipe(
      Flag.withDescription("The idempotency key: the same one enqueues once"),
      Flag.optional
    ),
    tag: Flag.String("tag").pipe(
      Flag.withDescription("A tag to find it by; may be given more than once"),
      Flag.between(0, 20)
    )
  }, ({ app, delay, job: tag, key, payload, priority, queue, tag: tags }) =>
    session(Effect.gen(function*() {
      const value = yield* Effect.flatMap(textOf(payload), json)
      const found = yield* declared(app, tag)
      if (Option.isNone(found)) {
        yield* Console.error("without --app the payload is enqueued unchecked, as version 1, with the usual policies")
      }
      const job = Option.isSome(found) ? found.value : yield* unchecked(tag, queue)
      const given = yield* decoded(job, value)
      const { id, outcome } = yield* (job as unknown as Enqueueing).enqueue(given, {
        priority,
        tags,
        ...(Option.isSome(delay) ? { delay: delay.value } : {}),
        ...(Option.isSome(key) ? { idempotencyKey: key.value } : {})
      })
      yield* print({ id, outcome }, () => `${id}  ${outcome}`)
    }))).pipe(
      Command.withDescription("Enqueue one record; with --app its payload is checked by the job's schema"),
      Command.withExamples([
        { command: `capstan enqueue SendMail '{"to":"ada@example.com"}' --app ./dist/jobs.js`, description: "Checked" }
      ])
    )

export const replay = (session: Session) =>
  Command.make("replay", {
    id: Argument.String("id").pipe(Argument.withDescription("The record's id")),
    payload: Flag.String("payload").pipe(
      Flag.withDescription("JSON in place of its payload, or - to read it from the input; needs --app"),
      Flag.optional
    ),
    app
  }, ({ app, id, payload }) =>
    session(Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const record = yield* jobs.get(yield* idOf(id))
      if (Option.isNone(record)) return yield* failed("NotFound", `there is no record ${id}`)
      if (Option.isNone(payload)) {
        const { changed } = yield* jobs.retry({ ids: [record.value.id] })
        yield* print(
          { id, changed: changed > 0 },
          () => changed > 0 ? `${id} runs again` : `${id} is ${record.value.state}: it was left as it is`
        )
        return
      }
      const job = yield* declared(app, record.value.tag)
      if (Option.isNone(job)) {
        return yield* failed(
          "Usage",
          "another payload goes through the job's schema: say with --app where it is declared"
        )
      }
      const value = yield* Effect.flatMap(textOf(payload.value), json)
      const given = yield* decoded(job.value, value)
      const outcome = yield* withoutServices(jobs.editAndReplay(job.value, id, given))
      yield* print(
        { id, outcome },
        () => outcome === "Changed" ? `${id} runs again with the new payload` : `${id} was left as it is: ${outcome}`
      )
    }))).pipe(Command.withDescription("Run one record again, also with another payload through the job's schema"))
