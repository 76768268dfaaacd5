/**
 * A report every night, as a flow: one sum a region, of which some may fail, then the report of those that there are, then a
 * letter. The schedule's job starts the flow once for each night, whoever of many processes it is that ticks.
 */
import { Flow, Job, JobGroup, JobSchedule, JobStore, JobWorker } from "capstan"
import { Console, Effect, Exit, Layer, Schema } from "effect"

class NoSales extends Schema.TaggedError<NoSales>()("NoSales", { region: Schema.String }) {}

const sales: Readonly<Record<string, ReadonlyArray<number>>> = { north: [120, 80], east: [45], south: [300, 20, 5] }
export const regions = ["north", "west", "east", "south"]

// What is done for one region. A region without sales is no reason to try again.
class SumSales extends Job.make("SumSales", {
  payload: { region: Schema.String, night: Schema.String },
  success: Schema.Struct({ region: Schema.String, total: Schema.Number }),
  error: NoSales,
  queue: "sums",
  onError: { NoSales: "dead" }
}) {}

class WriteReport extends Job.make("WriteReport", {
  payload: { night: Schema.String },
  success: Schema.Struct({ total: Schema.Number, lines: Schema.Array(Schema.String) })
}) {}

class SendLetter extends Job.make("SendLetter", { success: Schema.String, queue: "letters" }) {}

class NightlyReport extends Flow.make("NightlyReport")
  .list("sums", SumSales)
  .node("report", WriteReport, { after: { sums: "continue" } })
  .node("letter", SendLetter, { after: { report: "fail" } })
{}

// The schedule's job starts the flow. Should its attempt run twice, the key makes one flow of both.
class StartNight extends Job.make("StartNight", { payload: { night: Schema.String } }) {}

class Reports extends JobGroup.make(SumSales, WriteReport, SendLetter, StartNight) {}

const ReportsLive = Reports.toLayer({
  SumSales: ({ region }) =>
    sales[region] === undefined
      ? Effect.fail(new NoSales({ region }))
      : Effect.succeed({ region, total: sales[region].reduce((sum, sale) => sum + sale, 0) }),

  // An edge with "continue" gives an Exit for each region: what failed is told, and does not hold up the rest.
  WriteReport: Effect.fnUntraced(function*() {
    const { sums } = yield* NightlyReport.results("report")
    const done = sums.filter(Exit.isSuccess).map(({ value }) => value)
    const lines = [
      ...done.map(({ region, total }) => `${region}: ${total}`),
      ...(done.length < sums.length ? [`${sums.length - done.length} without sales`] : [])
    ]
    return { total: done.reduce((sum, { total }) => sum + total, 0), lines }
  }),

  SendLetter: Effect.fnUntraced(function*() {
    const { report } = yield* NightlyReport.results("letter")
    yield* Effect.forEach(report.lines, (line) => Console.log(line), { discard: true })
    return `total ${report.total}`
  }),

  StartNight: ({ night }) => Effect.asVoid(startNight(night))
})

export const startNight = (night: string) =>
  NightlyReport.start({
    sums: regions.map((region) => ({ region, night })),
    report: { night }
  }, { idempotencyKey: night })

/** At three every night, for the day before. */
const EveryNight = JobSchedule.layer(StartNight, {
  cron: "0 3 * * *",
  timeZone: "Europe/Berlin",
  payload: ({ at }) => ({ night: new Date(at - 86_400_000).toISOString().slice(0, 10) })
})

export const Live = Layer.mergeAll(JobWorker.layer(Reports).pipe(Layer.provide(ReportsLive)), EveryNight).pipe(
  Layer.provideMerge(JobStore.layerMemory())
)
