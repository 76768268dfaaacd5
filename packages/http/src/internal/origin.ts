/**
 * Where a request comes from: this machine, and the page's own origin. What a browser cannot be made to lie about.
 */
import * as Effect from "effect/Effect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Option from "effect/Option"
import { Forbidden } from "../ApiError.ts"
import { changeHeader } from "../JobsApi.ts"

type Request = HttpServerRequest.HttpServerRequest

/** 127.0.0.0/8, also as IPv6 writes it, and ::1. */
export const isLoopbackAddress = (address: string): boolean =>
  /^(::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/i.test(address) || address === "::1"

/** The host of a `Host` header, without its port. A name that another site may point to this machine is none. */
const isLoopbackHost = (host: string): boolean => {
  const name = host.replace(/:\d+$/, "")
  return name === "localhost" || isLoopbackAddress(name.replace(/^\[(.*)\]$/, "$1"))
}

/** What a proxy adds: then the peer is the proxy, and the client is somewhere else. */
const proxyHeaders = ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via"]

/** Whether only somebody on this machine can have asked. */
export const fromLoopback = (request: Request): Effect.Effect<void, Forbidden> => {
  const peer = Option.getOrUndefined(request.peerAddress)
  const proxy = proxyHeaders.find((name) => request.headers[name] !== undefined)
  const why = peer === undefined
    ? "the address of the peer is not known here"
    : !isLoopbackAddress(peer)
    ? `${peer} is not this machine`
    : proxy !== undefined
    ? `it came through a proxy (${proxy})`
    : !isLoopbackHost(request.headers["host"] ?? "")
    ? `${request.headers["host"] ?? "no host"} is not a name of this machine`
    : undefined
  return why === undefined
    ? Effect.void
    : Effect.fail(
      new Forbidden({
        reason: "NotLoopback",
        detail: `without authorisation only this machine may ask, and ${why}: mount the API with an Auth`
      })
    )
}

/** Whether a change was asked for by the page itself, or by a program that says so. */
export const fromOwnPage = (request: Request, origins: ReadonlyArray<string>): Effect.Effect<void, Forbidden> => {
  const { headers } = request
  if (headers[changeHeader] === undefined) {
    return Effect.fail(
      new Forbidden({ reason: "HeaderMissing", detail: `a change has the header ${changeHeader}: 1` })
    )
  }
  const origin = headers["origin"]
  const site = headers["sec-fetch-site"]
  const isOwn = origin !== undefined && (site === undefined || site === "same-origin" || site === "none") &&
    (hostOf(origin) === headers["host"]?.toLowerCase() || origins.includes(origin))
  return isOwn ? Effect.void : Effect.fail(
    new Forbidden({
      reason: "CrossOrigin",
      detail: `a change comes from the page's own origin, not from ${origin ?? "one that is not named"}: ` +
        `send the header origin, or name it in the option origins`
    })
  )
}

/** With the port, as `Host` has it. */
const hostOf = (origin: string): string | undefined => {
  const url = URL.parse(origin)
  return url === null || (url.protocol !== "http:" && url.protocol !== "https:") ? undefined : url.host
}
