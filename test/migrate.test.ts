/** The mover, from a queue in memory to a store in memory; the guides have what runs here and in `npm run test:migrate`. */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobSchedules, JobStore, JobWorker } from "capstan"
import { Effect, Exit, FileSystem, Layer, Logger, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { readdirSync, readFileSync } from "node:fs"
import * as Cron from "../recipes/migrate/cron.ts"
import { MakeReport, routes } from "../recipes/migrate/jobs.ts"
import * as Ours from "../recipes/migrate/ours.ts"
import { move, type Options } from "../recipes/migrate/src/move.ts"
import { reportTo } from "../recipes/migrate/src/report.ts"
import { route } from "../recipes/migrate/src/route.ts"
import type { Reject, Source, SourceJob } from "../recipes/migrate/src/source.ts"

const day = 86_400_000

const job = (id: string, given: Partial<SourceJob> = {}): SourceJob => ({
  id,
  edition: "1",
  name: "send-mail",
  payload: { to: "ada", subject: id },
  priority: 0,
  attempts: 0,
  ...given
})

const mails = (n: number) => Array.from({ length: n }, (_, i) => job(`m${i}`))

/** A queue in memory, which is asked for four jobs at a time. */
const queueOf = (...jobs: ReadonlyArray<SourceJob>) => {
  const waiting = new Map(jobs.map((job) => [job.id, job]))
  const source: Source = {
    name: "memory",
    pages: Effect.fnUntraced(function*(removes, use) {
      const all = [...waiting.values()]
      for (let i = 0; i < all.length; i += 4) {
        const done = yield* use(all.slice(i, i + 4))
        if (removes) done.forEach((id) => waiting.delete(id))
      }
    }),
    others: Effect.succeed([{ id: "r1", name: "send-mail", reason: "Running", detail: "a worker has it" }])
  }
  return { waiting, source }
}

const run = (source: Source, options: Partial<Options> = {}) =>
  Effect.gen(function*() {
    const rejects: Array<Reject> = []
    const report = (some: ReadonlyArray<Reject>) => Effect.sync(() => void rejects.push(...some))
    return { rejects, counts: yield* move({ source, routes, mode: "move", report, ...options }) }
  })

const records = Effect.gen(function*() {
  const store = yield* JobStore.JobStore
  return (yield* store.query({ where: {}, order: "oldest", limit: 1000 })).records
})

const movedFrom = Effect.map(records, (records) => records.map(({ headers }) => headers["moved-from"]).toSorted())

/** The store as it is, which dies with the fiber that calls it: before or after its n-th enqueue. */
const dying = (store: JobStore.Shape, n: number, when: "before" | "after"): JobStore.Shape => {
  let calls = 0
  return {
    ...store,
    enqueue: (request) => {
      calls++
      if (calls !== n) return store.enqueue(request)
      return when === "before" ? Effect.interrupt : Effect.andThen(store.enqueue(request), Effect.interrupt)
    }
  }
}

const Memory = JobStore.layerMemory()
const quiet = Logger.layer([])
const live = <A, E>(name: string, effect: () => Effect.Effect<A, E, JobStore.JobStore>) =>
  it.effect(name, () => Effect.provide(effect(), [Memory, quiet]))

describe("the mover", () => {
  for (const when of ["before", "after"] as const) {
    live(`killed ${when} any of its enqueues and run again, has each job once`, () =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const { source, waiting } = queueOf(...mails(22))
        let kills = 0
        for (let n = 1; waiting.size > 0; n = n % 3 + 1) {
          const exit = yield* Effect.exit(
            Effect.provideService(run(source), JobStore.JobStore, dying(store, n, when))
          )
          if (Exit.isFailure(exit)) kills++
        }
        assert.isAbove(kills, 2)
        assert.deepStrictEqual(yield* movedFrom, mails(22).map(({ id }) => `memory/${id}`).toSorted())
      }))
  }

  live("reports what stays, and why, in every run", () =>
    Effect.gen(function*() {
      const { source, waiting } = queueOf(
        job("m1"),
        job("u1", { name: "resize" }),
        job("d1", { payload: { to: 1 } }),
        job("d2", { name: "make-report", payload: null }),
        job("f1", { obstacle: { reason: "PartOfFlow", detail: "others" } }),
        job("t1", { payload: { to: "ada", subject: "x".repeat(300_000) } }),
        job("k1", { name: "make-report", payload: { date: "monday" } }),
        job("k2", { name: "make-report", payload: { date: "monday" } })
      )
      const expected = [
        ["u1", "UnknownName"],
        ["d1", "Unreadable"],
        ["d2", "Unreadable"],
        ["f1", "PartOfFlow"],
        ["t1", "Refused"],
        ["k2", "Held"],
        ["r1", "Running"]
      ]
      const first = yield* run(source)
      const byId = (rejects: ReadonlyArray<Reject>) => rejects.map(({ id, reason }) => [id, reason]).toSorted()
      assert.deepStrictEqual(byId(first.rejects), expected.toSorted())
      assert.deepStrictEqual([...waiting.keys()], ["u1", "d1", "d2", "f1", "t1", "k2"])
      assert.deepInclude(first.counts, { read: 8, stored: 2, before: 0, removed: 2 })
      const second = yield* run(source)
      assert.deepStrictEqual(byId(second.rejects), expected.toSorted())
      assert.deepInclude(second.counts, { read: 6, stored: 0, removed: 0 })
    }))

  live("keeps what a job was: its instant, its priority, its place", () =>
    Effect.gen(function*() {
      const { source } = queueOf(
        job("b", { priority: -3 }),
        job("a", { priority: 7, attempts: 2 }),
        job("later", { runAt: day })
      )
      yield* run(source)
      const found = yield* records
      assert.deepStrictEqual(
        found.map(({ dueAt, headers, priority, state }) => [headers["moved-from"], priority, state, dueAt]).toSorted(),
        [
          ["memory/a", 7, "ready", undefined],
          ["memory/b", -3, "ready", undefined],
          ["memory/later", 0, "scheduled", day]
        ]
      )
      assert.strictEqual(found.find(({ priority }) => priority === 7)!.headers["moved-attempts"], "2")
    }))

  live(
    "stores nothing in a dry run, and leaves all after a copy, which a move then finds",
    () =>
      Effect.gen(function*() {
        const { source, waiting } = queueOf(...mails(9), job("u1", { name: "resize" }))
        const dry = yield* run(source, { mode: "dry" })
        assert.deepInclude(dry.counts, { read: 10, stored: 9, removed: 0, rejected: { UnknownName: 1, Running: 1 } })
        assert.strictEqual((yield* records).length, 0)
        yield* run(source, { mode: "copy" })
        assert.deepStrictEqual([(yield* records).length, waiting.size], [9, 10])
        const moved = yield* run(source)
        assert.deepInclude(moved.counts, { stored: 0, before: 9, removed: 9 })
        assert.deepStrictEqual([(yield* records).length, waiting.size], [9, 1])
      })
  )

  live("takes nobody's place: a record with its unique key stays as it is", () =>
    Effect.gen(function*() {
      class Newest extends Job.make("Newest", {
        payload: { of: Schema.String, value: Schema.Number },
        unique: { key: ({ of }) => of, onConflict: "replace" }
      }) {}
      yield* Newest.enqueue({ of: "ada", value: 2 })
      const { source, waiting } = queueOf(job("old", { name: "newest", payload: { of: "ada", value: 1 } }))
      const { rejects } = yield* run(source, { routes: [route("newest", Newest)] })
      assert.deepStrictEqual(rejects.map(({ reason }) => reason), ["Held", "Running"])
      assert.deepStrictEqual((yield* records).map(({ payload }) => payload), [`{"of":"ada","value":2}`])
      assert.strictEqual(waiting.size, 1)
    }))

  live(
    "a job that has been done meanwhile is known for a day, also where nothing of it would be kept",
    () =>
      Effect.gen(function*() {
        class Brief extends Job.make("Brief", { retention: { completed: 0 } }) {}
        let runs = 0
        const work = JobWorker.layer(JobGroup.make(Brief)).pipe(
          Layer.provide(Brief.toLayer(() => Effect.sync(() => void runs++)))
        )
        const { source, waiting } = queueOf(job("b1", { name: "brief", payload: null }))
        const routes = [route("brief", Brief)]
        yield* run(source, { mode: "copy", routes })
        yield* Layer.build(work)
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(runs, 1)
        yield* run(source, { routes })
        yield* TestClock.adjust("1 hour")
        assert.deepStrictEqual([runs, waiting.size], [1, 0])
      }).pipe(Effect.scoped)
  )

  live(
    "a job that has the id of one that has moved, or was changed since it was stored, is another one",
    () =>
      Effect.gen(function*() {
        const { source, waiting } = queueOf(job("m1"), job("m2"))
        yield* run(source, { mode: "copy" })
        waiting.set("m2", job("m2", { edition: "2", payload: { to: "ada", subject: "changed" } }))
        yield* run(source)
        waiting.set("m1", job("m1", { edition: "2", payload: { to: "ada", subject: "again" } }))
        const { counts } = yield* run(source)
        assert.deepInclude(counts, { read: 1, stored: 1, before: 0, removed: 1 })
        const subjects = (yield* records).map(({ payload }) => JSON.parse(payload).subject)
        assert.deepStrictEqual(subjects.toSorted(), ["again", "changed", "m1", "m2"])
      })
  )

  live(
    "says once of a job that stays why, also where it begins to run meanwhile or is read twice",
    () =>
      Effect.gen(function*() {
        const stays = job("r1", { name: "resize" })
        const { source } = queueOf(stays)
        const twice: Source = {
          ...source,
          pages: (_, use) => Effect.andThen(use([stays]), use([stays])),
          others: Effect.map(source.others, (others) => [...others, { ...others[0]!, reason: "Schedule" }])
        }
        const { counts, rejects } = yield* run(twice)
        assert.deepStrictEqual(rejects.map(({ id, reason }) => [id, reason]), [["r1", "UnknownName"], [
          "r1",
          "Schedule"
        ]])
        assert.deepStrictEqual(counts.rejected, { UnknownName: 1, Schedule: 1 })
      })
  )

  live("writes its report as one JSON object a line, anew in each run", () =>
    Effect.gen(function*() {
      const fs = yield* FileSystem.FileSystem
      const path = `${yield* fs.makeTempDirectoryScoped()}/rejects.ndjson`
      const { source } = queueOf(job("u1", { name: "resize" }), ...mails(6))
      for (let i = 0; i < 2; i++) {
        yield* Effect.scoped(Effect.flatMap(reportTo(path), (report) => run(source, { report })))
      }
      const lines = (yield* fs.readFileString(path)).trimEnd().split("\n").map((line) => JSON.parse(line))
      assert.deepStrictEqual(lines, [
        { source: "memory", id: "u1", name: "resize", reason: "UnknownName", detail: "no route for resize" },
        { source: "memory", id: "r1", name: "send-mail", reason: "Running", detail: "a worker has it" }
      ])
    }).pipe(Effect.scoped, Effect.provide(NodeFileSystem.layer)))
})

describe("the guides", () => {
  it.effect("a line of node-cron: ticks at three in Berlin, and skips while the last run goes on", () => {
    const at: Array<string> = []
    const logger = Logger.make(({ date, message }) => void at.push(`${String(message)} at ${date.toISOString()}`))
    const Main = Layer.mergeAll(
      JobWorker.layer(JobGroup.make(Cron.Report)).pipe(Layer.provide(Cron.ReportLive)),
      Cron.Every
    ).pipe(Layer.provideMerge(JobSchedules.layer), Layer.provide(Memory))
    return Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2025-03-29T12:00:00Z"))
      const context = yield* Layer.build(Main)
      yield* TestClock.adjust(0)
      for (let i = 0; i < 24; i++) yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(at, ["the report at 2025-03-30T01:00:00.000Z"])
      const schedules = yield* Effect.provide(JobSchedules.JobSchedules, context)
      assert.strictEqual(Option.getOrThrow(yield* schedules.get("Report")).overlap, "skip")
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
  })

  live("what is enqueued beside the old queue is done", () =>
    Effect.gen(function*() {
      yield* Ours.produce
      assert.deepStrictEqual(
        (yield* records).map(({ priority, state, tag }) => [tag, priority, state]),
        [["SendMail", 0, "ready"], ["SendMail", 0, "scheduled"], ["SendMail", 10, "ready"], ["MakeReport", 0, "ready"]]
      )
      assert.strictEqual((yield* MakeReport.enqueue({ day: "2026-11-26" })).outcome, "Existing")
      yield* Layer.build(Ours.Work)
      yield* TestClock.adjust("2 hours")
      assert.deepStrictEqual([...new Set((yield* records).map(({ state }) => state))], ["completed"])
    }).pipe(Effect.scoped))

  const root = new URL("../", import.meta.url)
  const text = (path: string) => readFileSync(new URL(path, root), "utf8")

  /** As a program has it that installs the package, where the recipe keeps it apart. */
  const fileOf = (path: string, guide: string) =>
    text(`recipes/migrate/${path}`)
      .replace(/^\/\*\*.*\*\/\n/, "")
      .replace(`import { cron } from "../client/index.ts"`, `import cron from "node-cron"`)
      .replace(/"\.\.?\/client\/index\.ts"/, `"${guide}"`)

  const files = ["cron.ts", "jobs.ts", "ours.ts"]
  it.each(["bullmq", "graphile-worker", "node-cron", "pg-boss"])("of %s has no program that does not run", (guide) => {
    const blocks = [...text(`docs/migrate/${guide}.md`).matchAll(/```ts\n([^]*?)```/g)].map(([, block]) => block!)
    const run = [`theirs/${guide}.ts`, ...(guide === "node-cron" ? [] : [`move-${guide}.ts`]), ...files]
      .map((path) => fileOf(path, guide))
    assert.includeMembers(run, blocks)
    assert.isAbove(blocks.length, 1)
  })

  it.each(["bullmq", "graphile-worker", "pg-boss"])("of %s names every reason for which a job stays", (guide) => {
    const declared = /readonly reason: Obstacle\["reason"\] \| ([^\n]*)/.exec(
      text("recipes/migrate/src/source.ts")
    )![1]!
    const reasons = [
      ...declared.matchAll(/"(\w+)"/g),
      ...text("recipes/migrate/src/source.ts").matchAll(/^ {3}\* - `(\w+)`/gm)
    ]
    assert.strictEqual(reasons.length, 8)
    for (const [, reason] of reasons) {
      assert.match(text(`docs/migrate/${guide}.md`), new RegExp(`^\\|.*\`${reason}\`.*\\|`, "m"))
    }
  })

  it("name the versions that are installed", () => {
    const { dependencies } = JSON.parse(text("recipes/migrate/client/package.json"))
    const pages = readdirSync(new URL("docs/migrate", root)).map((name) => text(`docs/migrate/${name}`)).join("")
    for (const name of ["bullmq", "pg-boss", "graphile-worker", "node-cron"]) {
      assert.include(pages, `the package ${dependencies[name]}`)
    }
    const { dependencies: measured } = JSON.parse(text("benchmarks/package.json"))
    for (const name of ["bullmq", "pg-boss", "graphile-worker"]) assert.strictEqual(dependencies[name], measured[name])
  })
})
