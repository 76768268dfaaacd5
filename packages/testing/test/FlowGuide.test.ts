/**
 * The programs of `docs/flows.md` and `docs/events.md`, word for word as they stand there: here they run.
 */
import { TestJobs } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Flow, Job, JobGroup, Topic } from "capstan"
import { Effect, Exit, Schema } from "effect"
import { readFileSync } from "node:fs"

class SumSales extends Job.make("SumSales", {
  payload: { region: Schema.String, night: Schema.String },
  success: Schema.Number
}) {}
class WriteReport extends Job.make("WriteReport", { payload: { night: Schema.String }, success: Schema.Number }) {}
class SendLetter extends Job.make("SendLetter", { success: Schema.String }) {}

class NightlyReport extends Flow.make("NightlyReport")
  .list("sums", SumSales)
  .node("report", WriteReport, { after: { sums: "continue" } })
  .node("letter", SendLetter, { after: { report: "fail" } })
{}

const night = (night: string, regions: ReadonlyArray<string>) =>
  Effect.gen(function*() {
    const sums = regions.map((region) => ({ region, night }))
    const flow = yield* NightlyReport.start({ sums, report: { night } }, { idempotencyKey: night })
    return yield* flow.await
  })

const Night = JobGroup.make(SumSales, WriteReport, SendLetter)
const NightLive = Night.toLayer({
  SumSales: ({ region }) => Effect.succeed(region.length),
  WriteReport: () =>
    Effect.map(
      NightlyReport.results("report"),
      ({ sums }) => sums.filter(Exit.isSuccess).reduce((sum, { value }) => sum + value, 0)
    ),
  SendLetter: () => Effect.map(NightlyReport.results("letter"), ({ report }) => `total ${report}`)
})

class FindLinks extends Job.make("FindLinks", { payload: { links: Schema.Array(Schema.String) } }) {}
class CountWords extends Job.make("CountWords", { payload: { url: Schema.String }, success: Schema.Number }) {}
class AddUp extends Job.make("AddUp", { success: Schema.Number }) {}

class Crawl extends Flow.make("Crawl")
  .node("find", FindLinks)
  .list("pages", CountWords, { after: { find: "fail" } })
  .node("total", AddUp, { after: { pages: "fail" } })
{}

const CrawlLive = JobGroup.make(FindLinks, CountWords, AddUp).toLayer({
  FindLinks: ({ links }) => Effect.asVoid(Crawl.add("pages", links.map((url) => ({ url })))),
  CountWords: ({ url }) => Effect.succeed(url.length),
  AddUp: () => Effect.map(Crawl.results("total"), ({ pages }) => pages.reduce((sum, words) => sum + words, 0))
})

const OrderPlaced = Topic.make("OrderPlaced", { orderId: Schema.String, total: Schema.Number })

class SendReceipt extends Job.make("SendReceipt", {
  payload: { orderId: Schema.String },
  on: [Topic.on(OrderPlaced, { payload: ({ orderId }) => ({ orderId }) })]
}) {}

class ReviewOrder extends Job.make("ReviewOrder", {
  payload: { orderId: Schema.String },
  on: [Topic.on(OrderPlaced, { where: ({ total }) => total > 1000, payload: ({ orderId }) => ({ orderId }) })]
}) {}

const placed = OrderPlaced.publish({ orderId: "o1", total: 1200 }, { idempotencyKey: "o1" })

const OrderPaid = Topic.make("OrderPaid", { orderId: Schema.String })

class RemindToPay extends Job.make("RemindToPay", {
  payload: { orderId: Schema.String },
  cancelOn: [{ event: Topic.match(OrderPaid, ({ orderId }) => orderId), payload: ({ orderId }) => orderId }]
}) {}

const remind = RemindToPay.enqueue({ orderId: "o1" }, { delay: "7 days" })
const paid = OrderPaid.publish({ orderId: "o1" })

class TellSupport extends Job.make("TellSupport", { payload: { text: Schema.String } }) {}

class ChargeCard extends Job.make("ChargeCard", {
  payload: { orderId: Schema.String },
  success: Schema.Struct({ receipt: Schema.String }),
  onComplete: ({ payload }) => SendReceipt.request({ orderId: payload.orderId }),
  onFailure: ({ payload, reason }) => TellSupport.request({ text: `${payload?.orderId}: ${reason}` })
}) {}

const Charging = JobGroup.make(ChargeCard)
const ChargingLive = Charging.toLayer({ ChargeCard: ({ orderId }) => Effect.succeed({ receipt: `of ${orderId}` }) })

describe("the guides of flows and events", () => {
  it.effect("a flow over a list", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* night("2026-11-25", ["north", "east"]), { letter: "total 9" })
    }).pipe(Effect.provide(TestJobs.layer(Night, NightLive))))

  it.effect("a flow that finds its own list", () =>
    Effect.gen(function*() {
      const flow = yield* Crawl.start({ find: { links: ["a", "bb"] }, pages: [] })
      assert.deepStrictEqual(yield* flow.await, { total: 3 })
    }).pipe(Effect.provide(TestJobs.layer(JobGroup.make(FindLinks, CountWords, AddUp), CrawlLive))))

  it.effect("an event and what follows a charge", () =>
    Effect.gen(function*() {
      const test = yield* TestJobs.TestJobs
      assert.deepStrictEqual((yield* placed).map(({ job }) => job), [SendReceipt._tag, ReviewOrder._tag])
      yield* ChargeCard.enqueue({ orderId: "o2" })
      yield* test.advanceUntilIdle
      assert.strictEqual((yield* test.enqueued(SendReceipt)).length, 2)
      assert.strictEqual((yield* test.enqueued(TellSupport)).length, 0)
    }).pipe(Effect.provide(TestJobs.layer(Charging, ChargingLive))))

  it.effect("an event that cancels", () =>
    Effect.gen(function*() {
      const test = yield* TestJobs.TestJobs
      yield* remind
      yield* paid
      assert.deepStrictEqual((yield* test.enqueued(RemindToPay)).map(({ record }) => record.state), ["cancelled"])
    }).pipe(Effect.provide(TestJobs.layer(Charging, ChargingLive))))

  const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
  const blocks = ["flows", "events"].flatMap((name) =>
    [...text(`../../../docs/${name}.md`).matchAll(/```ts\n([^]*?)```/g)].map(([, block]) => block!)
  )
  const programs = ["./FlowGuide.test.ts", "../../capstan/test/EventGuide.test.ts"].map(text)
  it.each(blocks)("have a program that runs: %s", (block) => {
    assert.isTrue(programs.some((program) => program.includes(block)))
  })
})
