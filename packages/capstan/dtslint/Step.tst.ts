/**
 * What the types of steps and waitpoints promise, and what they must refuse.
 */
import type { JobContext, JobError, Transactional } from "capstan"
import { Job, JobGroup, JobStore, JobWorker, Step, Waitpoint } from "capstan"
import { Context, Effect, Layer, Option, Schema, Stream } from "effect"
import { describe, expect, test } from "tstyche"

class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
class Bank extends Context.Service<Bank, { readonly charge: Effect.Effect<number, Declined> }>()("test/Bank") {}
class Charge extends Job.make("Charge", { payload: { id: Schema.String }, success: Schema.Number, error: Declined }) {}
class Approval extends Waitpoint.make("Approval", { success: Schema.Struct({ by: Schema.String }) }) {}

const charge = Effect.flatMap(Bank, ({ charge }) => charge)

describe("run", () => {
  test("has the success of its schema, the effect's errors and services, and those of the store", () => {
    const step = Step.run("charge", { success: Schema.Number }, charge)
    expect(step).type.toBe<
      Effect.Effect<number, Declined | JobError.JobStoreError, Bank | JobContext.JobContext>
    >()
  })

  test("refuses an effect with another success than its schema", () => {
    expect(Step.run).type.not.toBeCallableWith("a", { success: Schema.String }, Effect.succeed(1))
  })

  test("without a schema has no result", () => {
    expect(Step.run("a", Effect.succeed(1))).type.toBe<
      Effect.Effect<void, JobError.JobStoreError, JobContext.JobContext>
    >()
  })

  test("the last upcast lifts to the present result", () => {
    const one = Job.version(1, Schema.Number, (value) => String(value))
    expect(Step.run).type.toBeCallableWith(
      "a",
      { success: Schema.String, version: 2, upcast: [one] as const },
      Effect.succeed("a")
    )
    expect(Step.run).type.not.toBeCallableWith(
      "a",
      { success: Schema.Boolean, version: 2, upcast: [one] as const },
      Effect.succeed(true)
    )
  })
})

describe("commit", () => {
  const handlers = Charge.toLayer(() =>
    Effect.provideService(Step.commit("charge", { success: Schema.Number }, charge), Bank, {
      charge: Effect.succeed(1)
    })
  )

  test("needs a store that shares the caller's database: on another one the program does not compile", () => {
    expect<Layer.Services<typeof handlers>>().type.toBe<Transactional.Transactional>()
    const onMemory = JobWorker.layer(JobGroup.make(Charge)).pipe(
      Layer.provide(handlers),
      Layer.provide(JobStore.layerMemory())
    )
    expect(Effect.runFork).type.not.toBeCallableWith(Layer.launch(onMemory))
  })
})

describe("each", () => {
  test("hands the items of the stream to its effect, and the cursor of its schema to the stream", () => {
    const step = Step.each("rows", {
      cursor: Schema.Int,
      items: (after) => {
        expect(after).type.toBe<Option.Option<number>>()
        return Stream.make({ id: 1 })
      },
      cursorOf: ({ id }) => id,
      run: ({ id }) => id > 0 ? charge : Effect.void
    })
    expect(step).type.toBe<
      Effect.Effect<number, Declined | JobError.JobStoreError, Bank | JobContext.JobContext>
    >()
  })
})

const invokeCharge = () => Step.invoke("charge", Charge, { id: "i" })

describe("invoke", () => {
  test("has the other job's success and errors", () => {
    expect(Step.invoke("charge", Charge, { id: "i" })).type.toBe<
      Effect.Effect<
        number,
        | Declined
        | JobError.JobDead
        | JobError.JobCancelled
        | JobError.JobGone
        | JobError.EnqueueError
        | JobError.JobStoreError,
        JobContext.JobContext
      >
    >()
    const inTime = Step.invoke("charge", Charge, { id: "i" }, { timeout: "1 hour" })
    expect<Effect.Success<typeof inTime>>().type.toBe<number>()
    expect<Effect.Error<typeof inTime>>().type.toBe<
      Effect.Error<ReturnType<typeof invokeCharge>> | JobError.InvokeTimedOut
    >()
    expect(Step.invoke<typeof Charge>).type.not.toBeCallableWith("charge", Charge, { id: "i" }, { timeout: true })
    expect(Step.invoke<typeof Charge>).type.not.toBeCallableWith("charge", Charge, { id: 1 })
  })
})

describe("withCompensation", () => {
  test("gets the step's value, and adds its services alone", () => {
    const step = Step.run("charge", { success: Schema.Number }, Effect.succeed(1)).pipe(
      Step.withCompensation((value) => {
        expect(value).type.toBe<number>()
        return charge
      })
    )
    expect(step).type.toBe<Effect.Effect<number, JobError.JobStoreError, Bank | JobContext.JobContext>>()
  })
})

describe("a waitpoint", () => {
  test("is awaited and completed with its type", () => {
    expect<Effect.Success<typeof Approval.await>>().type.toBe<{ readonly by: string }>()
    expect<Effect.Error<typeof Approval.await>>().type.toBe<JobError.JobStoreError>()
    expect<Effect.Error<ReturnType<typeof Approval.awaitFor>>>().type.toBe<
      JobError.JobStoreError | JobError.WaitpointTimedOut
    >()
    expect(Approval.complete).type.toBeCallableWith("id", { by: "ada" })
    expect(Approval.complete).type.not.toBeCallableWith("id", { by: 1 })
  })

  test("a handler may not end with its timeout undeclared", () => {
    expect(Charge.toLayer).type.not.toBeCallableWith(() => Effect.as(Approval.awaitFor("1 day"), 1))
  })
})
