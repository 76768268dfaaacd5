/**
 * What a group gives to its jobs: middleware, defaults, and both after a merge; and what travels with a record.
 */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobContext, JobGroup, JobMiddleware } from "capstan"
import { Context, Effect, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, withWorker } from "./harness.ts"

class Tenant extends Context.Service<Tenant, string>()("test/Tenant") {}
class WithTenant extends JobMiddleware.Service<WithTenant, { readonly provides: Tenant }>()("WithTenant") {}
class Outer extends JobMiddleware.Service<Outer>()("Outer") {}
class Inner extends JobMiddleware.Service<Inner>()("Inner") {}

const retry = Schedule.spaced("1 second")
class Child extends Job.make("Child", { error: Schema.String, retry }) {}
class Parent extends Job.make("Parent", { error: Schema.String, retry }) {}

/** Fails in the first attempt. */
const secondTime = Effect.flatMap(
  JobContext.JobContext,
  ({ attempt }) => attempt < 2 ? Effect.fail("again") : Effect.void
)

const notes: Array<string> = []
const note = (what: string) => Effect.sync(() => void notes.push(what))
const noteAttempt = (job: string, what: Effect.Effect<string, never, Tenant>) =>
  Effect.flatMap(
    Effect.all([what, JobContext.JobContext]),
    ([value, { attempt }]) => note(`${job} ${attempt}: ${value}`)
  )

/** Notes around the attempt, by name. */
const around = (name: string): JobMiddleware.JobMiddleware<never> => (attempt, { job }) =>
  Effect.andThen(note(`${name} before ${job._tag}`), attempt).pipe(Effect.ensuring(note(`${name} after ${job._tag}`)))

describe("a middleware", () => {
  it.effect("wraps every attempt anew: also a retry, a child, and a child's retry", () => {
    notes.length = 0
    const group = JobGroup.make(Parent, Child).middleware(WithTenant)
    const handlers = group.toLayer({
      Parent: () =>
        Effect.andThen(noteAttempt("parent", Tenant), Effect.andThen(secondTime, Effect.asVoid(Child.enqueue()))),
      Child: () => Effect.andThen(noteAttempt("child", Tenant), secondTime)
    }).pipe(Layer.provide(Layer.succeed(
      WithTenant,
      (attempt, { context }) => Effect.provideService(attempt, Tenant, `tenant of ${context.fence}`)
    )))
    return Effect.gen(function*() {
      yield* Parent.enqueue()
      yield* settle
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(notes, [
        "parent 1: tenant of 1",
        "parent 2: tenant of 3",
        "child 1: tenant of 1",
        "child 2: tenant of 3"
      ])
    }).pipe(Effect.provide(withWorker(group, handlers)))
  })

  it.effect("that is given first is the outermost", () => {
    notes.length = 0
    const group = JobGroup.make(Child).middleware(Outer).middleware(Inner)
    const handlers = group.toLayer({ Child: () => note("handler") }).pipe(
      Layer.provide([Layer.succeed(Outer, around("outer")), Layer.succeed(Inner, around("inner"))])
    )
    return Effect.gen(function*() {
      yield* Child.run()
      assert.deepStrictEqual(notes, [
        "outer before Child",
        "inner before Child",
        "handler",
        "inner after Child",
        "outer after Child"
      ])
    }).pipe(Effect.provide(withWorker(group, handlers)))
  })
})

describe("a propagated reference", () => {
  it.effect("reaches every attempt: also a retry, a child, and a child's retry", () => {
    const Request = Context.Reference<string>("test/Request", { defaultValue: () => "none" })
    const propagate = [Job.propagate(Request, Schema.String)]
    class Sub extends Job.make("Sub", { error: Schema.String, retry, propagate }) {}
    class Main extends Job.make("Main", { error: Schema.String, retry, propagate }) {}
    const group = JobGroup.make(Main, Sub)
    const seen: Array<string> = []
    const noteRequest = (job: string) =>
      Effect.flatMap(
        Effect.all([Request, JobContext.JobContext]),
        ([request, { attempt }]) => Effect.sync(() => void seen.push(`${job} ${attempt}: ${request}`))
      )
    const handlers = group.toLayer({
      Main: () => Effect.andThen(noteRequest("main"), Effect.andThen(secondTime, Effect.asVoid(Sub.enqueue()))),
      Sub: () => Effect.andThen(noteRequest("sub"), secondTime)
    })
    return Effect.gen(function*() {
      yield* Effect.provideService(Main.enqueue(), Request, "r7")
      yield* settle
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(seen, ["main 1: r7", "main 2: r7", "sub 1: r7", "sub 2: r7"])
    }).pipe(Effect.provide(withWorker(group, handlers)))
  })
})

describe("the defaults of a group", () => {
  const failing = { Child: () => Effect.fail("no"), Parent: () => Effect.fail("no") }
  class Own extends Job.make("Own", { error: Schema.String, retry, maxAttempts: 5 }) {}
  const attemptsOf = (job: typeof Child | typeof Parent | typeof Own) =>
    Effect.gen(function*() {
      const { id } = yield* job.enqueue()
      yield* settle
      yield* TestClock.adjust("1 minute")
      return (yield* recordOf(id)).attempt
    })

  it.effect("hold for jobs that do not set them, and the later ones over the earlier", () => {
    const group = JobGroup.make(Child, Own).defaults({ maxAttempts: 9 }).defaults({ maxAttempts: 2 })
    const handlers = group.toLayer({ Child: failing.Child, Own: failing.Child })
    return Effect.gen(function*() {
      assert.strictEqual(yield* attemptsOf(Child), 2)
      assert.strictEqual(yield* attemptsOf(Own), 5)
    }).pipe(Effect.provide(withWorker(group, handlers)))
  })

  it.effect("and its middleware stay with its jobs when groups are merged", () => {
    notes.length = 0
    const group = JobGroup.make(Parent).defaults({ maxAttempts: 3 }).middleware(Outer).merge(
      JobGroup.make(Child).defaults({ maxAttempts: 2 }).middleware(Inner)
    )
    const handlers = group.toLayer(failing).pipe(
      Layer.provide([Layer.succeed(Outer, around("outer")), Layer.succeed(Inner, around("inner"))])
    )
    return Effect.gen(function*() {
      assert.strictEqual(yield* attemptsOf(Child), 2)
      assert.deepStrictEqual(new Set(notes), new Set(["inner before Child", "inner after Child"]))
      notes.length = 0
      assert.strictEqual(yield* attemptsOf(Parent), 3)
      assert.deepStrictEqual(new Set(notes), new Set(["outer before Parent", "outer after Parent"]))
    }).pipe(Effect.provide(withWorker(group, handlers)))
  })
})
