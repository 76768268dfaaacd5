/** The recipes of docs/frameworks.md: each is asked what a page asks, by real HTTP. */
import { Effect } from "effect"
import assert from "node:assert/strict"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { serve } from "./client/index.ts"
import * as Express from "./express.ts"
import * as Fastify from "./fastify.ts"
import * as Hono from "./hono.ts"
import { Greet, runtime } from "./jobs.ts"
import { startNext } from "./nextServer.ts"

type Ask = (path: string, init?: RequestInit) => Promise<Response>

const session = { cookie: "session=of-olivia" }

/** What a page of the application asks of the API. */
const asksApi = async (ask: Ask, origin: string) => {
  assert.equal((await ask("/capstan/api/stats")).status, 401)
  const stats = await ask("/capstan/api/stats", { headers: session })
  assert.equal(stats.status, 200)
  assert.equal(stats.headers.get("x-frame-options"), "DENY")
  assert.ok(Array.isArray((await stats.json()).queues))

  const pause = (headers: Readonly<Record<string, string>>) =>
    ask("/capstan/api/queues/mail/pause", { method: "POST", headers: { ...session, ...headers } })
  assert.equal((await pause({})).status, 403)
  assert.equal((await pause({ origin: "https://elsewhere.example", "x-capstan-request": "1" })).status, 403)
  assert.equal((await pause({ origin, "x-capstan-request": "1" })).status, 200)
  const resumed = await ask("/capstan/api/queues/mail/resume", {
    method: "POST",
    headers: { ...session, origin, "x-capstan-request": "1" }
  })
  assert.deepEqual(await resumed.json(), { changed: true })

  const retried = await ask("/capstan/api/records/retry", {
    method: "POST",
    headers: { ...session, origin, "x-capstan-request": "1", "content-type": "application/json" },
    body: JSON.stringify({ where: { tag: "Greet", states: ["dead"] } })
  })
  assert.equal((await retried.json()).changed, 0)

  // As it happens, not when it ends.
  const events = await ask("/capstan/api/events", { headers: session })
  const reader = events.body!.getReader()
  assert.match(new TextDecoder().decode((await reader.read()).value), /^(retry|event|id|:)/)
  await reader.cancel()
}

/** What the application's own routes do beside it. */
const asksApplication = async (ask: Ask, name: string) => {
  const accepted = await ask("/greet", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name })
  })
  assert.equal(accepted.status, 202)
  const { id } = await accepted.json()
  assert.equal(await runtime.runPromise(Effect.timeout(Greet.handle(id).await, "10 seconds")), `hello ${name}`)
  assert.equal((await ask("/nothing")).status, 404)
}

const overHttp = async (name: string, origin: string) => {
  const ask: Ask = (path, init) => fetch(`${origin}${path}`, init)
  await asksApi(ask, origin)
  await asksApplication(ask, name)
  console.log(`${name}: the API and the application's own routes answer`)
}

const originOf = (address: AddressInfo | string | null) => `http://127.0.0.1:${(address as AddressInfo).port}`

const express = createServer(Express.app)
await new Promise<void>((listening) => express.listen(0, "127.0.0.1", listening))
await overHttp("Express", originOf(express.address()))
express.closeAllConnections()
express.close()

await overHttp("Fastify", await Fastify.app.listen({ port: 0, host: "127.0.0.1" }))
Fastify.app.server.closeAllConnections()
await Fastify.app.close()

const hono = serve({ fetch: Hono.app.fetch, port: 0, hostname: "127.0.0.1" })
await new Promise((listening) => hono.once("listening", listening))
await overHttp("Hono", originOf(hono.address()))
if ("closeAllConnections" in hono) hono.closeAllConnections()
hono.close()

await runtime.dispose()

// A process of its own, with a store of its own: what became of a job is asked over HTTP, too.
const next = await startNext()
try {
  const ask: Ask = (path, init) => fetch(`${next.origin}${path}`, init)
  await asksApi(ask, next.origin)
  const accepted = await ask("/greet", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "Next.js" })
  })
  assert.equal(accepted.status, 202)
  const { id } = await accepted.json()
  const end = performance.now() + 10_000
  let record: { readonly state?: string; readonly result?: { readonly text: string } } = {}
  while (record.state !== "completed") {
    assert.ok(performance.now() < end, `the job that a route enqueued is ${record.state}`)
    record = await (await ask(`/capstan/api/records/${id}`, { headers: session })).json()
  }
  assert.match(record.result!.text, /hello Next\.js/)
  assert.equal((await ask("/nothing")).status, 404)
} finally {
  await next.stop()
}
console.log("Next.js: built and started; the API and the application's own routes answer")
