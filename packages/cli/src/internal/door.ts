/**
 * Who gets in to the dashboard: whoever has the address that was printed, once, and then the browser that used it.
 *
 * The door stands before every route, those that are not there included. What it lets through, `Auth` asks again.
 */
import * as Console from "effect/Console"
import * as Mac from "effect/crypto/Mac"
import * as SecureRandom from "effect/crypto/SecureRandom"
import * as Effect from "effect/Effect"
import * as Base64Url from "effect/encoding/Base64Url"
import * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"

type Request = HttpServerRequest.HttpServerRequest

/** 256 bits: nobody guesses that, also not as fast as loopback answers. */
const secretBytes = 32

/** So many wrong tokens are no slip of a hand. */
const mostWrong = 10

/** Why nobody is let in, and what to do, as every refusal says it. */
export const notSignedIn =
  "not signed in: `capstan dashboard` has printed an address, in the terminal where it runs, " +
  "that opens the dashboard once. If it was used, end it there with Ctrl-C and start it again for a new one"

export interface Door {
  readonly token: string
  /** Whether the request comes from the browser that used the token. */
  readonly isIn: (request: Request) => boolean
  /** Answers in place of every route, unless who asks may come to it. */
  readonly guard: <E, R>(
    route: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
  ) => Effect.Effect<HttpServerResponse.HttpServerResponse, E, R | HttpServerRequest.HttpServerRequest>
}

/**
 * `name` tells two dashboards apart in one browser, which sends the cookies of a host to all its ports. `page` is where
 * one is sent who gets in; what is below `api` is answered as the API does.
 */
export const make = (
  { api, name, page }: { readonly name: string; readonly page: string; readonly api: string }
): Effect.Effect<Door> =>
  Effect.gen(function*() {
    const { randomBytes } = yield* SecureRandom.SecureRandom
    const token = Base64Url.encode(yield* randomBytes(secretBytes))
    const session = Base64Url.encode(yield* randomBytes(secretBytes))
    let isUsed = false
    let wrong = 0

    const isIn = (request: Request): boolean => isUsed && isSame(request.cookies[name] ?? "", session)

    const toPage = answer(HttpServerResponse.empty({ status: 303, headers: { location: page } }))

    const login = (request: Request, given: string) =>
      Effect.gen(function*() {
        // Another site can make a browser come here: it neither gets in nor uses the attempts up.
        if (!["none", "same-origin"].includes(request.headers["sec-fetch-site"] ?? "none")) {
          return refusal(403, "another page has opened this address: copy it from the terminal into the address bar")
        }
        if (wrong >= mostWrong) return refusal(403, tooMany)
        if (isUsed) return refusal(403, used)
        if (!isSame(given, token)) {
          wrong++
          if (wrong === mostWrong) yield* Console.error(tooMany)
          return refusal(401, `this is not the token. ${notSignedIn}`)
        }
        isUsed = true
        return HttpServerResponse.setCookieUnsafe(toPage, name, session, {
          httpOnly: true,
          sameSite: "strict",
          path: "/"
        })
      })

    const guard: Door["guard"] = (route) =>
      Effect.gen(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        if (!isLoopbackHost(request.headers["host"] ?? "")) {
          return refusal(403, `${request.headers["host"] ?? "no host"} is not a name of this machine`)
        }
        const url = URL.parse(request.originalUrl, "http://localhost")
        const path = url?.pathname ?? ""
        const given = path === "/login" && request.method === "GET" ? url?.searchParams.get("token") : undefined
        if (isIn(request)) return path === "/" || path === "/login" ? toPage : yield* route
        if (typeof given === "string") return yield* login(request, given)
        return path.startsWith(`${api}/`)
          ? answer(HttpServerResponse.jsonUnsafe({ _tag: "Unauthorized", detail: notSignedIn }, { status: 401 }))
          : refusal(401, notSignedIn)
      })

    return { token, isIn, guard }
  }).pipe(Effect.provide(SecureRandom.layerWebCrypto))

const used =
  "this address was used already, and it opens the dashboard once. In the terminal, end `capstan dashboard` " +
  "with Ctrl-C and start it again for a new one"

const tooMany = `${mostWrong} wrong tokens were sent, so nobody gets in any more. In the terminal, end ` +
  "`capstan dashboard` with Ctrl-C and start it again"

const text = new TextEncoder()

const isSame = (a: string, b: string): boolean => Mac.timingSafeEqual(text.encode(a), text.encode(b))

/** Without its port: a tunnel has another one at its other end. A name that somebody may point to this machine is none. */
const isLoopbackHost = (host: string): boolean =>
  /^(localhost|127\.\d{1,3}\.\d{1,3}\.\d{1,3}|\[::1\])(:\d+)?$/i.test(host)

const refusal = (status: number, why: string) => answer(HttpServerResponse.text(`${why}\n`, { status }))

/** No cache keeps it, no page frames it, and the token goes nowhere else. */
const answer = HttpServerResponse.setHeaders({
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
  "cross-origin-resource-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY"
})
