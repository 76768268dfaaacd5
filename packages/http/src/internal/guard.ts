/** What stands before every route, in this order: loopback, own page, who asks; and what a request says wrongly, as a body. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import { HttpApiSchemaError } from "effect/http-api/HttpApiError"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import { BadRequest } from "../ApiError.ts"
import { Auth } from "../Auth.ts"
import { Caller, Guard, RouteAction } from "../JobsApi.ts"
import { fromLoopback, fromOwnPage } from "./origin.ts"

/** A route that says nothing of its action is nobody's. */
const actionOf = (endpoint: HttpApiEndpoint.Top) => Context.getUnsafe(endpoint.annotations, RouteAction)

export const layer = (origins: ReadonlyArray<string>): Layer.Layer<Guard, never, Auth> =>
  Layer.effect(
    Guard,
    Effect.map(Auth, (auth) =>
      Guard.of((handler, { endpoint }) =>
        Effect.gen(function*() {
          const request = yield* HttpServerRequest.HttpServerRequest
          if (auth.loopbackOnly) yield* fromLoopback(request)
          if (endpoint.method !== "GET") yield* fromOwnPage(request, origins)
          const principal = yield* auth.authenticate(request)
          return yield* Effect.provideService(handler, Caller, {
            name: principal.name,
            action: actionOf(endpoint),
            may: principal.may
          })
        }).pipe(Effect.catch((error) => Effect.fail(isBadRequest(error) ? bad(error) : error)))
      ))
  )

/** What the caller got wrong. What this package encodes wrongly is a defect of its own. */
const isBadRequest = (error: unknown): error is HttpApiSchemaError =>
  HttpApiSchemaError.is(error) && error.kind !== "Body" && error.kind !== "ResponseHeaders"

const bad = ({ cause, kind }: HttpApiSchemaError): BadRequest =>
  new BadRequest({ detail: `${kind.toLowerCase()}: ${cause.message}` })
