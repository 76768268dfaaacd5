/**
 * The programs of `docs/schedules.md`, word for word as they stand there: here they run.
 */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobSchedule, JobSchedules, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Logger, Option, Schema } from "effect"
import { TestClock } from "effect/testing"
import { readFileSync } from "node:fs"

class Digest extends Job.make("Digest", { payload: { user: Schema.String } }) {}

class Report extends Job.make("Report") {}
const ReportLive = Report.toLayer(() => Effect.log("the report"))
const Every = JobSchedule.layer(Report, { cron: "0 3 * * *", timeZone: "Europe/Berlin" })

const Main = Layer.mergeAll(JobWorker.layer(JobGroup.make(Report)).pipe(Layer.provide(ReportLive)), Every).pipe(
  Layer.provide(JobStore.layerMemory())
)

const program = Effect.gen(function*() {
  const { get, pause, resume, runNow, upsert } = yield* JobSchedules.JobSchedules
  yield* upsert("digest/ada", Digest, { cron: "0 7 * * MON", timeZone: "Europe/London", payload: { user: "ada" } })
  yield* pause("digest/ada", { reason: "on holiday" })
  yield* resume("digest/ada")
  yield* runNow("digest/ada")
  return yield* get("digest/ada")
})

describe("the guide to schedules", () => {
  const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
  const blocks = [...text("../../../docs/schedules.md").matchAll(/```ts\n([^]*?)```/g)].map(([, block]) => block!)

  it.each(blocks)("has a program that runs here: %s", (block) => {
    assert.include(text("./ScheduleGuide.test.ts"), block)
  })

  it.effect("runs a report at three in the morning, in Berlin", () => {
    const at: Array<string> = []
    const logger = Logger.make(({ date, message }) => void at.push(`${String(message)} at ${date.toISOString()}`))
    return Effect.gen(function*() {
      yield* TestClock.setTime(Date.parse("2025-03-29T12:00:00Z"))
      yield* Layer.build(Main)
      yield* TestClock.adjust(0)
      for (let i = 0; i < 48; i++) yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(at, [
        "the report at 2025-03-30T01:00:00.000Z",
        "the report at 2025-03-31T01:00:00.000Z"
      ])
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([logger])))
  })

  it.effect("makes a schedule as data, and looks at it", () =>
    Effect.gen(function*() {
      const { last, next, status } = Option.getOrThrow(yield* program)
      assert.strictEqual(status, "active")
      // Thursday, 1 January 1970; London was an hour ahead of UTC then.
      assert.deepStrictEqual(
        Option.map(next, ({ at }) => new Date(at).toISOString()),
        Option.some("1970-01-05T06:00:00.000Z")
      )
      assert.deepStrictEqual(
        Option.map(last, ({ outcome, run }) => [outcome, Option.getOrThrow(run).state]),
        Option.some(["Enqueued", "ready"])
      )
    }).pipe(Effect.provide(Layer.provide(JobSchedules.layer, JobStore.layerMemory()))))
})
