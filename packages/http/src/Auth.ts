/**
 * Who asks, and what they may do. Without this service nothing is mounted: there is no default.
 *
 * The application decides who it is, by its own session, token or proxy header (`layer`). `none` lets everybody in who
 * is on this machine, and nobody else.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import { Unauthorized } from "./ApiError.ts"
import { bytesOf, isSame, sentBy } from "./internal/bearer.ts"
import { type Action, allows, type Role } from "./Permission.ts"

/**
 * Somebody, and what they may do.
 *
 * @category models
 * @since 0.1.0
 */
export interface Principal {
  /** As the audit log names them: a user, an address, a service. */
  readonly name: string
  /** Whether they may take an action on a queue. Without a queue: on every queue, also on those that are yet to come. */
  readonly may: (action: Action, queue?: string) => boolean
}

/**
 * Somebody with a role, on every queue or on some.
 *
 * **Details**
 *
 * Own rules are a `Principal` with a `may` of its own.
 *
 * @category constructors
 * @since 0.1.0
 */
export const principal = (
  name: string,
  role: Role,
  options?: {
    /**
     * The queues on which they have the role. What is about no queue they may not do.
     *
     * @default every queue
     */
    readonly queues?: ReadonlyArray<string> | undefined
  }
): Principal => ({
  name,
  may: (action, queue) =>
    allows(role, action) &&
    (options?.queues === undefined || (queue !== undefined && options.queues.includes(queue)))
})

/**
 * Who sends a request, and what they may do. Every route asks it.
 *
 * @category service
 * @since 0.1.0
 */
export class Auth extends Context.Service<Auth, {
  /** Whether requests from other machines are refused before anything else. */
  readonly loopbackOnly: boolean
  /** Who sends this request. `Unauthorized` is answered with 401. */
  readonly authenticate: (
    request: HttpServerRequest.HttpServerRequest
  ) => Effect.Effect<Principal, Unauthorized>
}>()("@capstan/http/Auth") {}

/**
 * Asks the application who it is.
 *
 * **Example**
 *
 * ```ts
 * const AuthLive = Auth.layer((request) =>
 *   Effect.gen(function*() {
 *     const user = yield* Sessions.userOf(request.cookies["session"])
 *     if (user === undefined) return yield* new ApiError.Unauthorized({ detail: "sign in first" })
 *     return Auth.principal(user.email, user.isOnCall ? "operator" : "viewer")
 *   }))
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <R>(
  authenticate: (request: HttpServerRequest.HttpServerRequest) => Effect.Effect<Principal, Unauthorized, R>
): Layer.Layer<Auth, never, R> =>
  Layer.effect(
    Auth,
    Effect.contextWith((context: Context.Context<R>) =>
      Effect.succeed(Auth.of({
        loopbackOnly: false,
        authenticate: (request) => Effect.provideContext(authenticate(request), context)
      }))
    )
  )

/**
 * Everybody on this machine may do everything, and nobody else anything.
 *
 * **Gotchas**
 *
 * A server that listens on another address than a loopback one is not mounted. Each request must come from a loopback
 * address, name a loopback host and bear no header of a proxy. A proxy on this machine that adds none would let others in:
 * do not put one before it. Behind a web-standard handler the peer's address is unknown, so every request is refused.
 *
 * @category layers
 * @since 0.1.0
 */
export const none: Layer.Layer<Auth> = Layer.succeed(Auth, {
  loopbackOnly: true,
  authenticate: () => Effect.succeed(principal("nobody in particular", "admin"))
})

/**
 * Bearer tokens, compared in constant time: for scripts and other services. People sign in to the application.
 *
 * A token has at least 16 characters: a shorter one throws here.
 *
 * @category layers
 * @since 0.1.0
 */
export const layerBearer = (
  tokens: ReadonlyArray<{ readonly token: Redacted.Redacted; readonly principal: Principal }>
): Layer.Layer<Auth> => {
  const known = tokens.map(({ principal, token }) => ({
    principal,
    bytes: bytesOf(token, `the token of ${principal.name}`)
  }))
  return layer((request) => {
    const sent = sentBy(request)
    // All are compared, so that the time says nothing of which one it is.
    let found: Principal | undefined
    for (const { bytes, principal } of known) if (isSame(bytes, sent)) found = principal
    return found === undefined
      ? Effect.fail(new Unauthorized({ detail: "send a known token: Authorization: Bearer <token>" }))
      : Effect.succeed(found)
  })
}
