/** A payload from the command line, and through the job's schema. */
import type { Job } from "capstan"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Stdio from "effect/Stdio"
import * as Stream from "effect/Stream"
import { type CommandFailed, failed, whatWentWrong } from "./failure.ts"

export const json = (text: string): Effect.Effect<unknown, CommandFailed> =>
  Effect.try({
    try: (): unknown => JSON.parse(text),
    catch: (error) => failed("Usage", `the payload is no JSON: ${whatWentWrong(error).message}`)
  })

/** `-` reads it from the input, which no list of processes shows. */
export const textOf = (given: string): Effect.Effect<string, CommandFailed, Stdio.Stdio> =>
  given === "-"
    ? Effect.flatMap(Stdio.Stdio, ({ stdin }) => Stream.mkString(Stream.decodeText(stdin))).pipe(
      Effect.mapError(whatWentWrong)
    )
    : Effect.succeed(given)

/** A schema that needs services of the application's cannot have them here: it dies, and says which one it misses. */
export const withoutServices = <A, E>(effect: Effect.Effect<A, E, unknown>): Effect.Effect<A, E> =>
  effect as Effect.Effect<A, E>

/** What the JSON stands for in the job's program. */
export const decoded = (job: Job.Any, value: unknown): Effect.Effect<unknown, CommandFailed> =>
  withoutServices(Schema.decodeUnknownEffect(Schema.toCodecJson(job.payloadSchema))(value)).pipe(
    Effect.mapError((error) => failed("Usage", `the payload is not what ${job._tag} takes: ${error.message}`))
  )
