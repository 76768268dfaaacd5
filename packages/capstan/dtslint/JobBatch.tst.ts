/**
 * What the types of a batch job promise, and what they must refuse.
 */
import type { JobError } from "capstan"
import { Job, JobBatch, JobContext, JobGroup, JobStore, JobWorker } from "capstan"
import type { Scope } from "effect"
import { Context, Effect, Exit, Layer, Schema } from "effect"
import { describe, expect, test } from "tstyche"

class Rejected extends Schema.TaggedError<Rejected>()("Rejected", { id: Schema.String }) {}
class Other extends Schema.TaggedError<Other>()("Other", {}) {}
class Search extends Context.Service<Search, { readonly index: Effect.Effect<number> }>()("test/Search") {}

const batch = { size: 100, within: "2 seconds" } as const

class Index extends JobBatch.make("Index", {
  payload: { tenant: Schema.String, id: Schema.String },
  success: Schema.Int,
  error: Rejected,
  queue: "search",
  batch: { ...batch, key: ({ tenant }) => tenant }
}) {}
class Single extends Job.make("Single", { payload: Schema.String }) {}

type Member = JobBatch.Member<{ readonly tenant: string; readonly id: string }>
type Members = ReadonlyArray<Member>

describe("a declaration", () => {
  test("has a batch, whose key is text of its payload", () => {
    expect(JobBatch.make).type.not.toBeCallableWith("X", { payload: { id: Schema.String } })
    expect(JobBatch.make).type.toBeCallableWith("X", { payload: { id: Schema.String }, batch })
    expect(JobBatch.make).type.not.toBeCallableWith("X", {
      payload: { id: Schema.String },
      batch: { ...batch, key: (payload: { readonly other: string }) => payload.other }
    })
    expect(JobBatch.make).type.not.toBeCallableWith("X", { batch: { ...batch, key: () => 1 } })
    expect(JobBatch.make).type.not.toBeCallableWith("X", { batch: { size: 1 } })
  })

  test("has the literal types of its tag and queue", () => {
    expect<(typeof Index)["_tag"]>().type.toBe<"Index">()
    expect<(typeof Index)["queue"]>().type.toBe<"search">()
  })

  test("is enqueued and awaited like any other", () => {
    expect(Index.enqueue).type.toBeCallableWith({ tenant: "t", id: "i" })
    expect(Index.enqueue).type.not.toBeCallableWith({ id: "i" })
    expect<Effect.Success<ReturnType<typeof Index.run>>>().type.toBe<number>()
    expect<Effect.Error<ReturnType<typeof Index.run>>>().type.toBe<
      | Rejected
      | JobError.EnqueueError
      | JobError.JobStoreError
      | JobError.JobDead
      | JobError.JobCancelled
      | JobError.JobGone
    >()
  })
})

describe("a handler", () => {
  test("answers an exit for members, by pairs or in a map", () => {
    expect(Index.toLayer).type.toBeCallableWith((members: Members) =>
      Effect.succeed(members.map((member) => [member, Exit.succeed(1)] as const))
    )
    expect(Index.toLayer).type.toBeCallableWith((members: Members) =>
      Effect.succeed(new Map(members.map((member) => [member, Exit.fail(new Rejected({ id: "i" }))])))
    )
    expect(Index.toLayer).type.toBeCallableWith((members: Members) =>
      JobBatch.each(members, ({ id }) => id === "" ? Effect.fail(new Rejected({ id })) : Effect.succeed(1))
    )
  })

  test("does not answer one value, bare results, or exits without their members", () => {
    expect(Index.toLayer).type.not.toBeCallableWith((members: Members) => Effect.succeed(members.length))
    expect(Index.toLayer).type.not.toBeCallableWith((members: Members) => Effect.asVoid(Effect.succeed(members)))
    expect(Index.toLayer).type.not.toBeCallableWith((members: Members) => Effect.succeed(members.map(() => 1)))
    expect(Index.toLayer).type.not.toBeCallableWith((members: Members) =>
      Effect.succeed(members.map(() => Exit.succeed(1)))
    )
  })

  test("does not answer other results or errors than the declared ones", () => {
    expect(Index.toLayer).type.not.toBeCallableWith((members: Members) =>
      Effect.succeed(members.map((member) => [member, Exit.succeed("one")] as const))
    )
    expect(Index.toLayer).type.not.toBeCallableWith((members: Members) =>
      Effect.succeed(members.map((member) => [member, Exit.fail(new Other())] as const))
    )
    expect(Index.toLayer).type.not.toBeCallableWith(() => Effect.fail(new Other()))
    expect(Index.toLayer).type.toBeCallableWith(() => Effect.fail(new Rejected({ id: "i" })))
  })

  test("is no handler of one payload, and a job of single records takes no batch", () => {
    expect(Index.toLayer).type.not.toBeCallableWith(({ id }: { readonly id: string }) => Effect.succeed(id.length))
    expect(Single.toLayer).type.not.toBeCallableWith((members: ReadonlyArray<JobBatch.Member<string>>) =>
      Effect.succeed(members.map((member) => [member, Exit.void] as const))
    )
  })

  test("has no context of one record: each member has its own", () => {
    const layer = Index.toLayer((members) =>
      JobBatch.each(members, () =>
        Effect.gen(function*() {
          const context: JobContext.Shape = yield* JobContext.JobContext
          return context.attempt
        }))
    )
    expect<Layer.Services<typeof layer>>().type.toBe<never>()
    expect<Member["context"]>().type.toBe<JobContext.Shape>()
  })

  test("has its services surface in the layer", () => {
    const layer = Index.toLayer((members) =>
      Effect.gen(function*() {
        const { index } = yield* Search
        yield* Effect.context<Scope.Scope>()
        const count = yield* index
        return members.map((member) => [member, Exit.succeed(count)] as const)
      })
    )
    expect<Layer.Services<typeof layer>>().type.toBe<Search>()
    expect<Layer.Success<typeof layer>>().type.toBe<Job.Handler<"Index">>()
  })
})

describe("a group", () => {
  class Both extends JobGroup.make(Index, Single) {}

  test("takes a handler of batches for one, and of single records for the other", () => {
    expect(Both.toLayer).type.toBeCallableWith({
      Index: (members: Members) => JobBatch.each(members, () => Effect.succeed(1)),
      Single: () => Effect.void
    })
    expect(Both.toLayer).type.not.toBeCallableWith({
      Index: () => Effect.succeed(1),
      Single: () => Effect.void
    })
    expect(Both.toLayer).type.not.toBeCallableWith({
      Index: (members: Members) => JobBatch.each(members, () => Effect.succeed("one")),
      Single: () => Effect.void
    })
  })

  test("gives the context of one record to the handler of single records alone", () => {
    const attempt = Effect.asVoid(Effect.context<JobContext.JobContext | Scope.Scope>())
    const layer = Both.toLayer({
      Index: (members) => JobBatch.each(members, () => Effect.as(attempt, 1)),
      Single: () => attempt
    })
    expect<Layer.Services<typeof layer>>().type.toBe<never>()
    const outside = Both.toLayer({
      Index: (members) => Effect.andThen(attempt, JobBatch.each(members, () => Effect.succeed(1))),
      Single: () => attempt
    })
    expect<Layer.Services<typeof outside>>().type.toBe<JobContext.JobContext>()
  })

  test("is run by a worker", () => {
    const worker = JobWorker.layer(Both)
    expect<Layer.Services<typeof worker>>().type.toBe<
      JobStore.JobStore | Job.Handler<"Index"> | Job.Handler<"Single">
    >()
  })
})
