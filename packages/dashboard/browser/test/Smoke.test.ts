/** What ships, in a real browser: every page opens and shows what it is for, live, and one thing is done. What CI runs. */
import { Effect } from "effect"
import { afterAll, assert, beforeAll, it } from "vitest"
import { accessible, closeBrowser, filled, look, Mail, pagesOf, serve, type World } from "../harness.ts"

let world: World
let ids: Awaited<ReturnType<typeof filled>>

beforeAll(async () => {
  world = await serve()
  ids = await filled(world)
})
afterAll(async () => {
  await closeBrowser()
  await world.close()
})

it("every page shows what it is for, keeps the policy, gets what it asks for, and is accessible", async () => {
  const { close, complaints, page, refused } = await look(world, "/", { colorScheme: "dark" })
  for (const [path, shows] of pagesOf(ids)) {
    await page.goto(`${world.url}${path}`)
    await page.getByText(shows).locator("visible=true").first().waitFor()
    await accessible(page, path)
    assert.deepStrictEqual([...complaints, ...refused], [], path)
  }
  await close()
}, 180_000)

it("the page opens, is told what happens, and cancels what is selected", async () => {
  const { close, complaints, page } = await look(world, "/")
  await page.getByText("Needs attention").waitFor()
  await page.getByRole("link", { name: "Records", exact: true }).click()
  await page.getByText("user29@example.com").waitFor()
  await world.run(Effect.asVoid(Mail.enqueue({ to: "new@example.com", body: 1 })))
  await page.getByText("new@example.com").waitFor()
  await page.keyboard.press("j")
  await page.keyboard.press("x")
  await page.getByText("1 record selected").waitFor()
  await page.getByRole("button", { name: "Cancel", exact: true }).click()
  await page.getByRole("button", { name: "Cancel 1", exact: true }).click()
  await page.getByText("1 record cancelled").waitFor()
  assert.deepStrictEqual(complaints, [])
  await close()
})

it("the first load is below 150 kB of JavaScript, and nothing comes from elsewhere", async () => {
  const { close, complaints, page } = await look(world, "/")
  await page.getByText("Needs attention").waitFor()
  const loaded = await page.evaluate(() =>
    (performance.getEntriesByType("resource") as Array<PerformanceResourceTiming>).map(({ encodedBodySize, name }) => ({
      name,
      encodedBodySize
    }))
  )
  const scripts = loaded.filter(({ name }) => name.endsWith(".js"))
  const bytes = scripts.reduce((sum, { encodedBodySize }) => sum + encodedBodySize, 0)
  assert.isAbove(bytes, 10_000)
  assert.isBelow(bytes, 150_000)
  assert.deepStrictEqual([...new Set(loaded.map(({ name }) => new URL(name).host))], [new URL(world.url).host])
  assert.deepStrictEqual(complaints, [])
  await close()
})
