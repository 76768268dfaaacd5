/** How long was waited and run: on the overview and on the page of metrics, over a real store. */
import { Effect } from "effect"
import { afterAll, assert, beforeAll, it } from "vitest"
import { accessible, Charge, closeBrowser, look, Mail, serve, type World } from "../../browser/harness.ts"

let world: World
let stop: () => Promise<void>

beforeAll(async () => {
  world = await serve()
  stop = await world.work()
  // It listens from now on: what comes after is counted.
  const { close, page } = await look(world, "/")
  await page.getByText("Nothing has been enqueued yet").waitFor()
  await world.run(Effect.gen(function*() {
    const all = yield* Charge.enqueueMany(Array.from({ length: 40 }, (_, i) => ({ order: `${i}`, amount: 1 })))
    yield* Effect.forEach(all, ({ id }) => Charge.handle(id).await)
  }))
  await page.getByText("40 records").waitFor()
  await close()
})
afterAll(async () => {
  await stop()
  await closeBrowser()
  await world.close()
})

it("the overview says what 95 of 100 waited and ran at most", async () => {
  const { close, complaints, page } = await look(world, "/")
  for (const name of ["Wait, p95", "Run, p95"]) {
    const card = page.getByRole("term").filter({ hasText: name }).locator("..")
    await card.getByText(/^\d[\d.]* (ms|s)$/).waitFor({ timeout: 20_000 })
    await card.getByRole("img", { name: `${name}, the last quarter of an hour` }).waitFor()
  }
  assert.deepStrictEqual(complaints, [])
  await close()
})

it("metrics are of a queue or of all, of an hour or more, and the address says which", async () => {
  const { close, complaints, page } = await look(world, "/metrics")
  const wait = page.getByRole("region", { name: "Wait, p95" })
  await wait.getByText(/p50 .* · p95 .* · p99 .* · of 40$/).waitFor({ timeout: 20_000 })
  await page.getByRole("region", { name: "Store round trip, p95" }).getByText(/of \d+$/).waitFor()
  await page.getByText("Of the hour before it knows nothing").waitFor()
  await accessible(page, "metrics")

  await world.run(Effect.asVoid(Mail.enqueue({ to: "a", body: 1 })))
  await page.getByLabel("Queue", { exact: true }).selectOption("mail")
  await page.waitForURL(/queue=mail/)
  await wait.getByText(/ · of 1$/).waitFor({ timeout: 20_000 })
  await page.getByLabel("How much is shown").selectOption("6h")
  await page.getByLabel("Compared with").selectOption("yesterday")
  await page.waitForURL(/span=6h/)
  await page.getByText("Of the same time yesterday it knows nothing").waitFor()
  const again = await look(world, new URL(page.url()).pathname.replace("/ops/jobs", "") + new URL(page.url()).search)
  await again.page.getByRole("region", { name: "Wait, p95" }).getByText(/ · of 1$/).waitFor({ timeout: 20_000 })
  assert.strictEqual(await again.page.getByLabel("Queue", { exact: true }).inputValue(), "mail")
  assert.deepStrictEqual([...complaints, ...again.complaints], [])
  await again.close()
  await close()
}, 60_000)

it("what is compared is said: by how much, with what, and which way is worse", async () => {
  const { close, page } = await look(world, "/")
  // What two hours have been like is the server's to say: it is too young for that.
  const figures = (p95: number, completed: number) => ({
    completed,
    failed: 0,
    run: { count: completed, p50: p95 / 2, p95, p99: p95 },
    ready: 1,
    running: 1,
    isAtLeast: false
  })
  await page.route("**/api/history?*", (route) => {
    const query = new URL(route.request().url()).searchParams
    const [from, before] = [Number(query.get("from")), Number(query.get("before"))]
    const isNow = before > Date.now()
    const of = isNow ? figures(300, 60) : figures(100, 60)
    return route.fulfill({
      json: { from, before, since: from - 7_200_000, every: 60_000, total: of, parts: [{ at: from, ...of }] }
    })
  })
  await page.goto(`${world.url}/metrics`)
  const run = page.getByRole("region", { name: "Run, p95" })
  await run.getByText("300 ms", { exact: true }).first().waitFor()
  await run.getByText("+200 %").waitFor()
  await run.getByText("100 ms the hour before").waitFor()
  await page.getByRole("region", { name: "Completed a minute" }).getByText("+0 %").waitFor()
  await accessible(page, "compared")
  await close()
})
