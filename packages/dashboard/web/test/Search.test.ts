/** A search by key and by worker, over a real store: which words lead to what, and that the list of workers leads there too. */
import { Effect } from "effect"
import { afterAll, assert, beforeAll, it } from "vitest"
import { accessible, closeBrowser, look, serve, Sync, type World } from "../../browser/harness.ts"

let world: World

beforeAll(async () => {
  world = await serve()
  await world.run(Sync.enqueueMany([{ account: "a" }, { account: "a" }, { account: "b" }]))
})
afterAll(async () => {
  await closeBrowser()
  await world.close()
})

it("a key leads to its records, whatever they wait for", async () => {
  const { records } = await world.run(world.jobs.query({}))
  const only = records.find(({ payload }) => payload.includes("\"b\""))!
  const key = only.concurrencyKey!
  const { close, complaints, page } = await look(world, "/records")
  const rows = page.getByRole("link", { name: "Sync" })
  await rows.nth(2).waitFor()
  const field = page.getByLabel("Search records")
  await field.fill(`key:${key}`)
  await field.press("Enter")
  await page.waitForURL(/key=/)
  await rows.nth(1).waitFor({ state: "detached" })
  assert.strictEqual((await rows.first().getAttribute("href"))!.slice(-36), only.id)
  await accessible(page, "of a key")
  await field.fill(`key:${key} state:dead`)
  await field.press("Enter")
  await page.getByText("No record matches").waitFor()
  assert.deepStrictEqual(complaints, [])
  await close()
})

it("a worker leads to what it runs", async () => {
  const store = await world.run(Effect.map(world.jobs.stats, ({ workers }) => workers))
  assert.deepStrictEqual(store, [])
  const stop = await world.work()
  const { close, complaints, page } = await look(world, "/workers")
  const link = page.getByRole("link", { name: /held by/ })
  await link.waitFor({ timeout: 20_000 })
  await accessible(page, "workers")
  await link.click()
  await page.waitForURL(/records\?worker=/)
  assert.match(await page.getByLabel("Search records").inputValue(), /^worker:\S+/)
  await page.getByText("No record matches").waitFor()
  assert.deepStrictEqual(complaints, [])
  await close()
  await stop()
})
