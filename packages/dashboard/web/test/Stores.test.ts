/** The same page over Postgres and Redis, each on a throwaway server of its own. */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import * as PgClient from "@effect/sql-pg/PgClient"
import type { JobStore } from "capstan"
import { Layer, Logger, Option, Redacted } from "effect"
import { afterAll, assert, it } from "vitest"
import { fastPostgres, startPostgres, startRedis } from "../../../../scripts/servers/index.ts"
import { closeBrowser, filled, look, serve } from "../../browser/harness.ts"

afterAll(closeBrowser)

const stores: Readonly<
  Record<string, () => Promise<{ readonly store: Layer.Layer<JobStore.JobStore>; readonly stop: () => Promise<void> }>>
> = {
  Postgres: async () => {
    const server = await startPostgres({ settings: fastPostgres })
    return {
      stop: server.stop,
      store: PgJobStore.layer().pipe(
        Layer.provide(PgClient.layer({ url: Redacted.make(server.url) })),
        Layer.provide(Logger.layer([])),
        Layer.orDie
      )
    }
  },
  Redis: async () => {
    const server = await startRedis()
    return {
      stop: server.stop,
      store: RedisJobStore.layer().pipe(
        Layer.provide(NodeRedis.layer({ url: server.url })),
        Layer.provide(Logger.layer([])),
        Layer.orDie
      )
    }
  }
}

it.each(Object.keys(stores))(
  "on %s a record is enqueued by its form, found by what is in it, and written into the log",
  async (name) => {
    const { stop, store } = await stores[name]!()
    const world = await serve({ store })
    try {
      const { close, complaints, page } = await look(world, "/jobs")
      await page.getByRole("button", { name: "Enqueue Charge" }).click()
      const dialog = page.getByRole("dialog", { name: "Enqueue Charge" })
      const field = (name: string) => dialog.getByLabel(name, { exact: false })
      await field("amount").fill("5")
      await field("order").fill("by hand")
      await field("card").fill("4242")
      await dialog.getByText("When, and what it is found by").click()
      await field("Tags").fill("manual, urgent")
      await field("Idempotency key").fill("once")
      await field("Not before").fill("2")
      await dialog.getByLabel("Unit").selectOption("hours")
      const enqueue = dialog.getByRole("button", { name: "Enqueue", exact: true })
      await enqueue.click()
      await dialog.getByText("Enqueued:").waitFor()
      const href = (await dialog.getByRole("link").getAttribute("href"))!
      const record = Option.getOrThrow(await world.run(world.jobs.get(href.slice(href.lastIndexOf("/") + 1))))
      assert.deepStrictEqual(JSON.parse(record.payload), { order: "by hand", amount: 5, card: "<redacted>" })
      assert.deepInclude(record, { tag: "Charge", queue: "billing", state: "scheduled", idempotencyKey: "once" })
      assert.sameMembers([...record.tags], ["manual", "urgent"])
      await dialog.getByRole("button", { name: "Another one" }).click()
      await field("amount").fill("6")
      await field("order").fill("again")
      await dialog.getByText("When, and what it is found by").click()
      await field("Idempotency key").fill("once")
      await enqueue.click()
      await dialog.getByText("It was there already").waitFor()
      await dialog.getByRole("link").click()
      await page.getByRole("heading", { name: "Charge" }).waitFor()
      assert.strictEqual(page.url().slice(-36), record.id)

      await page.goto(`${world.url}/records`)
      const search = page.getByLabel("Search records")
      for (const [text, many] of [["by hand", "1 record"], ["again", "0 records"]] as const) {
        await search.fill(`job:Charge data.order:"${text}"`)
        await search.press("Enter")
        await page.getByText(many, { exact: true }).waitFor()
      }
      await page.goto(`${world.url}/audit`)
      await page.getByText("enqueue", { exact: true }).first().waitFor()
      assert.notInclude(await page.content(), "4242")
      assert.deepStrictEqual(complaints, [])
      await close()
    } finally {
      await world.close()
      await stop()
    }
  },
  60_000
)

it.each(Object.keys(stores))("on %s records are found, edited, retried and cancelled", async (name) => {
  const { stop, store } = await stores[name]!()
  const world = await serve({ store })
  try {
    const ids = await filled(world)
    const state = async (id: string) => Option.getOrUndefined(await world.run(world.jobs.get(id)))?.state
    const { close, complaints, page } = await look(world, "/records?error=Declined")
    await page.getByText("the bank said: no funds").first().waitFor()
    await page.getByRole("link", { name: "Charge" }).first().click()
    await page.getByRole("button", { name: "Retry", exact: true }).click()
    await page.getByRole("button", { name: "Retry 1", exact: true }).click()
    await page.getByText("1 record retried").waitFor()
    await page.goto(`${world.url}/records/${ids.bad}`)
    if (await state(ids.bad) === "ready") {
      await page.getByRole("button", { name: "Cancel", exact: true }).click()
      await page.getByRole("button", { name: "Cancel 1", exact: true }).click()
      await page.getByText("1 record cancelled").waitFor()
    }
    await page.getByRole("button", { name: "Edit and run again" }).click()
    await page.getByLabel("Payload as JSON").fill("{\"order\":\"1002\",\"amount\":7,\"card\":\"<redacted>\"}")
    await page.getByRole("button", { name: "Run again", exact: true }).click()
    await page.getByText("runs again with the new payload").waitFor()
    const end = await world.work()
    await page.getByRole("heading", { name: "Result" }).waitFor()
    await end()
    assert.strictEqual(await state(ids.bad), "completed")
    await page.goto(`${world.url}/queues/sync`)
    await page.getByText("Keys of accounts").waitFor()
    await page.getByRole("button", { name: "Pause sync" }).click()
    await page.getByText("sync is paused").waitFor()
    await page.goto(`${world.url}/flows/${ids.flow}`)
    await page.getByRole("heading", { name: "Order" }).waitFor()
    assert.deepStrictEqual(complaints, [])
    await close()
  } finally {
    await world.close()
    await stop()
  }
}, 60_000)
