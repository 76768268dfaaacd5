/** The list of records: its columns, views that are kept, and the list as a file. */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import { enqueueUnmatched } from "../../../testing/src/internal/unmatched.ts"
import {
  accessible,
  closeBrowser,
  filled,
  look,
  type Looked,
  Mail,
  type Page,
  serve,
  type World
} from "../../browser/harness.ts"
import { cellOf } from "../src/lines.ts"

let world: World
const open: Array<Looked> = []

const at = async (path: string, options?: Parameters<typeof look>[2]) => {
  const looked = await look(world, path, options)
  open.push(looked)
  return looked.page
}

beforeAll(async () => {
  world = await serve()
  await filled(world)
})
afterEach(async () => {
  const complaints = open.flatMap(({ complaints }) => complaints)
  await Promise.all(open.splice(0).map(({ close }) => close()))
  assert.deepStrictEqual(complaints, [])
})
afterAll(async () => {
  await closeBrowser()
  await world.close()
})

const button = (page: Page, name: string) => page.getByRole("button", { name, exact: true })
const heads = (page: Page) => page.getByRole("columnheader").allInnerTexts()

describe("a filter that next to nothing matches", () => {
  it("stops where the store stopped looking, says at how many, and goes on when it is asked to", async () => {
    const own = await serve()
    try {
      await own.run(enqueueUnmatched("Mail"))
      const looked = await look(own, "/records?job=Mail&queue=other")
      open.push(looked)
      const { page } = looked
      await page.getByText("Looked at 10,000 records, none of which matches.").waitFor()
      assert.strictEqual(await page.getByText("No record matches").count(), 0)
      await button(page, "Go on").click()
      await page.getByRole("row").nth(1).waitFor()
      await page.getByText("1 record", { exact: true }).waitFor()
      assert.strictEqual(await button(page, "Go on").count(), 0)
    } finally {
      await Promise.all(open.splice(0).map(({ close }) => close()))
      await own.close()
    }
  }, 60_000)
})

describe("columns", () => {
  it("are chosen, stand in the address, and are gone with it", async () => {
    const page = await at("/records?state=dead")
    await page.getByText("no funds").first().waitFor()
    await button(page, "Columns").click()
    await page.getByLabel("Worker").check()
    await page.getByLabel("Tries").uncheck()
    await page.waitForURL(/columns=queue%2Cgist%2Cwhen%2Cworker|columns=queue,gist,when,worker/)
    assert.deepStrictEqual((await heads(page)).slice(1), [
      "State",
      "Job",
      "Queue",
      "Last failure, or payload",
      "When",
      "Worker"
    ])
    await accessible(page, "columns")
    await page.reload()
    await page.getByRole("columnheader", { name: "Worker" }).waitFor()
    await button(page, "Columns").click()
    await button(page, "As usual").click()
    await page.waitForURL(/records\?state=dead$/)
    await page.keyboard.press("Escape")
    assert.strictEqual(await page.getByRole("group", { name: "Columns" }).count(), 0)
    await button(page, "Columns").and(page.locator(":focus")).waitFor()
  })

  it("of an address that nobody knows are left out", async () => {
    const page = await at("/records?columns=worker,colour,__proto__")
    await page.getByRole("columnheader", { name: "Worker" }).waitFor()
    assert.deepStrictEqual((await heads(page)).slice(1), ["State", "Job", "Worker"])
  })
})

describe("a view", () => {
  it("is kept under a name, comes back as its address, and is deleted", async () => {
    const page = await at("/records?state=dead&queue=billing&order=oldest&columns=tags")
    await page.getByRole("columnheader", { name: "Tags" }).waitFor()
    await button(page, "Views").click()
    await page.getByLabel("Name of this view").fill("Broken bills")
    await page.keyboard.press("Enter")
    await button(page, "Broken bills").waitFor()
    await page.goto(`${world.url}/records`)
    await page.getByText("user29@example.com").waitFor()
    await button(page, "Views").click()
    await accessible(page, "views")
    await page.getByRole("link", { name: "Broken bills" }).click()
    await page.waitForURL((url) => url.search === "?state=dead&queue=billing&order=oldest&columns=tags")
    await button(page, "Broken bills").click()
    await button(page, "Delete the view Broken bills").click()
    await button(page, "Views").waitFor()
    assert.strictEqual(await page.evaluate(() => localStorage.getItem("capstan.views")), "[]")
  })

  it("that something else has left in the browser breaks nothing", async () => {
    const page = await at("/records")
    await page.evaluate(() =>
      localStorage.setItem(
        "capstan.views",
        "[{\"name\":\"odd\",\"search\":{\"state\":\"no state\",\"job\":\"Mail\"}},7,null]"
      )
    )
    await page.reload()
    await button(page, "Views").click()
    await page.getByRole("link", { name: "odd" }).click()
    await page.waitForURL((url) => url.search === "?job=Mail")
  })
})

describe("an export", () => {
  const exported = async (page: Page, format: "NDJSON" | "CSV"): Promise<string> => {
    await button(page, "Export").click()
    const [download] = await Promise.all([page.waitForEvent("download"), button(page, format).click()])
    assert.strictEqual(download.suggestedFilename(), `records.${format.toLowerCase()}`)
    return readFileSync(await download.path(), "utf8")
  }

  it("has what the filter finds, and what is masked stays so", async () => {
    const page = await at("/records?queue=billing")
    await page.getByText("no funds").first().waitFor()
    const rows = (await exported(page, "NDJSON")).trimEnd().split("\n").map((line) => JSON.parse(line))
    const { records } = await world.run(world.jobs.query({ queue: "billing" }))
    assert.deepStrictEqual(rows.map(({ id, state }) => [id, state]), records.map(({ id, state }) => [id, state]))
    assert.include(JSON.stringify(rows), "1002")
    assert.notInclude(JSON.stringify(rows), "4242")
    await accessible(page, "export")
  })

  it("reads page after page, in the order of the list", async () => {
    await world.run(Effect.asVoid(
      Mail.enqueueMany(Array.from({ length: 2300 }, (_, i) => ({ to: "many", body: i })), { tags: ["many"] })
    ))
    const page = await at("/records?tag=many&order=oldest")
    await page.getByText("many").first().waitFor()
    let asked = 0
    page.on("request", (request) => void (asked += request.url().includes("limit=1000") ? 1 : 0))
    const lines = (await exported(page, "CSV")).trimEnd().split("\r\n")
    assert.strictEqual(lines.length, 2301)
    assert.strictEqual(asked, 3)
    assert.match(lines[0]!, /^id,tag,queue,state,/)
    assert.strictEqual(new Set(lines).size, 2301)
    await page.getByText("2,300 records exported").waitFor()
  })

  it("leaves payloads out where they are hidden", async () => {
    const page = await at("/records?queue=billing")
    await button(page, "Hide payloads").click()
    const text = await exported(page, "NDJSON")
    assert.notInclude(text, "1002")
    assert.include(text, "\"payload\":{\"length\":")
  })

  it("writes a cell so that a spreadsheet reads it as it is, and runs nothing of it", () => {
    const cells = [["=1+1", "'=1+1"], ["a,b", "\"a,b\""], ["say \"a\"\n", "\"say \"\"a\"\"\n\""], [-5, "-5"], [
      "-5",
      "'-5"
    ]] as const
    for (const [value, cell] of cells) assert.strictEqual(cellOf(value), cell)
    assert.strictEqual(cellOf(undefined), "")
  })
})
