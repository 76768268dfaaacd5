/** Flows as a program sees them, on the memory store in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import { Flow, Job, JobContext, JobError, JobGroup, Jobs, JobStore } from "capstan"
import { Cause, Effect, Exit, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, withWorker } from "./harness.ts"

class Oops extends Schema.TaggedError<Oops>()("Oops", { region: Schema.String }) {}

class List extends Job.make("List", { payload: { day: Schema.String }, success: Schema.Array(Schema.String) }) {}
class Sum extends Job.make("Sum", {
  payload: { region: Schema.String },
  success: Schema.Number,
  error: Oops,
  queue: "sums",
  onError: { Oops: "dead" }
}) {}
class Report extends Job.make("Report", { payload: { day: Schema.String }, success: Schema.String }) {}
class Mail extends Job.make("Mail", { success: Schema.String, queue: "mail" }) {}
class Group extends JobGroup.make(List, Sum, Report, Mail) {}

/** A diamond over a list, with a node behind it. */
class Nightly extends Flow.make("Nightly")
  .node("list", List)
  .list("sums", Sum, { after: { list: "fail" } })
  .node("report", Report, { after: ["sums", "list"] })
  .node("mail", Mail, { after: { report: "fail" } })
{}

class Loose extends Flow.make("Loose")
  .list("sums", Sum)
  .node("one", Sum)
  .list("spare", Sum)
  .node("report", Report, { after: { sums: "continue", one: "ignore", spare: "ignore" } })
{}

/** Which regions fail, until somebody mends them. */
const broken = new Set<string>()

const handlers = Group.toLayer({
  List: () => Effect.succeed(["north", "south"]),
  Sum: ({ region }) => broken.has(region) ? Effect.fail(new Oops({ region })) : Effect.succeed(region.length),
  Report: () =>
    Effect.gen(function*() {
      const { tags } = yield* JobContext.JobContext
      if (tags.includes("Loose/report")) {
        const { one, spare, sums } = yield* Loose.results("report")
        const texts = sums.map((exit) =>
          Exit.isSuccess(exit) ? `${exit.value}` : `${(Cause.squash(exit.cause) as Oops | JobError.JobDead)._tag}`
        )
        return `${texts.join(" ")}, ${Option.getOrElse(one, () => "none")}, ${spare.join(" ")}`
      }
      const { list, sums } = yield* Nightly.results("report")
      return `${list.join(" ")}: ${sums.join(" ")}`
    }),
  Mail: () => Effect.map(Nightly.results("mail"), ({ report }) => `sent ${report}`)
})

const live = withWorker(Group, handlers)
const payloads = {
  list: { day: "monday" },
  sums: [{ region: "north" }, { region: "southwest" }, { region: "east" }],
  report: { day: "monday" }
}

const startNightly = (options?: Flow.StartOptions) => Nightly.start(payloads, options)

describe("Flow", () => {
  it.effect("runs in the order of its edges, over queues, and each node finds the results of those before it by name", () =>
    Effect.gen(function*() {
      const flow = yield* startNightly()
      assert.strictEqual(flow.outcome, "Inserted")
      assert.deepStrictEqual(yield* flow.await, { mail: "sent north south: 5 9 4" })
      assert.strictEqual(yield* flow.node("report").await, "north south: 5 9 4")
      assert.deepStrictEqual(
        yield* Effect.forEach(yield* flow.members("sums"), (member) => member.await),
        [5, 9, 4]
      )
    }).pipe(Effect.provide(live)))

  it.effect("is started once for its key, and the second start answers the first flow", () =>
    Effect.gen(function*() {
      const first = yield* startNightly({ idempotencyKey: "monday" })
      const second = yield* startNightly({ idempotencyKey: "monday" })
      assert.deepStrictEqual([second.outcome, second.id], ["Existing", first.id])
      assert.deepStrictEqual(yield* second.await, { mail: "sent north south: 5 9 4" })
      const other = yield* startNightly({ idempotencyKey: "tuesday" })
      assert.strictEqual(other.outcome, "Inserted")
      const { queues } = yield* Effect.flatMap(JobStore.JobStore, ({ stats }) => stats)
      const total = queues.flatMap(({ counts }) => Object.values(counts)).reduce((sum, count) => sum + count, 0)
      assert.strictEqual(total, 12)
    }).pipe(Effect.provide(live)))

  it.effect("stores nothing when a payload of it is invalid", () =>
    Effect.gen(function*() {
      const sums = [{ region: "north" }, { region: 1 as unknown as string }]
      const error = yield* Effect.flip(Nightly.start({ ...payloads, sums }))
      assert.strictEqual(error.reason._tag, "InvalidPayload")
      const { records } = yield* Effect.flatMap(Jobs.Jobs, (jobs) => jobs.query({}))
      assert.deepStrictEqual(records, [])
    }).pipe(Effect.provide(live)))

  it.effect("ends with what failed: the error of a node, and its id behind it", () =>
    Effect.gen(function*() {
      broken.add("north")
      const flow = yield* startNightly()
      const error = yield* Effect.flip(flow.await)
      const report = yield* recordOf(flow.node("report").id)
      const [north] = yield* flow.members("sums")
      assert.instanceOf(error, JobError.JobDead)
      assert.include(report.failures.at(-1)?.message, north!.id)
      assert.strictEqual(report.deadReason, "DependencyFailed")
      const status = yield* flow.status
      assert.isTrue(status.isFinished)
      assert.deepStrictEqual([status.nodes.sums.dead, status.nodes.sums.completed, status.nodes.mail.dead], [1, 2, 1])
    }).pipe(Effect.ensuring(Effect.sync(() => broken.clear())), Effect.provide(live)))

  it.effect("continues, or ignores, where its edges say so, and the handler finds an Exit or an Option", () =>
    Effect.gen(function*() {
      broken.add("north").add("gone")
      const region = (region: string) => ({ region })
      const flow = yield* Loose.start({
        sums: ["east", "north"].map(region),
        one: region("gone"),
        spare: ["gone", "west", "north"].map(region),
        report: { day: "monday" }
      })
      assert.deepStrictEqual(yield* flow.await, { report: "4 Oops, none, 4" })
      broken.clear()
      const other = yield* Loose.start({ sums: [], one: region("there"), spare: [], report: { day: "monday" } })
      assert.deepStrictEqual(yield* other.await, { report: ", 5, " })
    }).pipe(Effect.ensuring(Effect.sync(() => broken.clear())), Effect.provide(live)))

  it.effect("goes on from what failed when it is retried, and what was completed is not run again", () =>
    Effect.gen(function*() {
      broken.add("north").add("east")
      const flow = yield* startNightly()
      yield* Effect.flip(flow.await)
      yield* settle
      broken.clear()
      // The other sum failed too.
      assert.deepStrictEqual(yield* flow.retry(), { changed: 2, requested: 0 })
      assert.deepStrictEqual(yield* flow.await, { mail: "sent north south: 5 9 4" })
      const members = yield* flow.members("sums")
      const attempts = yield* Effect.forEach(
        members,
        ({ id }) => Effect.map(recordOf(id), ({ attempts }) => attempts.length)
      )
      assert.deepStrictEqual(attempts, [2, 1, 2])
    }).pipe(Effect.ensuring(Effect.sync(() => broken.clear())), Effect.provide(live)))

  it.effect("is cancelled as a whole or in part, and runs when it is retried", () =>
    Effect.gen(function*() {
      const flow = yield* Nightly.start(payloads, { delay: "1 hour" })
      yield* settle
      assert.deepStrictEqual(yield* flow.cancel({ reason: "no", from: "report" }), { changed: 2, requested: 0 })
      const part = yield* flow.status
      assert.deepStrictEqual([part.counts.cancelled, part.nodes.report.cancelled, part.isFinished], [2, 1, false])
      assert.deepStrictEqual(yield* flow.cancel({ reason: "no", to: "sums" }), { changed: 4, requested: 0 })
      assert.deepStrictEqual((yield* flow.status).counts.cancelled, 6)
      assert.deepStrictEqual(yield* flow.retry(), { changed: 6, requested: 0 })
      assert.deepStrictEqual(yield* flow.await, { mail: "sent north south: 5 9 4" })
      const error = yield* Effect.flip(flow.cancel({ reason: "no", from: "report", to: "list" }))
      assert.instanceOf(error, JobError.JobControlError)
    }).pipe(Effect.provide(live)))

  it.effect("is found again by its id", () =>
    Effect.gen(function*() {
      const { id } = yield* startNightly()
      assert.deepStrictEqual(yield* Nightly.handle(id).await, { mail: "sent north south: 5 9 4" })
    }).pipe(Effect.provide(live)))

  it("throws at construction for a node that is unknown, there already or badly named, and for a cycle", () => {
    const flow = Flow.make("F").node("a", Mail) as unknown as {
      readonly node: (name: string, job: typeof Mail, options?: object) => unknown
    }
    assert.throws(() => flow.node("a", Mail), "flow F, node a: there is a node of this name already")
    assert.throws(() => flow.node("b", Mail, { after: { c: "fail" } }), "it waits for c, which is no node before it")
    assert.throws(() => flow.node("b", Mail, { after: ["a", "c"] }), "it waits for c, which is no node before it")
    assert.throws(() => flow.node("b", Mail, { after: { b: "fail" } }), "it waits for b, which is no node before it")
    assert.throws(() => flow.node("b", Mail, { after: { a: "explode" } }), "must be one of fail, cancelSiblings")
    assert.throws(() => flow.node("b/c", Mail), "a name of a node has no /")
    assert.throws(() => Flow.make("1"), "must start with a letter")
  })
})

class Find extends Job.make("Find", { success: Schema.Void }) {}
class Total extends Job.make("Total", { success: Schema.Number }) {}
class Crawl extends Flow.make("Crawl")
  .node("find", Find)
  .list("pages", Sum, { after: { find: "fail" } })
  .node("total", Total, { after: { pages: "fail" } })
{}

class Page extends Job.make("Page", {
  payload: { region: Schema.String },
  success: Schema.Number,
  unique: { key: ({ region }) => region }
}) {}
class Survey extends Flow.make("Survey")
  .node("find", Find)
  .list("pages", Page, { after: { find: "fail" } })
  .node("total", Total, { after: { pages: "fail" } })
{}

describe("Flow, added to while it runs", () => {
  const crawl = (
    find: Effect.Effect<void, JobError.EnqueueError | JobError.JobStoreError, JobContext.JobContext | JobStore.JobStore>
  ) =>
    withWorker(
      JobGroup.make(Find, Sum, Total),
      JobGroup.make(Find, Sum, Total).toLayer({
        Find: () => find,
        Sum: ({ region }) => Effect.succeed(region.length),
        Total: () => Effect.map(Crawl.results("total"), ({ pages }) => pages.reduce((sum, page) => sum + page, 0))
      })
    )
  const add = (...regions: ReadonlyArray<string>) => Crawl.add("pages", regions.map((region) => ({ region })))

  it.effect("waits for what a handler has added, in the order of the start and then what was added", () =>
    Effect.gen(function*() {
      const flow = yield* Crawl.start({ pages: [{ region: "a" }] })
      assert.deepStrictEqual(yield* flow.await, { total: 6 })
      assert.strictEqual((yield* flow.members("pages")).length, 3)
    }).pipe(Effect.provide(crawl(Effect.asVoid(add("bb", "ccc"))))))

  it.effect("adds the same once, however often the attempt runs, and two alike twice", () => {
    let attempts = 0
    return Effect.gen(function*() {
      const flow = yield* Crawl.start({ pages: [] })
      yield* TestClock.adjust("1 minute")
      assert.deepStrictEqual(yield* flow.await, { total: 5 })
      assert.strictEqual(attempts, 2)
    }).pipe(Effect.provide(crawl(
      Effect.gen(function*() {
        yield* add("a", "bb", "bb")
        if (++attempts === 1) return yield* Effect.die("crashed after it had added")
      })
    )))
  })

  /** The first enqueue of a handler fails, before or after the store has done it. */
  const failingOnce = (isStored: boolean) => {
    let calls = 0
    return <A, E, R>(effect: Effect.Effect<A, E, R | JobStore.JobStore>) =>
      Effect.flatMap(JobStore.JobStore, (store) => {
        const lost = new JobError.JobStoreError({
          reason: new JobError.OutcomeUnknown({ operation: "enqueue", detail: "lost" })
        })
        const enqueue: JobStore.Shape["enqueue"] = (request) =>
          ++calls > 1 ? store.enqueue(request) : Effect.andThen(
            isStored ? store.enqueue(request) : Effect.void,
            Effect.fail(lost)
          )
        return Effect.provideService(effect, JobStore.JobStore, { ...store, enqueue })
      })
  }

  for (const isStored of [true, false]) {
    it.effect(`adds once what it adds again because a call has failed, which had ${isStored ? "" : "not "}stored it`, () => {
      const failing = failingOnce(isStored)
      let attempts = 0
      return Effect.gen(function*() {
        const flow = yield* Crawl.start({ pages: [] })
        yield* TestClock.adjust("1 minute")
        assert.deepStrictEqual(yield* flow.await, { total: 4 })
        assert.strictEqual(attempts, 2)
      }).pipe(Effect.provide(crawl(
        Effect.gen(function*() {
          yield* failing(Effect.retry(add("bb"), { times: 1 }))
          yield* add("bb")
          if (++attempts === 1) return yield* Effect.die("crashed after it had added")
        })
      )))
    })
  }

  it.effect("adds nothing where another record has a unique key of it, and says who", () => {
    let refusal: unknown
    const find = Survey.add("pages", [{ region: "free" }, { region: "held" }]).pipe(
      Effect.flip,
      Effect.orDie,
      Effect.map((error) => {
        refusal = error
      })
    )
    const group = JobGroup.make(Find, Page, Total)
    return Effect.gen(function*() {
      const holder = yield* Page.enqueue({ region: "held" }, { delay: "1 hour" })
      const flow = yield* Survey.start({ pages: [{ region: "other" }] })
      assert.deepStrictEqual(yield* flow.await, { total: 5 })
      assert.instanceOf(refusal, JobError.EnqueueError)
      assert.deepInclude((refusal as JobError.EnqueueError).reason as JobError.UniqueConflict, {
        _tag: "UniqueConflict",
        job: "Page",
        key: "held",
        holder: holder.id
      })
      assert.strictEqual((yield* flow.members("pages")).length, 1)
    }).pipe(Effect.provide(withWorker(
      group,
      group.toLayer({
        Find: () => find,
        Page: ({ region }) => Effect.succeed(region.length),
        Total: () => Effect.map(Survey.results("total"), ({ pages }) => pages.reduce((sum, page) => sum + page, 0))
      })
    )))
  })

  it.effect("is a child of the attempt, and refused when that is stale", () =>
    Effect.gen(function*() {
      const flow = yield* Crawl.start({ pages: [] })
      yield* flow.await
      const [page] = yield* flow.members("pages")
      const { flowId, parent } = yield* recordOf(page!.id)
      assert.deepStrictEqual([flowId, parent], [flow.id, flow.node("find").id])
      // Long over: its fence is stale.
      const store = yield* JobStore.JobStore
      const by = { id: flow.node("find").id, fence: 1 }
      const record = { ...(yield* recordOf(page!.id)), id: flow.id, delay: 0, retention: keepAll }
      const error = yield* Effect.flip(store.enqueue({ records: [record], by }))
      assert.strictEqual(error.reason._tag, "LeaseLost")
    }).pipe(Effect.provide(crawl(Effect.asVoid(add("bb"))))))
})

const keep = { age: Infinity, count: Infinity }
const keepAll = { completed: keep, cancelled: keep, dead: keep }

describe("Flow.outlineOf", () => {
  it.effect("tells from the record with the flow's id how the flow was declared, and nothing from another", () =>
    Effect.gen(function*() {
      const flow = yield* Loose.start(
        { sums: [{ region: "a" }], one: { region: "b" }, spare: [], report: { day: "today" } },
        { headers: { tenant: "acme" } }
      )
      const head = yield* recordOf(flow.id)
      assert.strictEqual(head.headers["tenant"], "acme")
      assert.deepStrictEqual(
        Flow.outlineOf(head),
        Option.some(
          {
            name: "Loose",
            head: "report",
            nodes: [
              { name: "sums", isList: true, after: {} },
              { name: "one", isList: false, after: {} },
              { name: "spare", isList: true, after: {} },
              { name: "report", isList: false, after: { sums: "continue", one: "ignore", spare: "ignore" } }
            ]
          } as const
        )
      )
      assert.isTrue(Option.isNone(Flow.outlineOf(yield* recordOf(flow.node("one").id))))
      for (const header of ["a word of somebody else", "null", `{"name":"f","head":"h","nodes":[1]}`]) {
        assert.isTrue(Option.isNone(Flow.outlineOf({ headers: { "capstan-flow": header } })), header)
      }
    }).pipe(Effect.provide(live)))
})

describe("Flow, wrongly used", () => {
  it.effect("says so where results are asked for outside of their node", () =>
    Effect.gen(function*() {
      const handle = yield* Sum.enqueue({ region: "x" })
      yield* settle
      const { failures } = yield* recordOf(handle.id)
      assert.include(failures.at(-1)?.message, `Crawl.results("total") was called in an attempt of Sum`)
    }).pipe(Effect.provide(withWorker(
      JobGroup.make(Sum),
      JobGroup.make(Sum).toLayer({ Sum: () => Effect.map(Crawl.results("total"), () => 1) })
    ))))
})
