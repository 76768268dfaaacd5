/** A logger that throws: who tells it something goes on all the same. */
import { assert, describe, it } from "@effect/vitest"
import { Job, type JobContext, JobError, JobGroup, Jobs, JobSchedule, type JobStore, Step } from "capstan"
import { Effect, Layer, Logger, Schedule, type Schema, Stream } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, storeWith, withOnly } from "./harness.ts"

class Task extends Job.make("Task", {
  retryDefects: Schedule.spaced("1 hour").pipe(Schedule.modifyDelay(() => Effect.die("bad policy")))
}) {}

const away = new JobError.JobStoreError({ reason: new JobError.Unavailable({ operation: "any", detail: "test" }) })

/** The first call fails. */
const failingFirst = () => {
  let isFirst = true
  return <A>(call: Effect.Effect<A, JobError.JobStoreError>) =>
    Effect.suspend(() => {
      if (!isFirst) return call
      isFirst = false
      return Effect.fail(away)
    })
}

const logging = () => {
  const told: Array<string> = []
  const layer = Logger.layer([
    Logger.make(({ message }) => {
      told.push(String([message].flat()[0]).replaceAll(/[\da-f-]{36}/g, "…"))
      throw new Error("the log is full")
    })
  ])
  return { told, layer }
}

/** A record half a minute after its enqueue, and what the logger was told. */
const later = (
  handler: () => Job.HandlerEffect<typeof Schema.Void, typeof Schema.Never, JobContext.JobContext>,
  change: (store: JobStore.Shape) => Partial<JobStore.Shape> = () => ({})
) => {
  const { layer, told } = logging()
  const worker = withOnly(JobGroup.make(Task), Task.toLayer(handler))
  return Effect.gen(function*() {
    yield* TestClock.adjust("30 seconds")
    const { id } = yield* Task.enqueue()
    yield* TestClock.adjust("30 seconds")
    return { record: yield* recordOf(id), told }
  }).pipe(Effect.provide(Layer.provideMerge(worker, storeWith(change))), Effect.provide(layer))
}

describe("with a logger that throws", () => {
  for (const verb of ["exchange", "renew"] as const) {
    it.effect(`a worker goes on whose store has not answered: ${verb}`, () =>
      Effect.gen(function*() {
        const { record, told } = yield* later(() => Effect.void, (store) => {
          const call = failingFirst()
          return verb === "exchange"
            ? { exchange: (request) => call(store.exchange(request)) }
            : { renew: (request) => call(store.renew(request)) }
        })
        assert.deepStrictEqual([record.state, told], [
          "completed",
          ["worker …: the store does not answer, it is asked again until it succeeds"]
        ])
      }))
  }

  it.effect("a loop that failed starts again", () =>
    Effect.gen(function*() {
      let times = 0
      const { record, told } = yield* later(() => Effect.void, (store) => ({
        wakeups: (worker, queues) => times++ === 0 ? Stream.die("torn") : store.wakeups(worker, queues)
      }))
      assert.deepStrictEqual([record.state, told], ["completed", ["worker …: its listener failed and starts again"]])
    }))

  it.effect("the default policy holds in the place of one that throws", () =>
    Effect.gen(function*() {
      let runs = 0
      const { record } = yield* later(() => runs++ === 0 ? Effect.die("once") : Effect.void)
      assert.deepStrictEqual([record.state, record.attempt], ["completed", 2])
    }))

  it.effect("a record is completed of whose steps one was not asked for", () =>
    Effect.gen(function*() {
      let runs = 0
      const { record, told } = yield* later(() =>
        Effect.suspend(() =>
          runs++ === 0 ? Effect.andThen(Step.run("a", Effect.void), Effect.die("once")) : Effect.void
        )
      )
      assert.deepStrictEqual([record.state, record.attempt, told.length], ["completed", 2, 2])
    }))

  it.effect("a schedule goes on that could not be read, and one whose payload threw", () => {
    const { layer, told } = logging()
    let thrown = 0
    const payload = () => {
      if (thrown++ === 0) throw new Error("no report")
    }
    const store = storeWith((store) => {
      const call = failingFirst()
      return { schedules: (request) => call(store.schedules(request)) }
    })
    return Effect.gen(function*() {
      yield* Layer.build(JobSchedule.layer(Task, { every: "1 minute", payload }))
      for (let i = 0; i < 90; i++) yield* TestClock.adjust("1 second")
      const { records } = yield* (yield* Jobs.Jobs).query({ order: "oldest" })
      assert.deepStrictEqual(records.map(({ enqueuedAt }) => enqueuedAt), [61_000])
      assert.deepStrictEqual(told, [
        "schedules could not be read, they are read again",
        "schedule Task failed and goes on"
      ])
    }).pipe(Effect.scoped, Effect.provide(store), Effect.provide(layer))
  })
})
