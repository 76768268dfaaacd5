/**
 * What a schedule takes for its payload, and what its layer needs.
 */
import { Job, JobSchedule, type JobSchedules, type JobStore } from "capstan"
import { type Context, Layer, Schema } from "effect"
import { describe, expect, test } from "tstyche"

class Report extends Job.make("Report", { payload: { day: Schema.Number } }) {}
class Plain extends Job.make("Plain") {}

const when = { cron: "0 3 * * *" }

describe("the payload of a schedule", () => {
  test("is what its job takes, or a function of the tick that makes it", () => {
    expect(JobSchedule.make<typeof Report>).type.toBeCallableWith("r", Report, { ...when, payload: { day: 1 } })
    JobSchedule.make("r", Report, {
      ...when,
      payload: (tick) => {
        expect(tick).type.toBe<JobSchedule.Tick>()
        return { day: tick.at }
      }
    })
  })

  test("is needed, and of its type", () => {
    expect(JobSchedule.make<typeof Report>).type.not.toBeCallableWith("r", Report, when)
    expect(JobSchedule.make<typeof Report>).type.not.toBeCallableWith("r", Report, { ...when, payload: { day: "1" } })
    expect(JobSchedule.make<typeof Report>).type.not.toBeCallableWith("r", Report, {
      ...when,
      payload: () => ({ day: "1" })
    })
  })

  test("need not be given for a job without one", () => {
    expect(JobSchedule.make<typeof Plain>).type.toBeCallableWith("p", Plain, when)
  })

  test("is a value where the schedule is data: no process has code for it", () => {
    type Upsert = Context.Service.Shape<typeof JobSchedules.JobSchedules>["upsert"]
    const upsert = (() => undefined) as unknown as Upsert
    expect(upsert<typeof Report>).type.toBeCallableWith("r", Report, { ...when, payload: { day: 1 } })
    expect(upsert<typeof Report>).type.not.toBeCallableWith("r", Report, { ...when, payload: () => ({ day: 1 }) })
    expect(upsert<typeof Report>).type.not.toBeCallableWith("r", Report, when)
  })
})

describe("the options of a schedule", () => {
  test("are the policies that there are", () => {
    expect<JobSchedule.ScheduleOptions["missed"]>().type.toBe<"skip" | "runOnce" | "runAll" | undefined>()
    expect<JobSchedule.ScheduleOptions["overlap"]>().type.toBe<
      "skip" | "queue" | "allow" | "cancelPrevious" | undefined
    >()
  })
})

describe("the layer of schedules", () => {
  const report = JobSchedule.make("r", Report, { ...when, payload: { day: 1 } })
  const plain = JobSchedule.make("p", Plain, when)

  test("needs the store alone", () => {
    expect(JobSchedule.layerAll(report, plain)).type.toBe<Layer.Layer<never, never, JobStore.JobStore>>()
    expect(JobSchedule.layer(Plain, when)).type.toBe<Layer.Layer<never, never, JobStore.JobStore>>()
  })
})
