/**
 * The endpoint that GitHub would call: verify, decode, enqueue, answer. It is done in a moment, and the work comes later.
 */
import { Effect, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { type Delivery, jobFor } from "./jobs.ts"
import { isSigned } from "./signature.ts"

/** The little that all of GitHub's events may have in common. */
const Named = Schema.Struct({ number: Schema.optional(Schema.Number), name: Schema.optional(Schema.String) })
const Event = Schema.fromJsonString(Schema.Struct({
  action: Schema.optional(Schema.String),
  repository: Schema.optional(Schema.Struct({ full_name: Schema.String })),
  sender: Schema.optional(Schema.Struct({ login: Schema.String })),
  issue: Schema.optional(Named),
  pull_request: Schema.optional(Named),
  label: Schema.optional(Named),
  release: Schema.optional(Schema.Struct({ name: Schema.optional(Schema.NullOr(Schema.String)) }))
}))
const decode = Schema.decodeUnknownEffect(Event)

const toDelivery = (delivery: string, event: string, payload: typeof Event.Type): typeof Delivery.Type => {
  const about = payload.issue ?? payload.pull_request
  const subject = about?.number === undefined ? payload.label?.name : `#${about.number}`
  return {
    delivery,
    event,
    ...(payload.action === undefined ? {} : { action: payload.action }),
    ...(payload.repository === undefined ? {} : { repository: payload.repository.full_name }),
    ...(payload.sender === undefined ? {} : { actor: payload.sender.login }),
    ...(subject === undefined ? {} : { subject })
  }
}

const refuse = (status: number, why: string) => Effect.succeed(HttpServerResponse.text(why, { status }))

export const routes = HttpRouter.add(
  "POST",
  "/webhooks",
  Effect.gen(function*() {
    const request = yield* HttpServerRequest.HttpServerRequest
    const body = yield* request.text
    if (!isSigned(body, request.headers["x-hub-signature-256"] ?? "")) {
      return yield* refuse(401, "the signature is wrong")
    }
    const id = request.headers["x-github-delivery"]
    const event = request.headers["x-github-event"]
    if (id === undefined || event === undefined) {
      return yield* refuse(400, "X-GitHub-Delivery and X-GitHub-Event are missing")
    }
    const payload = yield* decode(body)
    const handle = yield* jobFor(event).enqueue(toDelivery(id, event, payload), { idempotencyKey: id, tags: [event] })
    return HttpServerResponse.jsonUnsafe({ id: handle.id, outcome: handle.outcome }, {
      status: handle.outcome === "Inserted" ? 202 : 200
    })
  }).pipe(
    Effect.catchTag(["SchemaError", "HttpServerError"], (error) => refuse(400, error.message)),
    Effect.catchTag("EnqueueError", (error) => refuse(400, error.message)),
    // Nothing was stored, or nobody knows: GitHub delivers again, with the same id.
    Effect.catchTag("JobStoreError", (error) => refuse(503, error.message))
  )
)
