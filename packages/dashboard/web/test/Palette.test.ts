/** The palette: everywhere by the keys alone, and what is chosen is acted on. */
import { afterAll, afterEach, assert, beforeAll, it } from "vitest"
import {
  accessible,
  closeBrowser,
  filled,
  look,
  type Looked,
  type Page,
  serve,
  type World
} from "../../browser/harness.ts"

let world: World
let ids: Awaited<ReturnType<typeof filled>>
const looked: Array<Looked> = []

beforeAll(async () => {
  world = await serve()
  ids = await filled(world)
})
afterEach(async () => {
  const complaints = looked.flatMap(({ complaints }) => complaints)
  await Promise.all(looked.splice(0).map(({ close }) => close()))
  assert.deepStrictEqual(complaints, [])
})
afterAll(async () => {
  await closeBrowser()
  await world.close()
})

const at = async (path: string, options?: Parameters<typeof look>[2]) => {
  const one = await look(world, path, options)
  looked.push(one)
  return one.page
}

const opened = async (page: Page) => {
  await page.keyboard.press("Control+k")
  const field = page.getByRole("combobox", { name: "Command" })
  await field.and(page.locator(":focus")).waitFor()
  return field
}

const chosen = (page: Page) => page.getByRole("dialog").locator("[aria-selected=true]").innerText()

it("pauses a queue and lets it go on", async () => {
  const page = await at("/records")
  await page.getByText("user29@example.com").waitFor()
  const isPaused = async () => (await world.run(world.jobs.stats)).queues.find(({ queue }) => queue === "mail")?.paused
  await (await opened(page)).fill("pause mail")
  assert.include(await chosen(page), "Pause mail")
  await page.keyboard.press("Enter")
  await page.getByText("mail is paused").waitFor()
  assert.isTrue(await isPaused())
  await (await opened(page)).fill("resume mail")
  await page.keyboard.press("Enter")
  await page.getByText("mail goes on").waitFor()
  assert.isFalse(await isPaused())
})

it("has its letters from the first one on", async () => {
  const page = await at("/records")
  await page.getByText("user29@example.com").waitFor()
  await page.waitForFunction(() => performance.getEntriesByType("resource").some(({ name }) => /Palette/.test(name)))
})

it("leads to a page, a queue, a job and a record, from wherever one is", async () => {
  const page = await at("/")
  await page.getByText("Needs attention").waitFor()
  for (
    const [typed, url] of [
      ["sched", /\/schedules$/],
      ["billing", /\/queues\/billing$/],
      ["jobs charge", /\/records\?job=Charge$/],
      [ids.bad, new RegExp(`/records/${ids.bad}$`)],
      ["dead", /\/dead$/]
    ] as const
  ) {
    const field = await opened(page)
    await field.fill(typed)
    await page.keyboard.press("Enter")
    await page.waitForURL(url)
    await page.getByRole("dialog").waitFor({ state: "detached" })
  }
})

it("is worked with the arrow keys, keeps the focus, and gives it back", async () => {
  const page = await at("/queues")
  const link = page.getByRole("link", { name: "Queues", exact: true })
  await link.focus()
  const field = await opened(page)
  await accessible(page, "palette")
  assert.match(await chosen(page), /Overview/)
  await page.keyboard.press("ArrowDown")
  assert.match(await chosen(page), /Records/)
  assert.strictEqual(
    await field.getAttribute("aria-activedescendant"),
    await page.getByRole("dialog").locator("[aria-selected=true]").getAttribute("id")
  )
  await page.keyboard.press("ArrowUp")
  await page.keyboard.press("ArrowUp")
  assert.match(await chosen(page), /Show payloads/)
  await page.keyboard.press("Home")
  assert.match(await chosen(page), /Overview/)
  for (let i = 0; i < 3; i++) {
    await page.keyboard.press("Tab")
    assert.isTrue(
      await page.evaluate(() =>
        document.activeElement === document.body || document.activeElement?.closest("dialog") !== null
      )
    )
  }
  await field.fill("nothing is called so")
  await page.getByRole("status").getByText("Nothing is called so").waitFor()
  await page.keyboard.press("Escape")
  await page.getByRole("dialog").waitFor({ state: "detached" })
  await link.and(page.locator(":focus")).waitFor()
})

it("acts on what is selected, with the count before", async () => {
  const page = await at("/records?queue=mail&state=ready")
  await page.getByText("user0@example.com").waitFor()
  await opened(page)
  assert.strictEqual(await page.getByRole("group", { name: "Actions" }).count(), 0)
  await page.keyboard.press("Escape")
  for (const key of ["j", "x", "j", "x"]) await page.keyboard.press(key)
  await page.getByText("2 records selected").waitFor()
  const field = await opened(page)
  await field.fill("cancel")
  await page.keyboard.press("Enter")
  await page.getByRole("dialog").getByText("2 records", { exact: true }).waitFor()
  await page.getByRole("button", { name: "Cancel 2", exact: true }).click()
  await page.getByText("2 records cancelled").waitFor()
  const { records } = await world.run(world.jobs.query({ queue: "mail", states: ["cancelled"] }))
  assert.strictEqual(records.length, 2)
})

it("acts on the record that is open", async () => {
  const page = await at(`/records/${ids.bad}`)
  await page.getByText("the bank said: no funds").first().waitFor()
  await opened(page)
  await page.getByRole("option", { name: "Retry this Charge" }).click()
  await page.getByRole("button", { name: "Retry 1", exact: true }).waitFor()
})

it("is under the finger on a phone", async () => {
  const page = await at("/", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true })
  await page.getByRole("button", { name: "Go to…" }).tap()
  await page.getByRole("option", { name: "Dead letters" }).tap()
  await page.waitForURL(/\/dead$/)
  assert.isAtMost(await page.evaluate(() => document.documentElement.scrollWidth), 390)
})
