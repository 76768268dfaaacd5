/** A search by what is inside of payloads: how it is typed, what it finds, and that a selection of it is honoured. */
import { Effect, Redacted } from "effect"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { accessible, Charge, closeBrowser, look, type Looked, Mail, serve, type World } from "../../browser/harness.ts"
import { fromText, type RecordsSearch, toText } from "../src/search.ts"

let world: World
const open: Array<Looked> = []

const at = async (path: string) => {
  const looked = await look(world, path)
  open.push(looked)
  return looked.page
}

beforeAll(async () => {
  world = await serve()
  await world.run(Effect.gen(function*() {
    yield* Charge.enqueueMany([
      { order: "1001", amount: 7, card: Redacted.make("4242") },
      { order: "1002", amount: 8 },
      { order: "1001", amount: 9 }
    ])
    yield* Mail.enqueueMany(
      Array.from({ length: 10_050 }, (_, n) => ({ to: `user${n}@example.com`, body: { at: { "a.b": n } } }))
    )
  }))
}, 60_000)
afterEach(async () => {
  const complaints = open.flatMap(({ complaints }) => complaints)
  await Promise.all(open.splice(0).map(({ close }) => close()))
  assert.deepStrictEqual(complaints, [])
})
afterAll(async () => {
  await closeBrowser()
  await world.close()
})

describe("a word for a place", () => {
  it("is read as it is written, whatever stands in keys and values", () => {
    const data = {
      "/to": "ada@example.com",
      "/to/name": "Ada L",
      "/n": 3,
      "/text": "3",
      "/is": true,
      "/none": null,
      "/empty": "",
      "/a.b": "x:y",
      "/a b/c:d": "say \"hi\" \\ there",
      "/e~0f/g~1h": "\"",
      "/": 1
    }
    const search: RecordsSearch = { job: "Mail", data }
    assert.deepStrictEqual(fromText(toText(search)), { search, wrong: undefined })
    assert.include(toText(search), "data.to.name:\"Ada L\"")
    assert.include(toText(search), "data.n:3")
    assert.include(toText(search), "data/a.b:x:y")
  })

  it("is a number or a text by how it is written", () => {
    const dataOf = (text: string) => fromText(text).search.data
    assert.deepStrictEqual(dataOf("data.n:3 data.m:\"3\" data.z:007 data.e:-1.5e3"), {
      "/n": 3,
      "/m": "3",
      "/z": "007",
      "/e": -1500
    })
    assert.deepStrictEqual(dataOf("data.items.0.sku:x data.b:false data.c:null"), {
      "/items/0/sku": "x",
      "/b": false,
      "/c": null
    })
  })

  it("that names none is wrong", () => {
    for (const text of ["data:x", "data.:x", "data..a:x", "data.to", "job:Mail data.a.:1"]) {
      assert.match(fromText(text).wrong ?? "", /^data: name a place/, text)
    }
  })
})

describe("a search inside of payloads", () => {
  it("is completed and read by the job's schema, and stands in the address", async () => {
    const page = await at("/records")
    const field = page.getByLabel("Search records")
    await field.fill("job:Charge data.o")
    await page.getByRole("option", { name: "data.order:" }).click()
    await field.pressSequentially("1001")
    await field.press("Enter")
    await page.waitForURL(/data=/)
    await page.getByText("2 records", { exact: true }).waitFor()
    assert.match(await field.inputValue(), /^job:Charge data\.order:"1001"/)
    await accessible(page, "inside")
    await page.reload()
    await page.getByText("2 records", { exact: true }).waitFor()
    await field.fill("queue:billing data.amount:8")
    await field.press("Enter")
    await page.getByText("1 record", { exact: true }).waitFor()
    // Of a queue nobody knows the schema: what looks like a number may be text.
    await field.fill("queue:billing data.order:1002")
    await field.press("Enter")
    await page.getByText("No record matches").waitFor()
    await page.getByRole("button", { name: "Look for the text \"1002\"" }).click()
    await page.getByText("1 record", { exact: true }).waitFor()
  })

  it("wants another condition, and says which", async () => {
    const page = await at("/records")
    await page.getByRole("row").nth(1).waitFor()
    let asked = 0
    page.on("request", (request) => void (asked += request.url().includes("payload=") ? 1 : 0))
    const field = page.getByLabel("Search records")
    await field.fill("data.order:\"1001\"")
    await field.press("Enter")
    await page.getByText("Among which records?").waitFor()
    await accessible(page, "alone")
    assert.strictEqual(asked, 0)
    await page.getByRole("link", { name: "Of the last hour" }).click()
    await page.getByRole("button", { name: "Go on" }).click()
    await page.getByText("2 records", { exact: true }).waitFor()
    assert.match(await field.inputValue(), /since:\S+ data\.order:"1001"/)
  })

  it("stops after 10,000, says so, and goes on", async () => {
    const page = await at("/records?job=Mail&order=oldest")
    const field = page.getByLabel("Search records")
    await field.fill("job:Mail data/body/at/a.b:10049")
    await field.press("Enter")
    await page.getByText("Looked at 10,000 records, none of which matches.").waitFor()
    await accessible(page, "stopped")
    await page.getByRole("button", { name: "Go on" }).click()
    await page.getByText("1 record", { exact: true }).waitFor()
    await page.getByText("user10049@example.com").waitFor()
  })

  it("does not follow by itself, and says that there is more", async () => {
    const page = await at("/records?job=Charge")
    const field = page.getByLabel("Search records")
    await field.fill("job:Charge data.amount:8")
    await field.press("Enter")
    await page.getByText("1 record", { exact: true }).waitFor()
    await page.getByRole("button", { name: "Live.", exact: false }).waitFor()
    await world.run(Effect.asVoid(Charge.enqueue({ order: "late", amount: 8 })))
    await page.getByRole("button", { name: "1 changed since" }).click()
    await page.getByText("2 records", { exact: true }).waitFor()
  })

  it("is honoured by what is done to all that match, after a count", async () => {
    const page = await at("/records")
    const field = page.getByLabel("Search records")
    await field.fill("job:Charge data.order:1001")
    await field.press("Enter")
    await page.getByText("2 records", { exact: true }).waitFor()
    await page.getByRole("button", { name: "Select all that match" }).click()
    await page.getByRole("button", { name: "Cancel", exact: true }).click()
    await page.getByRole("button", { name: "Cancel 2", exact: true }).click()
    await page.getByText("2 records cancelled").waitFor()
    const { records } = await world.run(world.jobs.query({ tag: "Charge", states: ["cancelled"] }))
    assert.deepStrictEqual(records.map(({ payload }) => JSON.parse(payload).order), ["1001", "1001"])
  })

  it("says that an action would have too much to look at", async () => {
    const page = await at("/records?job=Charge&data=%7B%22%2Fcard%22%3A%22%3Credacted%3E%22%7D")
    await page.route("**/api/records/count?*", async (route) => {
      const response = await route.fetch()
      return route.fulfill({ response, json: { ...await response.json(), applies: 1, isAtLeast: true } })
    })
    await page.getByText("1 record", { exact: true }).waitFor()
    await page.getByRole("button", { name: "Select all that match" }).click()
    await page.getByRole("button", { name: "Retry", exact: true }).click()
    await page.getByText("more payloads to look into").waitFor()
    assert.isTrue(await page.getByRole("button", { name: "Retry 1", exact: true }).isDisabled())
    await accessible(page, "too many")
  })
})
