/** Where routes are put, and what an answer bears so that a browser neither frames, sniffs nor runs it. */
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import * as HttpRouter from "effect/http/HttpRouter"
import * as HttpServer from "effect/http/HttpServer"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Auth } from "../Auth.ts"
import { isLoopbackAddress } from "./origin.ts"

/** Without a slash at its end. What is no path throws. */
export const prefixOf = (prefix: string, what: string): string => {
  if (!/^(\/[\w.~-]+)+\/?$|^\/$/.test(prefix)) {
    throw new Error(`the prefix of ${what} is a path such as /ops/jobs, it is ${JSON.stringify(prefix)}`)
  }
  return prefix.replace(/\/$/, "")
}

/** A router that puts everything under the prefix. */
export const under = (prefix: string) =>
  Layer.effect(
    HttpRouter.HttpRouter,
    Effect.map(HttpRouter.HttpRouter, (router) => prefix === "" ? router : router.prefixed(prefix))
  )

/** On every answer, of data and of the page. */
const always = {
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
}

/** What is data only is neither framed, run nor kept. */
export const dataHeaders = {
  ...always,
  "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
  // Else a proxy holds events back until it has enough of them.
  "x-accel-buffering": "no",
  "cache-control": "no-store"
}

/** A page of the application whose URL is a secret: nobody keeps it, frames it, or is told it as the one before. */
export const linkHeaders = { ...always, "cache-control": "no-store" }

/** A page runs the scripts of its own origin and speaks to that alone; nothing inline, nothing evaluated. */
export const pageHeaders = {
  ...always,
  "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
    "connect-src 'self'; base-uri 'self'; form-action 'none'; frame-ancestors 'none'"
}

/** On what is sent, whoever made it: a defect's answer too. */
export const secured = (headers: Readonly<Record<string, string>>) =>
  HttpRouter.middleware(
    HttpEffect.withPreResponseHandler((_, response) => Effect.succeed(HttpServerResponse.setHeaders(response, headers)))
  ).layer

/** What listens for everybody must know who asks. */
export const refuseOpenServer = Effect.gen(function*() {
  const { loopbackOnly } = yield* Auth
  const server = Option.getOrUndefined(yield* Effect.serviceOption(HttpServer.HttpServer))
  if (!loopbackOnly || server === undefined) return
  const address = HttpServer.formatAddress(server.address)
  const host = URL.parse(address)?.hostname.replace(/^\[(.*)\]$/, "$1")
  if (host !== undefined && host !== "" && !isLoopbackAddress(host)) {
    return yield* Effect.die(
      new Error(
        `Auth.none is for loopback only, and the server listens on ${address}: let it listen on 127.0.0.1, or give an Auth`
      )
    )
  }
})
