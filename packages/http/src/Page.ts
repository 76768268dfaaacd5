/**
 * Serves a page that was built into files, beside the API that it speaks to.
 *
 * Every answer has a policy that runs the page's own scripts and nothing inline. The page has no data of its own, so it
 * asks for no authorisation; what it shows it asks the API for, which does. With `Auth.none` it is for this machine alone.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as HttpRouter from "effect/http/HttpRouter"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import { Auth } from "./Auth.ts"
import { pageHeaders, prefixOf, refuseOpenServer, secured, under } from "./internal/mount.ts"
import { fromLoopback } from "./internal/origin.ts"

/**
 * A file of the page.
 *
 * @category models
 * @since 0.1.0
 */
export interface File {
  /** As `Content-Type` has it. */
  readonly type: string
  readonly body: Uint8Array<ArrayBuffer>
  /** The same compressed, for who takes it. */
  readonly gzip?: Uint8Array<ArrayBuffer> | undefined
  /** Whether its name changes with its content, so that a browser need not ask again. */
  readonly isImmutable: boolean
}

/**
 * What is served, and where.
 *
 * @category models
 * @since 0.1.0
 */
export interface Options {
  /** The path that the page is under, as in `/ops/jobs`. */
  readonly prefix: `/${string}`
  /** By their path below the prefix, as in `assets/page.js`. */
  readonly files: ReadonlyMap<string, File>
  /**
   * The HTML of every other path that is no file's: the page reads from the address what it shows. It gets
   * `<base href="/ops/jobs/">` as the first thing in its head, so the links in it are relative.
   */
  readonly index: string
}

/**
 * The routes.
 *
 * **Details**
 *
 * A file whose name changes with its content may be kept for a year; the page itself is asked for again each time. What is
 * below `assets/`, or looks like a file, and is none, is answered with 404.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = ({ files, index, ...options }: Options): Layer.Layer<
  never,
  never,
  HttpRouter.HttpRouter | Auth
> => {
  const prefix = prefixOf(options.prefix, "a page")
  if (!index.includes("<head>")) throw new Error("the index of a page has a <head>")
  const page = index.replace("<head>", `<head><base href="${prefix}/">`)
  const answer = (request: HttpServerRequest.HttpServerRequest): HttpServerResponse.HttpServerResponse => {
    const path = pathOf(request).slice(prefix.length + 1)
    const file = files.get(path)
    if (file !== undefined) return send(file, request)
    if (path.startsWith("assets/") || /\.\w+$/.test(path)) {
      return HttpServerResponse.text("there is no such file", { status: 404, headers: { "cache-control": "no-store" } })
    }
    return HttpServerResponse.text(page, {
      contentType: "text/html; charset=utf-8",
      headers: { "cache-control": "no-cache" }
    })
  }
  const routes = HttpRouter.use((router) =>
    Effect.gen(function*() {
      const { loopbackOnly } = yield* Auth
      const handle = (request: HttpServerRequest.HttpServerRequest) =>
        (loopbackOnly ? fromLoopback(request) : Effect.void).pipe(
          Effect.as(request),
          Effect.map(answer),
          Effect.catch(({ message }) => Effect.succeed(HttpServerResponse.text(message, { status: 403 })))
        )
      yield* router.add("GET", "/*", handle)
    })
  ).pipe(Layer.provide(secured(pageHeaders)), Layer.provide(under(prefix)))
  return Layer.provide(routes, Layer.effectDiscard(refuseOpenServer))
}

/** As it was asked for, below whatever the router was mounted in. A `Host` that is none makes an address that is none. */
const pathOf = ({ originalUrl }: HttpServerRequest.HttpServerRequest): string =>
  URL.parse(originalUrl, "http://localhost")?.pathname ?? ""

const send = (file: File, request: HttpServerRequest.HttpServerRequest): HttpServerResponse.HttpServerResponse => {
  const isCompressed = file.gzip !== undefined && /\bgzip\b/.test(request.headers["accept-encoding"] ?? "")
  return HttpServerResponse.uint8Array(isCompressed ? file.gzip! : file.body, {
    contentType: file.type,
    headers: {
      "cache-control": file.isImmutable ? "public, max-age=31536000, immutable" : "no-cache",
      ...file.gzip === undefined ? {} : { vary: "accept-encoding" },
      ...isCompressed ? { "content-encoding": "gzip" } : {}
    }
  })
}
