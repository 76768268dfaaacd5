// Written by `npm run docs`: the example of `make` of capstan/Flow.
import { Effect } from "effect"
import { Flow } from "capstan"
import { ListRegions, SumSales, WriteReport, day, regions } from "./setting.ts"

export const run = Effect.gen(function*() {
  class NightlyReport extends Flow.make("NightlyReport")
    .node("regions", ListRegions)
    .list("sales", SumSales, { after: ["regions"] })
    .node("report", WriteReport, { after: { sales: "continue" } })
  {}

  const { id } = yield* NightlyReport.start({ sales: regions.map((region) => ({ region })), report: { day } })
})
