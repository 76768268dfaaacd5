/** What others put into a record is shown as text, stays in its place, and does not stop the page. */
import { Dashboard } from "@capstan/dashboard"
import { Auth } from "@capstan/http"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { Job, JobContext, JobGroup, Jobs, JobSchedules, JobStore, JobWorker } from "capstan"
import { Context, Effect, Exit, Layer, Logger, Schema, Scope } from "effect"
import { HttpRouter, HttpServer } from "effect/http"
import { createServer } from "node:http"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { accessible, closeBrowser, look, type Page, type World } from "../../browser/harness.ts"

class Hostile extends Schema.TaggedError<Hostile>()("<b onclick=hit()>Hostile</b>", { text: Schema.String }) {
  override get message() {
    return this.text
  }
}

class Anything extends Job.make("Anything", {
  payload: { name: Schema.String, value: Schema.Unknown },
  error: Hostile,
  queue: "anything",
  maxAttempts: 1,
  maxPayloadBytes: 16 * 1024 * 1024
}) {}

const markup =
  "<script>hit()</script><img src=x onerror=hit()><svg onload=hit()>\"><iframe srcdoc='<script>parent.hit()</script>'>"
const turned = "\u202Egnp.exe\u202C \u2067abc\u2069 \u200Bhidden\uFEFF"

const nested = (depth: number): unknown => {
  let value: unknown = "the end"
  for (let i = 0; i < depth; i++) value = i % 2 === 0 ? [value] : { [`level ${i}`]: value }
  return value
}

const payloads: Readonly<Record<string, unknown>> = {
  markup: { [markup]: markup, link: "javascript:hit()", style: "</style><style>*{display:none}" },
  turned: { [turned]: turned },
  nul: { text: "before\u0000after", controls: "\u0001\u001b[31mred\u0007\r\nline" },
  deep: nested(3000),
  wide: Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`key ${i}`, i])),
  proto: JSON.parse("{\"__proto__\":{\"polluted\":true},\"constructor\":{\"prototype\":{\"polluted\":true}}}"),
  large: { list: Array.from({ length: 50_000 }, (_, i) => ({ i, text: "x".repeat(80) })) },
  long: { text: "word ".repeat(200_000) },
  numbers: { big: 2 ** 70, tiny: 1e-300, negative: -0 },
  emoji: { family: "👨‍👩‍👧‍👦", half: "\ud83d" }
}

let world: Pick<World, "url">
let close: () => Promise<void>
const ids = new Map<string, string>()

beforeAll(async () => {
  const scope = Effect.runSync(Scope.make())
  const worker = JobWorker.layer(JobGroup.make(Anything), { shutdownGrace: 0 }).pipe(
    Layer.provide(Anything.toLayer(({ name }) =>
      Effect.gen(function*() {
        const { log } = yield* JobContext.JobContext
        yield* log(`${markup} ${turned}`)
        if (name === "markup") return yield* new Hostile({ text: `${markup} ${turned}` })
      })
    ))
  )
  const context = await Effect.runPromise(Layer.buildWithScope(
    HttpRouter.serve(Dashboard.layer({ prefix: "/ops" }), { disableListenLog: true, disableLogger: true }).pipe(
      Layer.provideMerge(
        NodeHttpServer.layer(createServer, { port: 0, host: "127.0.0.1", gracefulShutdownTimeout: 0 })
      ),
      Layer.provide(Auth.none),
      Layer.provideMerge(worker),
      Layer.provideMerge(Layer.merge(Jobs.layer, JobSchedules.layer)),
      Layer.provideMerge(JobStore.layerMemory()),
      Layer.provide(Logger.layer([]))
    ),
    scope
  ))
  world = { url: `${HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)}/ops` }
  close = () => Effect.runPromise(Scope.close(scope, Exit.void))
  for (const [name, value] of Object.entries(payloads)) {
    const handle = await Effect.runPromise(
      Effect.provide(Anything.enqueue({ name, value }, { tags: [markup.slice(0, 60), name] }), context)
    )
    ids.set(name, handle.id)
    await Effect.runPromise(Effect.exit(Effect.provide(handle.await, context)))
  }
})

afterAll(async () => {
  await closeBrowser()
  await close()
})

/** Opens a page on which `hit()` would be noticed. */
const at = async (path: string) => {
  const looked = await look(world as World, path)
  await looked.page.evaluate(() => {
    Object.assign(window, { hits: 0, hit: () => Object.assign(window, { hits: 1 }) })
  })
  return looked
}

/** Whether anything of it ran, and how long the page takes for a turn of its own. */
const isUnharmed = async (page: Page) => {
  assert.strictEqual(await page.evaluate(() => (window as any).hits), 0)
  assert.strictEqual(
    await page.locator("main script, main iframe, main img[onerror], main [onclick], main [onload]").count(),
    0
  )
  assert.isUndefined(await page.evaluate(() => ({} as any).polluted))
  const turn = await page.evaluate(() =>
    new Promise<number>((resolve) => {
      const start = performance.now()
      requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)))
    })
  )
  assert.isBelow(turn, 2000)
}

describe("a record whose payload is hostile", () => {
  it.each(Object.keys(payloads))("%s", async (name) => {
    const { close, complaints, page } = await at(`/records/${ids.get(name)}`)
    await page.getByRole("heading", { name: "Payload" }).waitFor()
    await isUnharmed(page)
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.isAtMost(width, 1360)
    assert.deepStrictEqual(complaints, [])
    await close()
  })

  it("shows its error, its log and its tags as text", async () => {
    const { close, page } = await at(`/records/${ids.get("markup")}`)
    await page.getByText("<b onclick=hit()>Hostile</b>").first().waitFor()
    const text = await page.locator("main").innerText()
    assert.include(text, markup)
    assert.include(text, "\\u202egnp.exe")
    assert.notMatch(text, /[\p{Cf}\0]/u)
    await isUnharmed(page)
    await accessible(page, "hostile")
    await close()
  })
})

it("five megabytes are cut by the server, and shown when they are asked for", async () => {
  const { close, page } = await at(`/records/${ids.get("large")}`)
  const sent: Array<number> = []
  page.on("response", async (response) => {
    if (response.url().includes("/records/")) sent.push((await response.body().catch(() => Buffer.alloc(0))).length)
  })
  await page.getByText(/The first 65,536 of [\d,]+ characters/).waitFor()
  await page.reload()
  await page.getByText(/The first 65,536 of [\d,]+ characters/).waitFor()
  assert.isBelow(Math.max(...sent), 200_000)
  await page.getByRole("button", { name: "Load all" }).first().click()
  await page.getByRole("button", { name: "49,900 more" }).waitFor({ timeout: 20_000 })
  await page.evaluate(() => Object.assign(window, { hits: 0 }))
  await isUnharmed(page)
  await close()
})

it("a list of them is a list like any other", async () => {
  for (const path of ["/records", "/dead", "/errors", "/", "/jobs"]) {
    const { close, complaints, page } = await at(path)
    await page.getByText(path === "/dead" || path === "/errors" ? "Hostile" : /Anything|anything/).first().waitFor()
    await isUnharmed(page)
    assert.deepStrictEqual(complaints, [])
    await close()
  }
})
