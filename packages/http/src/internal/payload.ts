/**
 * Whether a payload is what its job takes: what is wrong with it, each with its place, for who has written it in a form. A list may be wrong
 * in as many places as a payload has room for, so the first of them are told, and how many more there are.
 */
import type { Job } from "capstan"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { BadRequest } from "../ApiError.ts"
import { cut } from "./view.ts"

const issuesOf = SchemaIssue.makeFormatterStandardSchemaV1()

const mostIssues = 100
/** Of those that are named in one sentence. */
const mostNamed = 5
/** Characters of a pointer, whose keys are the payload's, or of a message. */
const mostText = 1000

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

/** A few issues in one sentence, each as it is said. */
export const named = (
  { issues = [], moreIssues = 0 }: Pick<BadRequest, "issues" | "moreIssues">,
  say: (issue: NonNullable<BadRequest["issues"]>[number]) => string
): string => {
  const more = issues.length + moreIssues - mostNamed
  const few = issues.slice(0, mostNamed).map(say).join(", ")
  return more > 0 ? `${few}, and ${more} more` : few
}

/** Where it is, as a word of a sentence. */
export const placeOf = ({ pointer }: { readonly pointer: string }): string => pointer === "" ? "its top" : pointer

const wrong = (job: Job.Any, issue: SchemaIssue.Issue): BadRequest => {
  const all = issuesOf(issue).issues
  const told = {
    issues: all.slice(0, mostIssues).map(({ message, path }) => ({
      pointer: cut(pointerOf(path), mostText),
      message: cut(message, mostText)
    })),
    ...all.length > mostIssues ? { moreIssues: all.length - mostIssues } : {}
  }
  return new BadRequest({
    detail: `the payload is not what ${job._tag} takes: ${
      named(told, (issue) => `${issue.message} at ${placeOf(issue)}`)
    }`,
    ...told
  })
}

export const checkedPayload = (job: Job.Any, json: string): Effect.Effect<void, BadRequest> =>
  Effect.try({
    try: (): unknown => JSON.parse(json),
    catch: (error) => unread(`the payload is no JSON: ${error instanceof Error ? error.message : error}`)
  }).pipe(
    Effect.flatMap((value) => Effect.mapError(decoderOf(job)(value), ({ issue }) => wrong(job, issue))),
    Effect.asVoid
  )
