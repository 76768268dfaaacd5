/** Each page in a real browser, over a real store: what it shows, that it is accessible, and that the policy is kept. */
import { Auth } from "@capstan/http"
import { JobSchedules } from "capstan"
import { Effect, Redacted } from "effect"
import { afterAll, afterEach, assert, beforeAll, describe, it } from "vitest"
import {
  accessible,
  Charge,
  closeBrowser,
  filled,
  look,
  type Looked,
  Mail,
  pagesOf,
  serve,
  type World
} from "../../browser/harness.ts"

let world: World
let ids: Awaited<ReturnType<typeof filled>>
const open: Array<Looked> = []

const at = async (path: string, options?: Parameters<typeof look>[2]) => {
  const looked = await look(world, path, options)
  open.push(looked)
  return looked
}

beforeAll(async () => {
  world = await serve()
  ids = await filled(world)
})
afterEach(async () => {
  // Nothing that was shown broke the policy, or threw.
  const complaints = open.flatMap(({ complaints }) => complaints)
  await Promise.all(open.splice(0).map(({ close }) => close()))
  assert.deepStrictEqual(complaints, [])
})
afterAll(async () => {
  await closeBrowser()
  await world.close()
})

describe.each(["light", "dark"] as const)("in %s", (colorScheme) => {
  it("every page shows what it is for, and axe finds nothing", async () => {
    for (const [path, shows] of pagesOf(ids)) {
      const { close, page } = await at(path, { colorScheme })
      await page.getByText(shows).locator("visible=true").first().waitFor()
      await accessible(page, path)
      await close()
    }
  }, 120_000)
})

it("every page fits a phone: nothing is wider than the screen", async () => {
  for (const [path, shows] of pagesOf(ids)) {
    const { close, page } = await at(path, { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true })
    await page.getByText(shows).locator("visible=true").first().waitFor()
    const width = await page.evaluate(() => document.documentElement.scrollWidth)
    assert.isAtMost(width, 390, path)
    const isPlaceSeen = await page.evaluate(() => {
      const place = document.querySelector("nav [aria-current=page] span")
      if (place === null) return true
      const [{ left, right }, around] = [place, place.closest("div")!].map((of) => of.getBoundingClientRect()) as [
        DOMRect,
        DOMRect
      ]
      return left >= around.left && right <= around.right
    })
    assert.isTrue(isPlaceSeen, `${path}: the place where one is can be seen`)
    await accessible(page, path)
    await close()
  }
}, 120_000)

describe("the address", () => {
  it("has the filters, and comes back to them", async () => {
    const { page } = await at("/records?state=dead&queue=billing")
    await page.getByRole("button", { name: "dead 2", exact: false, pressed: true }).waitFor()
    assert.strictEqual((await page.getByLabel("Search records").inputValue()).trim(), "queue:billing")
    await page.getByRole("link", { name: "Charge" }).first().click()
    await page.getByRole("heading", { name: "Charge" }).waitFor()
    assert.match(page.url(), /\/ops\/jobs\/records\/[0-9a-f-]{36}$/)
    await page.goBack()
    await page.getByRole("button", { name: "dead 2", exact: false, pressed: true }).waitFor()
    assert.match(page.url(), /state=dead/)
  })

  it("is told when there is nothing at it", async () => {
    const { page } = await at("/nowhere/at/all")
    await page.getByText("Nothing is here").waitFor()
    const record = await at("/records/01890000-0000-7000-8000-000000000000")
    await record.page.getByText("There is no such record").waitFor()
  })
})

describe("the search", () => {
  it("takes words, completes them, and says what it does not know", async () => {
    const { page } = await at("/records")
    await page.getByText("user29@example.com").waitFor()
    await page.keyboard.press("/")
    const field = page.getByLabel("Search records")
    await field.fill("queue:bil")
    await page.getByRole("option", { name: "queue:billing" }).click()
    await page.waitForURL(/queue=billing/)
    await page.getByText("user29@example.com").waitFor({ state: "detached" })
    await field.fill("job:Cha")
    await page.getByRole("option", { name: "job:Charge" }).waitFor()
    await field.fill("error:Declined job:Charge")
    await field.press("Enter")
    await page.waitForURL(/error=Declined/)
    await page.getByText("the bank said: no funds").first().waitFor()
    await field.fill("colour:red")
    await field.press("Enter")
    await page.getByRole("alert").getByText("colour: is no word of the search").waitFor()
    await field.fill(ids.good)
    await field.press("Enter")
    await page.waitForURL(/id=/)
    await page.getByText("completed", { exact: true }).last().waitFor()
  })
})

it("a search that was made leaves the field to the keys of the list, and what the tabs show leaves the field", async () => {
  const { page } = await at("/records")
  await page.getByText("user29@example.com").waitFor()
  await page.keyboard.press("/")
  await page.keyboard.type("queue:billing state:dead")
  await page.keyboard.press("Enter")
  await page.getByText("the bank said: no funds").first().waitFor()
  const field = page.getByLabel("Search records")
  assert.strictEqual(await field.inputValue(), "queue:billing ")
  await page.keyboard.press("j")
  await page.keyboard.press("x")
  await page.getByText("1 record selected").waitFor()
  await page.keyboard.press("/")
  await page.keyboard.type("colour:red")
  await page.keyboard.press("Enter")
  await page.getByRole("alert").waitFor()
  // What was not understood is to be mended there.
  await field.and(page.locator(":focus")).waitFor()
})

describe("a search by time", () => {
  it("takes an age, which becomes an instant that others read as well, and what was before it", async () => {
    const { page } = await at("/records?queue=mail")
    await page.getByText("user29@example.com").waitFor()
    const field = page.getByLabel("Search records")
    await field.fill("queue:mail since:2h")
    await field.press("Enter")
    await page.waitForURL(/since=2\d\d\d-/)
    const since = Date.parse(new URL(page.url()).searchParams.get("since")!)
    assert.approximately(since, Date.now() - 2 * 3_600_000, 60_000)
    await page.getByText("user29@example.com").waitFor()
    await field.fill("queue:mail before:2h")
    await field.press("Enter")
    await page.getByText("No record matches").waitFor()
    await page.goto(`${world.url}/records?queue=mail&since=${new Date(since).toISOString()}`)
    await page.getByText("user29@example.com").waitFor()
    await field.fill("since:yesterday")
    await field.press("Enter")
    await page.getByRole("alert").getByText("since: an age such as 15m").waitFor()
    await field.fill("blocked:ConcurrencyKey")
    await field.press("Enter")
    await page.waitForURL(/blocked=ConcurrencyKey/)
  })
})

it("on a phone every figure and every button of a table is within reach", async () => {
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }
  for (
    const [path, ...shown] of [
      ["/", "dead", "blocked"],
      ["/queues", "Pause mail", "Drain mail"],
      ["/schedules", "Run now: nightly", "Pause nightly"],
      ["/errors", "Retry dead"],
      ["/jobs", "Wait p50 / p95", "Newest", "Enqueue Charge"],
      ["/flows", "Newest"]
    ] as const
  ) {
    const { close, page } = await at(path, phone)
    for (const name of shown) {
      const found = page.getByRole("button", { name }).or(page.getByRole("region").getByText(name, { exact: true }))
      const one = found.locator("visible=true").first()
      await one.waitFor()
      const box = (await one.boundingBox())!
      assert.isAtLeast(box.x, 0, `${path}: ${name}`)
      assert.isAtMost(box.x + box.width, 390, `${path}: ${name}`)
    }
    await close()
  }
}, 60_000)

it(
  "the overview names the job that fails, the schedule whose run died, and counts what is dead on every page",
  async () => {
    const failing = await serve()
    try {
      await filled(failing)
      const stop = await failing.work()
      await failing.run(Effect.gen(function*() {
        const handles = yield* Charge.enqueueMany(Array.from({ length: 12 }, (_, i) => ({ order: `${i}`, amount: -1 })))
        yield* Effect.forEach(handles, ({ id }) => Effect.flip(Charge.handle(id).await))
        const schedules = yield* JobSchedules.JobSchedules
        yield* schedules.upsert("dunning", Charge, { every: "1 hour", payload: { order: "d", amount: -1 } })
        const run = yield* schedules.runNow("dunning")
        if (run._tag === "Enqueued") yield* Effect.flip(Charge.handle(run.id).await)
      }))
      await stop()
      const { close, complaints, page } = await look(failing, "/")
      const attention = page.getByRole("list", { name: "What needs attention" })
      await attention.getByText(/of the last \d+ attempts of Charge/).waitFor()
      await attention.getByText("The last run died").waitFor()
      await attention.getByText("15 dead records").waitFor()
      await page.goto(`${failing.url}/audit`)
      await page.getByRole("link", { name: "Dead letters 15" }).waitFor()
      assert.deepStrictEqual(complaints, [])
      await close()
    } finally {
      await failing.close()
    }
  },
  60_000
)

it("a secret is marked, and is nowhere in what the browser was sent", async () => {
  const { page } = await at(`/records/${ids.bad}`)
  await page.getByText("redacted", { exact: true }).waitFor()
  assert.notInclude(await page.content(), "4242")
})

it("what happens is shown without asking", async () => {
  const { page } = await at("/records?queue=mail")
  await page.getByRole("button", { name: "Live.", exact: false }).waitFor()
  await world.run(Mail.enqueue({ to: "somebody.new@example.com", body: 1 }))
  await page.getByText("somebody.new@example.com").waitFor()
})

it("a store without anything says what will be there", async () => {
  const empty = await serve({ prefix: "/" })
  try {
    for (
      const [path, text] of [
        ["/", "Nothing has been enqueued yet"],
        ["/records", "The store has no records"],
        ["/queues", "There is no queue yet"],
        ["/jobs", "No job has a record yet"],
        ["/flows", "No flow among them"],
        ["/schedules", "There is no schedule"],
        ["/workers", "No worker is there"],
        ["/errors", "Nothing fails"],
        ["/dead", "Nothing is dead"],
        ["/metrics", "Of the hour before it knows nothing"]
      ] as const
    ) {
      const looked = await look(empty, path)
      await looked.page.getByText(text).first().waitFor()
      assert.deepStrictEqual(looked.complaints, [])
      await looked.close()
    }
  } finally {
    await empty.close()
  }
}, 60_000)

it("a store that is away is said to be, what was shown stays, and goes on when it is back", async () => {
  const { page } = await at("/")
  await page.getByText("Needs attention").waitFor()
  world.setAway(true)
  try {
    await page.getByRole("alert").getByText("The store does not answer").waitFor({ timeout: 25_000 })
    assert.isTrue(await page.getByText("Needs attention").isVisible())
    await accessible(page, "away")
  } finally {
    world.setAway(false)
  }
  await page.getByRole("alert").waitFor({ state: "detached", timeout: 25_000 })
}, 60_000)

it("what went wrong has its name, and is said once", async () => {
  const { page } = await at("/")
  for (
    const [status, tag, title] of [
      [500, "Defect", "The server failed"],
      [503, "StoreFailed", "The store does not answer"],
      [403, "Forbidden", "Not allowed"]
    ] as const
  ) {
    await page.route("**/api/**", (route) => route.fulfill({ status, json: { _tag: tag, detail: "so it is" } }))
    for (const path of ["/", "/metrics", "/jobs"]) {
      await page.goto(`${world.url}${path}`)
      await page.getByRole("alert").getByText(title).waitFor()
      await page.getByText("Nothing was read yet").waitFor()
      assert.strictEqual(await page.getByText("so it is").count(), 1, `${title} ${path}`)
    }
    await accessible(page, title)
    const [dot, keys] = await Promise.all(
      [page.getByRole("button", { name: /^Polling/ }), page.getByRole("button", { name: "Keys" })].map(async (one) =>
        (await one.boundingBox())!
      )
    )
    assert.approximately(dot!.y + dot!.height / 2, keys!.y + keys!.height / 2, 4, "in one line")
    await page.unroute("**/api/**")
  }
}, 60_000)

it("on a phone a record says when, and two percentiles stand in one line", async () => {
  const phone = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }
  const { page } = await at("/records?queue=mail", phone)
  const row = page.getByRole("row").filter({ hasText: "user29@example.com" })
  await row.getByRole("cell").filter({ hasText: / ago$|^now$/ }).locator("visible=true").waitFor()
  await page.goto(`${world.url}/jobs`)
  const value = page.getByText("Wait p50 / p95").locator("visible=true").first().locator("xpath=following-sibling::*")
  await value.waitFor()
  assert.isAtMost((await value.boundingBox())!.height, 24)
})

it("who is not signed in is told so, and who only looks sees no buttons", async () => {
  const token = "a token of the tests, long enough"
  const guarded = await serve({
    auth: Auth.layerBearer([{ token: Redacted.make(token), principal: Auth.principal("viewer", "viewer") }])
  })
  try {
    await guarded.run(Effect.asVoid(Mail.enqueue({ to: "a", body: 1 })))
    const stranger = await look(guarded, "/queues")
    await stranger.page.getByText("Not signed in").waitFor()
    await stranger.close()
    const viewer = await look(guarded, "/queues", { extraHTTPHeaders: { authorization: `Bearer ${token}` } })
    await viewer.page.getByRole("link", { name: "mail" }).waitFor()
    assert.strictEqual(await viewer.page.getByRole("button", { name: /Pause mail|Drain mail/ }).count(), 0)
    await viewer.close()
  } finally {
    await guarded.close()
  }
})
