/** Each action, from the button to the store and back. */
import { JobSchedules, JobStore } from "capstan"
import { Effect, Option } from "effect"
import { afterAll, afterEach, assert, beforeEach, describe, it } from "vitest"
import { closeBrowser, filled, look, type Looked, Mail, type Page, serve, type World } from "../../browser/harness.ts"

let world: World
let ids: Awaited<ReturnType<typeof filled>>
const open: Array<Looked> = []

beforeEach(async () => {
  world = await serve()
  ids = await filled(world)
})
afterEach(async () => {
  const complaints = open.flatMap(({ complaints }) => complaints)
  await Promise.all(open.splice(0).map(({ close }) => close()))
  await world.close()
  assert.deepStrictEqual(complaints, [])
})
afterAll(closeBrowser)

const at = async (path: string): Promise<Page> => {
  const looked = await look(world, path)
  open.push(looked)
  return looked.page
}

const record = async (id: string) => Option.getOrUndefined(await world.run(world.jobs.get(id)))
const button = (page: Page, name: string | RegExp) =>
  page.getByRole("button", { name, exact: typeof name === "string" })
const confirm = (page: Page, name: string) =>
  page.getByRole("dialog").getByRole("button", { name, exact: true }).click()
const told = (page: Page, text: string) => page.getByText(text).first().waitFor()

describe("a record", () => {
  it("is retried", async () => {
    const page = await at(`/records/${ids.bad}`)
    await button(page, "Retry").click()
    await confirm(page, "Retry 1")
    await told(page, "1 record retried")
    assert.strictEqual((await record(ids.bad))?.state, "ready")
  })

  it("is edited, checked by its schema on the server, and run again", async () => {
    const page = await at(`/records/${ids.bad}`)
    await button(page, "Edit and run again").click()
    const text = page.getByLabel("Payload as JSON")
    const shown = JSON.parse(await text.inputValue())
    assert.deepStrictEqual(shown, { order: "1002", amount: -1, card: "<redacted>" })
    await text.fill("{")
    assert.isTrue(await page.getByRole("dialog").getByRole("button", { name: "Run again" }).isDisabled())
    await text.fill(JSON.stringify({ ...shown, amount: "much" }))
    await confirm(page, "Run again")
    await page.getByRole("status").getByText("amount").waitFor()
    await text.fill(JSON.stringify({ ...shown, amount: 7 }))
    await confirm(page, "Run again")
    await told(page, "runs again with the new payload")
    const stop = await world.work()
    await page.getByRole("heading", { name: "Result" }).waitFor()
    await stop()
    const done = await record(ids.bad)
    assert.strictEqual(done?.state, "completed")
    assert.deepStrictEqual(JSON.parse(done!.payload), { order: "1002", amount: 7, card: "<redacted>" })
    // The secret is still there: the store has it.
    const { payload } = (await world.run(Effect.flatMap(JobStore.JobStore, (store) => store.get(done!.id))))!
    assert.include(payload, "4242")
  })

  it("is cancelled with a reason", async () => {
    const page = await at(`/records/${ids.mail}`)
    await button(page, "Cancel").click()
    await page.getByLabel("Reason, kept with the record").fill("a mistake")
    await confirm(page, "Cancel 1")
    await told(page, "1 record cancelled")
    const cancelled = await record(ids.mail)
    assert.strictEqual(cancelled?.state, "cancelled")
  })

  it("is rescheduled, reprioritised, run now and deleted", async () => {
    const page = await at(`/records/${ids.later}`)
    await button(page, "Reschedule").click()
    await page.getByLabel("Minutes from now").fill("120")
    await confirm(page, "Reschedule 1")
    await told(page, "1 record rescheduled")
    assert.isAbove((await record(ids.later))!.dueAt!, Date.now() + 100 * 60_000)
    await button(page, "Reprioritise").click()
    await page.getByLabel("low, normal, high", { exact: false }).fill("7")
    await confirm(page, "Reprioritise 1")
    await told(page, "1 record reprioritised")
    assert.strictEqual((await record(ids.later))?.priority, 7)
    await button(page, "Run now").click()
    await confirm(page, "Run now 1")
    await told(page, "1 record made ready")
    assert.strictEqual((await record(ids.later))?.state, "ready")
    await button(page, "Delete").click()
    // What cannot be taken back is not under the finger.
    await page.getByRole("dialog").getByText("1 record", { exact: true }).waitFor()
    assert.strictEqual(await page.getByRole("button", { name: "Delete 1" }).and(page.locator(":focus")).count(), 0)
    await confirm(page, "Delete 1")
    await told(page, "1 record deleted")
    assert.isUndefined(await record(ids.later))
    await told(page, "There is no such record")
  })
})

describe("a selection", () => {
  it("is counted before, by the keys alone", async () => {
    const page = await at("/records?queue=mail&state=ready")
    await page.getByText("user0@example.com").waitFor()
    for (const key of ["j", "x", "j", "x", "j", "k"]) await page.keyboard.press(key)
    await page.getByText("2 records selected").waitFor()
    await button(page, "Cancel").click()
    await page.getByRole("dialog").getByText("2 records", { exact: true }).waitFor()
    await page.keyboard.press("Enter")
    await told(page, "2 records cancelled")
    const { records } = await world.run(world.jobs.query({ queue: "mail", states: ["cancelled"] }))
    assert.strictEqual(records.length, 2)
  })

  it("is all that match, with a count beforehand", async () => {
    const page = await at("/records?queue=mail&state=ready")
    await page.getByText("user0@example.com").waitFor()
    await button(page, "Select all that match").click()
    await button(page, "Delete").click()
    await page.getByRole("dialog").getByText("32 records", { exact: true }).waitFor()
    await confirm(page, "Delete 32")
    await told(page, "32 records deleted")
    await page.getByText("No record matches").waitFor()
  })

  it("is retried with r, where it is dead", async () => {
    const page = await at("/dead")
    await page.getByText("the bank said: no funds").first().waitFor()
    await page.keyboard.press("j")
    await page.keyboard.press("r")
    await page.getByRole("button", { name: "Retry 1" }).and(page.locator(":focus")).waitFor()
    await page.keyboard.press("Enter")
    await told(page, "1 record retried")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.getByRole("heading", { name: "Charge" }).waitFor()
  })
})

describe("a queue", () => {
  it("is paused, resumed and drained", async () => {
    const page = await at("/queues")
    await button(page, "Pause mail").click()
    await told(page, "mail is paused")
    await page.getByText("paused", { exact: true }).waitFor()
    await button(page, "Resume mail").click()
    await told(page, "mail goes on")
    await button(page, "Drain mail").click()
    await page.getByText("33 records would be cancelled").waitFor()
    await confirm(page, "Cancel 33")
    await told(page, "33 records of mail cancelled")
    const { records } = await world.run(world.jobs.query({ queue: "mail", states: ["ready", "scheduled"] }))
    assert.deepStrictEqual(records, [])
  })

  it("is limited by hand, and the limit is cleared", async () => {
    const page = await at("/queues/mail")
    await button(page, "Override").first().click()
    await page.getByLabel("At a time").fill("3")
    await page.getByLabel("Starts", { exact: true }).fill("10")
    await confirm(page, "Override")
    await told(page, "3 at a time")
    const limit = (await world.run(world.jobs.limits)).find(({ of }) => "queue" in of)
    assert.deepStrictEqual(limit?.holds, { concurrency: 3, rate: { limit: 10, perMillis: 1000, burst: 1 } })
    await button(page, "Clear override").click()
    await told(page, "What code proposes holds again")
  })
})

describe("a schedule", () => {
  it("is run, paused, resumed and removed", async () => {
    const page = await at("/schedules")
    await button(page, "Run now: nightly").click()
    await told(page, "nightly was enqueued")
    await button(page, "Pause nightly").click()
    await told(page, "nightly is paused")
    await button(page, "Resume nightly").click()
    await told(page, "nightly goes on")
    await button(page, "Remove nightly").click()
    await confirm(page, "Remove")
    await told(page, "nightly is removed")
    await page.getByText("There is no schedule").waitFor()
    const left = await world.run(Effect.flatMap(JobSchedules.JobSchedules, (schedules) => schedules.list()))
    assert.deepStrictEqual(left, [])
  })
})

it("a flow is cancelled as a whole, and errors are retried as a group", async () => {
  const page = await at(`/flows/${ids.flow}`)
  await button(page, "Cancel all of it").click()
  await confirm(page, "Cancel 3")
  await told(page, "3 records cancelled")
  const errors = await at("/errors")
  await button(errors, "Retry dead").first().click()
  await confirm(errors, "Retry 2")
  await told(errors, "2 records retried")
})

it("what was done is in the audit, and what was refused is told", async () => {
  const page = await at("/queues")
  await button(page, "Pause mail").click()
  await told(page, "mail is paused")
  await page.getByRole("link", { name: "Audit" }).click()
  await page.getByRole("cell", { name: "pause" }).waitFor()
  world.setAway(true)
  const away = await at("/records")
  await away.getByText("The store does not answer").waitFor()
  world.setAway(false)
})

it("what was changed elsewhere meanwhile is told by what came of it", async () => {
  const page = await at(`/records/${ids.mail}`)
  await button(page, "Cancel").click()
  await page.getByRole("dialog").getByText("1 record", { exact: true }).waitFor()
  await world.run(world.jobs.cancel(ids.mail, { reason: "somebody else" }))
  await confirm(page, "Cancel 1")
  await told(page, "1 left as they were")
  await world.run(Effect.asVoid(Mail.enqueue({ to: "x", body: 1 })))
})
