/** `enqueue`: a payload from the command line, through the job's schema where the application gives it. */
import { Job, type JobError, type JobHandle, type JobStore } from "capstan"
import { Argument, Command, Flag } from "effect/cli"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { app, declared } from "./app.ts"
import type { Session } from "./connection.ts"
import { type CommandFailed, failed, whatWentWrong } from "./failure.ts"
import { decoded, json, textOf } from "./payload.ts"
import { print } from "./print.ts"

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
    priority: Flag.Int("priority").pipe(
      Flag.withDescription("-100 to 100, higher first; else the job's own, or 0"),
      Flag.optional
    ),
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
        yield* Console.error(
          "without --app the payload is enqueued unchecked, as version 1, with the usual policies, and nothing of it is masked"
        )
      }
      const job = Option.isSome(found) ? found.value : yield* unchecked(tag, queue)
      const given = yield* decoded(job, value)
      const { id, outcome } = yield* (job as unknown as Enqueueing).enqueue(given, {
        tags,
        ...(Option.isSome(priority) ? { priority: priority.value } : {}),
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
