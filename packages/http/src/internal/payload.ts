/** Whether a payload is what its job takes: all that is wrong with it, each with its place, for who has written it in a form. */
import type { Job } from "capstan"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { BadRequest } from "../ApiError.ts"

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

type Decoder = (value: unknown) => Effect.Effect<unknown, Schema.SchemaError>

/** A job's schema is compiled with the first payload of it. */
const decoders = new WeakMap<Job.Any, Decoder>()

const decoderOf = (job: Job.Any) => {
  let decoder = decoders.get(job)
  if (decoder === undefined) {
    // The schemas of a group that is mounted need no services: the option says so.
    decoder = Schema.decodeUnknownEffect(Schema.toCodecJson(job.payloadSchema), { errors: "all" }) as Decoder
    decoders.set(job, decoder)
  }
  return decoder
}

/** RFC 6901. */
const pointerOf = (path: ReadonlyArray<PropertyKey | { readonly key: PropertyKey }> | undefined): string =>
  (path ?? []).map((step) =>
    `/${String(typeof step === "object" ? step.key : step).replaceAll("~", "~0").replaceAll("/", "~1")}`
  )
    .join("")

/** What could not be read at all. Engines quote the text, which may hold a sensitive value: it is told as an issue, and not logged. */
export const unread = (detail: string): BadRequest =>
  new BadRequest({ detail, issues: [{ pointer: "", message: detail }] })

export const checkedPayload = (job: Job.Any, json: string): Effect.Effect<void, BadRequest> =>
  Effect.try({
    try: (): unknown => JSON.parse(json),
    catch: (error) => unread(`the payload is no JSON: ${error instanceof Error ? error.message : error}`)
  }).pipe(
    Effect.flatMap((value) =>
      Effect.mapError(decoderOf(job)(value), (error) =>
        new BadRequest({
          detail: `the payload is not what ${job._tag} takes: ${error.message}`,
          issues: issuesOf(error.issue).issues.map(({ message, path }) => ({ pointer: pointerOf(path), message }))
        }))
    ),
    Effect.asVoid
  )
