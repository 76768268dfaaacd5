/**
 * What stands before every route, in this order: loopback, own page, who asks; how much is read of what is sent; and what a request says
 * wrongly, as a body.
 */
import type { JobGroup } from "capstan"
import * as ByteSize from "effect/ByteSize"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import { HttpApiSchemaError } from "effect/http-api/HttpApiError"
import * as HttpIncomingMessage from "effect/http/HttpIncomingMessage"
import { HttpServerError } from "effect/http/HttpServerError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import { BadRequest, BodyTooLarge } from "../ApiError.ts"
import { Auth } from "../Auth.ts"
import { Caller, Guard, RouteAction } from "../JobsApi.ts"
import { fromLoopback, fromOwnPage } from "./origin.ts"

/** A route that says nothing of its action is nobody's. */
const actionOf = (endpoint: HttpApiEndpoint.Top) => Context.getUnsafe(endpoint.annotations, RouteAction)

const usual = 1024 * 1024
/** What stands in a body beside a payload. */
const beside = 64 * 1024

/**
 * How many bytes a body may have: what a selection with all of its ids needs, and the largest payload that may be enqueued, which is a text
 * in JSON there, and at worst twice as long.
 */
export const mostOf = (groups: ReadonlyArray<JobGroup.Any>): number => {
  const payloads = groups.flatMap(({ jobs }) =>
    [...jobs.values()].map(({ maxPayloadBytes }) => 2 * maxPayloadBytes + beside)
  )
  return Math.min(Math.max(usual, ...payloads), Number.MAX_SAFE_INTEGER)
}

export const layer = (origins: ReadonlyArray<string>, most: number): Layer.Layer<Guard, never, Auth> =>
  Layer.effect(
    Guard,
    Effect.map(Auth, (auth) =>
      Guard.of((handler, { endpoint }) =>
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          if (auth.loopbackOnly) yield* fromLoopback(request)
          if (endpoint.method !== "GET") yield* fromOwnPage(request, origins)
          const principal = yield* auth.authenticate(request)
          return yield* handler.pipe(
            Effect.provideService(Caller, { name: principal.name, action: actionOf(endpoint), may: principal.may }),
            Effect.provideService(HttpIncomingMessage.MaxBodySize, ByteSize.bytes(most))
          )
        }).pipe(
          Effect.catch((error) => Effect.fail(isBadRequest(error) ? bad(error) : error)),
          // The router takes a body that cannot be read for a defect of the server.
          Effect.catchDefect((defect) => isTooLarge(defect) ? Effect.fail(tooLarge(most)) : Effect.die(defect))
        )
      ))
  )

/** What the caller got wrong. What this package encodes wrongly is a defect of its own. */
const isBadRequest = (error: unknown): error is HttpApiSchemaError =>
  HttpApiSchemaError.is(error) && error.kind !== "Body" && error.kind !== "ResponseHeaders"

const bad = ({ cause, kind }: HttpApiSchemaError): BadRequest =>
  new BadRequest({ detail: `${kind.toLowerCase()}: ${cause.message}` })

const isTooLarge = (defect: unknown): boolean =>
  defect instanceof HttpServerError && defect.reason._tag === "RequestParseError" &&
  defect.reason.reason === "BodyTooLarge"

const tooLarge = (limit: number): BodyTooLarge =>
  new BodyTooLarge({ detail: `the body has more than ${limit} bytes: name less in one request`, limit })
