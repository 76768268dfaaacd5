/** A record by hand, from the page of jobs: its form, what is wrong with it, and who may. */
import { Auth } from "@capstan/http"
import { Option, Redacted } from "effect"
import { afterAll, assert, beforeAll, it } from "vitest"
import { accessible, closeBrowser, look, serve, type World } from "../../browser/harness.ts"

let world: World

beforeAll(async () => {
  world = await serve()
})
afterAll(async () => {
  await closeBrowser()
  await world.close()
})

it("a form of the job's schema enqueues, says at the field what is wrong, and the log says who did", async () => {
  const { close, complaints, page, refused } = await look(world, "/jobs")
  await page.getByText("No job has a record yet").waitFor()
  await page.getByRole("button", { name: "Enqueue Charge" }).click()
  const dialog = page.getByRole("dialog", { name: "Enqueue Charge" })
  const field = (name: string) => dialog.getByLabel(name, { exact: false })
  await accessible(page, "the form")
  await field("amount").fill("much")
  await dialog.getByRole("button", { name: "Enqueue", exact: true }).click()
  await dialog.getByText("is no number").waitFor()
  assert.strictEqual(await field("amount").getAttribute("aria-invalid"), "true")
  await accessible(page, "the form with a fault")
  await field("amount").fill("5")
  await field("order").fill("by hand")
  await field("card").fill("4242")
  await dialog.getByText("When, and what it is found by").click()
  await field("Tags").fill("manual, urgent")
  await field("Not before").fill("2")
  await dialog.getByLabel("Unit").selectOption("hours")
  await dialog.getByRole("button", { name: "Enqueue", exact: true }).click()
  await dialog.getByText("Enqueued:").waitFor()
  const href = (await dialog.getByRole("link").getAttribute("href"))!
  const record = Option.getOrThrow(await world.run(world.jobs.get(href.slice(href.lastIndexOf("/") + 1))))
  assert.deepStrictEqual(JSON.parse(record.payload), { order: "by hand", amount: 5, card: "<redacted>" })
  assert.deepInclude(record, { tag: "Charge", queue: "billing", state: "scheduled", tags: ["manual", "urgent"] })
  await dialog.getByRole("link").click()
  await page.getByRole("heading", { name: "Charge" }).waitFor()
  assert.deepStrictEqual(refused, [])
  await page.goto(`${world.url}/audit`)
  await page.getByText("enqueue", { exact: true }).first().waitFor()
  assert.deepStrictEqual(complaints, [])
  await close()
})

it("what the server finds is shown where it is, in the form and as JSON", async () => {
  const { close, complaints, page } = await look(world, "/jobs")
  await page.getByRole("button", { name: "Enqueue Charge" }).click()
  const dialog = page.getByRole("dialog", { name: "Enqueue Charge" })
  await dialog.getByRole("button", { name: "As JSON" }).click()
  const json = dialog.getByLabel("Payload as JSON")
  await json.fill("{")
  assert.isTrue(await dialog.getByRole("button", { name: "Enqueue", exact: true }).isDisabled())
  await json.fill("{\"order\":7,\"amount\":1}")
  await dialog.getByRole("button", { name: "Enqueue", exact: true }).click()
  await dialog.getByRole("alert").getByText("/order").waitFor()
  await dialog.getByRole("button", { name: "As a form" }).click()
  assert.strictEqual(await dialog.getByLabel("amount").inputValue(), "1")
  // A field that is a form's no more: the schema is of the page that was loaded, and the server's is another by now.
  await page.route("**/api/records/enqueue", (route) =>
    route.fulfill({
      status: 400,
      json: { _tag: "BadRequest", detail: "wrong", issues: [{ pointer: "/order", message: "too short" }] }
    }))
  await dialog.getByRole("button", { name: "Enqueue", exact: true }).click()
  await dialog.getByText("too short").waitFor()
  await dialog.getByText("see the fields that are marked").waitFor()
  assert.strictEqual(await dialog.getByLabel("order").getAttribute("aria-invalid"), "true")
  assert.deepStrictEqual(complaints, [])
  await close()
})

it("who may not enqueue is not asked to", async () => {
  const token = "a token of the tests, long enough"
  const guarded = await serve({
    auth: Auth.layerBearer([{ token: Redacted.make(token), principal: Auth.principal("viewer", "viewer") }])
  })
  try {
    const { close, page } = await look(guarded, "/jobs", { extraHTTPHeaders: { authorization: `Bearer ${token}` } })
    await page.getByText("Charge").first().waitFor()
    assert.strictEqual(await page.getByRole("button", { name: /Enqueue/ }).count(), 0)
    await close()
  } finally {
    await guarded.close()
  }
})
