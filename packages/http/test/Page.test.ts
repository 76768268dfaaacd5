/** A page beside the API: what it is answered with, under which path, and to whom. */
import { Auth, Page } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer, get } from "node:http"
import { gzipSync } from "node:zlib"
import { everybody } from "./harness.ts"

const script = new TextEncoder().encode("console.log(1)")
const files = new Map<string, Page.File>([
  ["assets/page-1a2b.js", {
    type: "text/javascript; charset=utf-8",
    body: script,
    gzip: new Uint8Array(gzipSync(script)),
    isImmutable: true
  }],
  ["icon.svg", { type: "image/svg+xml", body: new TextEncoder().encode("<svg/>"), isImmutable: false }]
])
const index = "<!doctype html><html><head><title>t</title></head></html>"

const serve = (prefix: `/${string}`, auth: Layer.Layer<Auth.Auth> = everybody(), host = "127.0.0.1") =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      HttpRouter.serve(Page.layer({ prefix, files, index }), { disableListenLog: true, disableLogger: true }).pipe(
        Layer.provideMerge(
          Layer.orDie(NodeHttpServer.layer(createServer, { port: 0, host, gracefulShutdownTimeout: 0 }))
        ),
        Layer.provide(auth)
      )
    )
    const base = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
    return Object.assign(
      (path: string, headers: Record<string, string> = {}) =>
        Effect.promise(async () => {
          const response = await fetch(`${base}${path}`, { headers })
          return { status: response.status, headers: response.headers, text: await response.text() }
        }),
      {
        /** With a path and a host as they are: `fetch` makes others of them, or none. */
        status: (path: string, host: string) =>
          Effect.callback<number | undefined>((resume) => {
            get(base, { path, headers: { host }, agent: false }, (response) => {
              response.resume()
              response.on("end", () => resume(Effect.succeed(response.statusCode)))
            })
          })
      }
    )
  })

describe("a page", () => {
  it.live.each(["/ops/jobs", "/"] as const)(
    "is where it is mounted, and knows it (%s)",
    (prefix) =>
      Effect.gen(function*() {
        const ask = yield* serve(prefix)
        const below = prefix === "/" ? "" : prefix
        for (const path of [prefix, `${below}/`, `${below}/records`, `${below}/records/a?b=c.d`]) {
          const { headers, status, text } = yield* ask(path)
          assert.strictEqual(status, 200, path)
          assert.include(text, `<head><base href="${below}/">`)
          assert.strictEqual(headers.get("content-type"), "text/html; charset=utf-8")
          assert.strictEqual(headers.get("cache-control"), "no-cache")
        }
        assert.strictEqual((yield* ask(`${below}/assets/page-1a2b.js`)).text, "console.log(1)")
        if (prefix !== "/") assert.strictEqual((yield* ask("/elsewhere")).status, 404)
      }).pipe(Effect.scoped)
  )

  it.live("may run its own scripts and nothing inline, and is not framed", () =>
    Effect.gen(function*() {
      const ask = yield* serve("/ops")
      for (const path of ["/ops", "/ops/assets/page-1a2b.js", "/ops/assets/none.js"]) {
        const { headers } = yield* ask(path)
        const policy = headers.get("content-security-policy")!
        assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self';.*frame-ancestors 'none'/)
        assert.notMatch(policy, /unsafe|\*|https?:/)
        assert.strictEqual(headers.get("x-content-type-options"), "nosniff")
        assert.strictEqual(headers.get("x-frame-options"), "DENY")
        assert.strictEqual(headers.get("referrer-policy"), "no-referrer")
      }
    }).pipe(Effect.scoped))

  it.live("is kept by the browser where its name changes with its content, and only there", () =>
    Effect.gen(function*() {
      const ask = yield* serve("/ops")
      const { headers } = yield* ask("/ops/assets/page-1a2b.js")
      assert.strictEqual(headers.get("cache-control"), "public, max-age=31536000, immutable")
      assert.strictEqual((yield* ask("/ops/icon.svg")).headers.get("cache-control"), "no-cache")
    }).pipe(Effect.scoped))

  it.live("comes compressed to who takes it", () =>
    Effect.gen(function*() {
      const ask = yield* serve("/ops")
      const path = "/ops/assets/page-1a2b.js"
      const compressed = yield* ask(path, { "accept-encoding": "br, gzip" })
      assert.strictEqual(compressed.headers.get("content-encoding"), "gzip")
      assert.strictEqual(compressed.text, "console.log(1)")
      const plain = yield* ask(path, { "accept-encoding": "identity" })
      assert.isNull(plain.headers.get("content-encoding"))
      assert.strictEqual(plain.text, "console.log(1)")
      for (const { headers } of [compressed, plain]) assert.strictEqual(headers.get("vary"), "accept-encoding")
    }).pipe(Effect.scoped))

  it.live("answers 404 for a file that is none, and leads out of itself nowhere", () =>
    Effect.gen(function*() {
      const ask = yield* serve("/ops")
      for (const path of ["/ops/assets/none", "/ops/none.js", "/ops/..%2f..%2fpackage.json"]) {
        assert.strictEqual((yield* ask(path)).status, 404, path)
      }
    }).pipe(Effect.scoped))

  it.live.each(["/", "/ops"] as const)(
    "has an answer where the address of a request is none (%s)",
    (prefix) =>
      Effect.gen(function*() {
        const { status } = yield* serve(prefix)
        const below = prefix === "/" ? "" : prefix
        for (
          const [path, host] of [
            // The whole address is what follows the host: the one that is named there, or the header.
            [`http://a:b${below}/records`, "localhost"],
            [`${below}/records`, "["],
            [`${below}/records`, "a:b"],
            [`${below}//`, "localhost"]
          ] as const
        ) {
          assert.strictEqual(yield* status(path, host), 200, `${path} of ${host}`)
        }
      }).pipe(Effect.scoped)
  )

  it.live("is for this machine alone without authorisation", () =>
    Effect.gen(function*() {
      const ask = yield* serve("/ops", Auth.none)
      assert.strictEqual((yield* ask("/ops")).status, 200)
      const refused = yield* ask("/ops", { "x-forwarded-for": "203.0.113.9" })
      assert.strictEqual(refused.status, 403)
      assert.notInclude(refused.text, "<html>")
      assert.isTrue(Exit.isFailure(yield* Effect.exit(serve("/ops", Auth.none, "0.0.0.0"))))
    }).pipe(Effect.scoped))

  it("whose prefix is no path, or that has no head, is refused at construction", () => {
    assert.throws(() => Page.layer({ prefix: "/a b", files, index }), /the prefix of a page is a path/)
    assert.throws(() => Page.layer({ prefix: "/a\"><script>", files, index }), /the prefix of a page is a path/)
    assert.throws(() => Page.layer({ prefix: "/a", files, index: "<html></html>" }), /has a <head>/)
  })
})
