import { assert, describe, it } from "@effect/vitest"
import { Job, JobBatch, JobContext, JobError, JobGroup, Jobs, JobStore, Step, Waitpoint } from "capstan"
import { type Duration, Effect, Exit, Latch, Layer, Schedule, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, storeWith, withOnly, withWorker } from "./harness.ts"

class Refused extends Schema.TaggedError<Refused>()("Refused", { by: Schema.String }) {}

class Trip extends Job.make("Trip", {
  payload: { ends: Schema.Literals(["completed", "dead", "cancelled", "crashed"]) },
  error: Refused,
  onError: { Refused: "dead" },
  retryDefects: Schedule.spaced("1 minute")
}) {}
class Decision extends Waitpoint.make("Decision") {}

const group = JobGroup.make(Trip)

/** Books three things, and undoes them. */
const trip = (
  done: Array<string>,
  options: {
    readonly undo?: (what: string) => Effect.Effect<void>
    readonly last?: Effect.Effect<unknown, Refused | JobError.JobStoreError, never>
  } = {}
) => {
  const note = (what: string) => Effect.sync(() => void done.push(what))
  const book = (what: string) =>
    Step.run(what, { success: Schema.String }, Effect.as(note(what), `${what} 1`)).pipe(
      Step.withCompensation((booked) => Effect.andThen(note(`no ${booked}`), options.undo?.(what) ?? Effect.void))
    )
  return Trip.toLayer(({ ends }) =>
    Effect.gen(function*() {
      yield* Effect.all([book("flight"), book("hotel")], { concurrency: "unbounded" })
      yield* Step.sleep("rest", "1 hour")
      yield* book("car")
      if (ends === "dead") return yield* new Refused({ by: "bank" })
      if (ends === "crashed") return yield* Effect.never
      if (ends === "cancelled") yield* Decision.await
      yield* Step.run("never", note("never"))
    })
  )
}

const undone = ["no car 1", "no hotel 1", "no flight 1"]
const bookings = ["flight", "hotel", "car"]

const start = (ends: "completed" | "dead" | "cancelled" | "crashed") =>
  Effect.tap(Trip.enqueue({ ends }), () => Effect.andThen(settle, TestClock.adjust("1 hour")))

describe("Step.withCompensation", () => {
  it.effect("a record that is completed undoes nothing", () => {
    const done: Array<string> = []
    return Effect.gen(function*() {
      yield* (yield* start("completed")).await
      assert.deepStrictEqual(done, [...bookings, "never"])
    }).pipe(Effect.provide(withWorker(group, trip(done))))
  })

  it.effect("a record that would be dead undoes its steps in reverse, once, and is dead with its own error", () => {
    const done: Array<string> = []
    return Effect.gen(function*() {
      const handle = yield* start("dead")
      yield* settle
      const error = yield* Effect.flip(handle.await)
      assert.deepStrictEqual(error, new Refused({ by: "bank" }))
      assert.deepStrictEqual(done, [...bookings, ...undone])
      const { attempt, deadReason, state } = yield* recordOf(handle.id)
      assert.deepStrictEqual([state, deadReason, attempt], ["dead", "Failed", 1])
    }).pipe(Effect.provide(withWorker(group, trip(done))))
  })

  it.effect("a record that is cancelled while it sleeps, or waits, undoes what it has done", () => {
    const done: Array<string> = []
    return Effect.gen(function*() {
      const sleeping = yield* Trip.enqueue({ ends: "cancelled" })
      yield* settle
      assert.strictEqual(yield* sleeping.cancel({ reason: "rain" }), "Requested")
      yield* settle
      assert.deepStrictEqual(done, ["flight", "hotel", "no hotel 1", "no flight 1"])
      assert.deepStrictEqual([(yield* recordOf(sleeping.id)).state, yield* sleeping.cancel({ reason: "again" })], [
        "cancelled",
        "Settled"
      ])

      done.length = 0
      const waiting = yield* start("cancelled")
      assert.deepStrictEqual((yield* recordOf(waiting.id)).blocked, { reason: "Waitpoint", on: "Decision" })
      yield* waiting.cancel({ reason: "rain" })
      const error = yield* Effect.flip(waiting.await)
      assert.strictEqual((error as JobError.JobCancelled).cancelReason, "rain")
      assert.deepStrictEqual(done, [...bookings, ...undone])
    }).pipe(Effect.provide(withWorker(group, trip(done))))
  })

  it.effect("a record that is cancelled while it runs is interrupted, and undoes", () => {
    const done: Array<string> = []
    return Effect.gen(function*() {
      const handle = yield* start("crashed")
      assert.strictEqual((yield* recordOf(handle.id)).state, "running")
      assert.strictEqual(yield* handle.cancel({ reason: "rain" }), "Requested")
      yield* settle
      assert.strictEqual((yield* recordOf(handle.id)).state, "cancelled")
      assert.deepStrictEqual(done, [...bookings, ...undone])
    }).pipe(Effect.provide(withWorker(group, trip(done))))
  })

  it.effect("a record that is cancelled while its next attempt is collected undoes what it has done", () => {
    const done: Array<string> = []
    const note = (what: string) => Effect.sync(() => void done.push(what))
    class Seat extends JobBatch.make("Seat", {
      payload: Schema.String,
      retryDefects: Schedule.spaced("1 minute"),
      batch: { size: 2, within: "2 seconds" }
    }) {}
    const handlers = Seat.toLayer((members) =>
      JobBatch.each(members, (name) =>
        Step.run("seat", note(name)).pipe(
          Step.withCompensation(() => note(`no ${name}`)),
          Effect.andThen(Effect.die("once more"))
        ))
    )
    return Effect.gen(function*() {
      const handle = yield* Seat.enqueue("a")
      yield* TestClock.adjust("2 seconds")
      assert.deepStrictEqual(done, ["a"])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* recordOf(handle.id)).state, "running")
      assert.strictEqual(yield* handle.cancel({ reason: "rain" }), "Requested")
      yield* settle
      assert.deepStrictEqual([(yield* recordOf(handle.id)).state, done], ["cancelled", ["a", "no a"]])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Seat), handlers)))
  })

  /** A store whose claims bring nothing of what steps have kept. */
  const cut = storeWith((store) => ({
    exchange: (request) =>
      Effect.map(store.exchange(request), (reply) => ({
        ...reply,
        claimed: reply.claimed.map((claimed) => {
          const marks = Object.entries(claimed.checkpoints).filter(([name]) => name.startsWith("!"))
          return { ...claimed, checkpoints: Object.fromEntries(marks), isCut: true as const }
        })
      }))
  }))

  for (const ends of ["cancelled", "dead"] as const) {
    it.effect(`a record that ends ${ends} before it asks for what its claim was cut of undoes that`, () => {
      const done: Array<string> = []
      const note = (what: string) => Effect.sync(() => void done.push(what))
      class Long extends Job.make("Long", { maxAttempts: 2, retryDefects: Schedule.spaced("1 minute") }) {}
      const handler = Long.toLayer(() =>
        Effect.gen(function*() {
          const { attempt } = yield* JobContext.JobContext
          if (attempt === 2 && !done.includes("second")) {
            yield* note("second")
            return yield* ends === "cancelled" ? Effect.never : Effect.die("before its step")
          }
          yield* Step.run("seat", note("seat")).pipe(Step.withCompensation(() => note("no seat")))
          return yield* Effect.die("once more")
        })
      )
      return Effect.gen(function*() {
        const handle = yield* Long.enqueue()
        yield* settle
        yield* TestClock.adjust("1 minute")
        if (ends === "cancelled") assert.strictEqual(yield* handle.cancel({ reason: "rain" }), "Requested")
        yield* settle
        assert.deepStrictEqual([(yield* recordOf(handle.id)).state, done], [ends, ["seat", "second", "no seat"]])
      }).pipe(Effect.provide(Layer.provideMerge(withOnly(JobGroup.make(Long), handler), cut)))
    })
  }

  it.effect("a record that ends before it asks for what its claim was cut of, and has nothing to undo, keeps its steps", () => {
    const done: Array<string> = []
    const note = (what: string) => Effect.sync(() => void done.push(what))
    class Plain extends Job.make("Plain", { maxAttempts: 2, retryDefects: Schedule.spaced("1 minute") }) {}
    let runs = 0
    const handler = Plain.toLayer(() =>
      Effect.gen(function*() {
        if (++runs === 2) return yield* Effect.die("before its step")
        yield* Step.run("a", note("a"))
        if (runs === 1) return yield* Effect.die("once more")
      })
    )
    return Effect.gen(function*() {
      const { id } = yield* Plain.enqueue()
      yield* settle
      yield* TestClock.adjust("1 minute")
      assert.strictEqual((yield* recordOf(id)).state, "dead")
      yield* (yield* Jobs.Jobs).retry({ ids: [id] })
      yield* settle
      assert.deepStrictEqual([(yield* recordOf(id)).state, done], ["completed", ["a"]])
    }).pipe(Effect.provide(Layer.provideMerge(withOnly(JobGroup.make(Plain), handler), cut)))
  })

  it.effect("an undoing that fails is tried again, and those that are through are not", () => {
    const done: Array<string> = []
    let failures = 2
    const undo = (what: string) => what === "hotel" && failures-- > 0 ? Effect.die("closed") : Effect.void
    return Effect.gen(function*() {
      const handle = yield* start("dead")
      yield* settle
      const record = yield* recordOf(handle.id)
      assert.deepStrictEqual([record.state, record.failures.at(-1)?.tag], ["scheduled", "CompensationFailed"])
      yield* TestClock.adjust("1 second")
      yield* TestClock.adjust("2 seconds")
      yield* Effect.flip(handle.await)
      assert.deepStrictEqual(done.slice(3), ["no car 1", "no hotel 1", "no hotel 1", "no hotel 1", "no flight 1"])
    }).pipe(Effect.provide(withWorker(group, trip(done, { undo }))))
  })

  it.effect("an undoing that never succeeds ends after 25 tries, dead with why; by hand it goes on", () => {
    const done: Array<string> = []
    let isOpen = false
    const undo = (what: string) => what === "hotel" && !isOpen ? Effect.die(new Error("closed")) : Effect.void
    return Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const handle = yield* start("dead")
      for (let i = 0; i < 30; i++) yield* TestClock.adjust("5 minutes")
      const record = yield* recordOf(handle.id)
      assert.deepStrictEqual([record.state, record.failures.at(-1)?.message], ["dead", "closed"])
      assert.strictEqual(done.filter((what) => what === "no hotel 1").length, 25)
      isOpen = true
      yield* jobs.retry({ ids: [handle.id] })
      yield* settle
      assert.deepStrictEqual(yield* Effect.flip(handle.await), new Refused({ by: "bank" }))
      assert.deepStrictEqual(done.slice(-2), ["no hotel 1", "no flight 1"])
    }).pipe(Effect.provide(withWorker(group, trip(done, { undo }))))
  })

  it.effect("it goes on after a crash in the middle", () => {
    const done: Array<string> = []
    const reached = Latch.makeUnsafe(false)
    const undo = (what: string) =>
      what === "hotel" && done.filter((each) => each === "no hotel 1").length === 0
        ? Effect.andThen(reached.open, Effect.never)
        : Effect.void
    return Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const handle = yield* Trip.enqueue({ ends: "dead" })
      // A worker that dies without a word: nothing of it reaches the store any more.
      const dying = yield* Scope.make()
      yield* Layer.buildWithScope(withOnly(group, trip(done, { undo })), dying)
      yield* settle
      yield* TestClock.adjust("1 hour")
      yield* reached.await
      const { fence, id, worker } = yield* recordOf(handle.id)
      yield* store.renew({
        worker: worker!,
        lease: 1,
        queues: [],
        handles: [],
        holding: [{ id, fence }],
        reconcileOlderThan: Infinity
      })
      yield* TestClock.adjust(2)
      yield* store.maintain
      yield* Effect.provide(
        Effect.andThen(settle, Effect.flip(handle.await)),
        withOnly(group, trip(done, { undo }))
      )
      assert.deepStrictEqual(done.slice(3), ["no car 1", "no hotel 1", "no hotel 1", "no flight 1"])
      yield* Scope.close(dying, Exit.void)
    }).pipe(Effect.provide(storeWith(() => ({}))))
  })

  it.effect("a record that is retried by hand after its steps were undone begins anew", () => {
    const done: Array<string> = []
    return Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const handle = yield* start("dead")
      yield* settle
      yield* jobs.retry({ ids: [handle.id] })
      yield* settle
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.deepStrictEqual(done, [...bookings, ...undone, ...bookings, ...undone])
    }).pipe(Effect.provide(withWorker(group, trip(done))))
  })

  it.effect("a compensation that is gone from the code holds the record up and says so; with it the record is undone", () => {
    const done: Array<string> = []
    let isBack = false
    const handlers = Trip.toLayer(() => {
      const flight = Step.run("flight", Effect.sync(() => void done.push("flight")))
      const kept = Step.withCompensation(flight, () => Effect.sync(() => void done.push("no flight")))
      return Effect.andThen(done.length === 0 || isBack ? kept : flight, new Refused({ by: "bank" }))
    })
    return Effect.gen(function*() {
      const handle = yield* Trip.enqueue({ ends: "dead" })
      yield* settle
      const { failures, state } = yield* recordOf(handle.id)
      assert.deepStrictEqual([state, failures.at(-1)?.message], [
        "scheduled",
        "job Trip did not say how to undo flight (the handler ended with Refused): deploy code that has each with its compensation"
      ])
      isBack = true
      yield* TestClock.adjust("1 second")
      yield* Effect.flip(handle.await)
      assert.deepStrictEqual(done, ["flight", "no flight"])
    }).pipe(Effect.provide(withWorker(group, handlers)))
  })

  class Full extends Schema.TaggedError<Full>()("Full", { other: Schema.String }) {}
  class Book extends Job.make("Book", {
    error: Refused,
    onError: { Refused: "dead" },
    retryDefects: Schedule.spaced("1 minute")
  }) {}

  /** Runs the record of a handler to its end, and answers what was done. */
  const bookWith = (
    handler: (
      book: (what: string) => Effect.Effect<void, JobError.JobStoreError, JobContext.JobContext>,
      note: (what: string) => Effect.Effect<void>
    ) => Effect.Effect<void, Refused | JobError.JobStoreError, JobContext.JobContext>,
    time: Duration.Input = "10 seconds"
  ) => {
    const done: Array<string> = []
    const note = (what: string) => Effect.sync(() => void done.push(what))
    const book = (what: string) => Step.run(what, note(what)).pipe(Step.withCompensation(() => note(`no ${what}`)))
    return Effect.gen(function*() {
      const { id } = yield* Book.enqueue()
      yield* TestClock.adjust(time)
      const { deadReason, failures, state } = yield* recordOf(id)
      assert.notInclude(failures.map(({ tag }) => tag), "CompensationFailed")
      assert.deepStrictEqual([state, deadReason], ["dead", "Failed"])
      return done
    }).pipe(Effect.provide(withWorker(JobGroup.make(Book), Book.toLayer(() => handler(book, note)))))
  }

  it.effect("a step that stands in for one that has failed is undone: the one that failed fails again, and does not run", () =>
    Effect.gen(function*() {
      const done = yield* bookWith((book, note) =>
        Effect.gen(function*() {
          yield* book("train")
          yield* Step.run("sea", Effect.andThen(note("sea is full"), new Full({ other: "inn" }))).pipe(
            Effect.catchTag("Full", ({ other }) => book(other))
          )
          yield* Step.run("charge", Effect.andThen(note("charge"), new Refused({ by: "bank" })))
        })
      )
      assert.deepStrictEqual(done, ["train", "sea is full", "inn", "charge", "no inn", "no train"])
    }))

  const overcome = {
    "fails with a text": (step: typeof Step.run, note: Effect.Effect<void>) =>
      Effect.catch(
        step("tell", Effect.andThen(note, Effect.fail("full"))),
        (error) => error === "full" ? Effect.void : Effect.die("another")
      ),
    "fails with what JSON cannot hold": (step: typeof Step.run, note: Effect.Effect<void>) => {
      const error = { _tag: "Circular" as const, again: {} }
      error.again = error
      return Effect.catchTag(step("tell", Effect.andThen(note, Effect.fail(error))), "Circular", () => Effect.void)
    },
    "fails with an error that is long": (step: typeof Step.run, note: Effect.Effect<void>) =>
      step("tell", Effect.andThen(note, new Full({ other: "x".repeat(10_000) }))).pipe(
        Effect.catchTag("Full", (error) => Effect.asVoid(Effect.flip(Effect.suspend(() => error))))
      ),
    "dies": (step: typeof Step.run, note: Effect.Effect<void>) =>
      Effect.catchDefect(
        step("tell", Effect.andThen(note, Effect.die(new Error("no bell")))),
        (defect) => defect instanceof Error && defect.message === "no bell" ? Effect.void : Effect.die("another")
      ),
    "is interrupted": (step: typeof Step.run, note: Effect.Effect<void>) =>
      Effect.timeoutOption(step("tell", Effect.andThen(note, Effect.never)), "20 seconds")
  }
  for (const [how, step] of Object.entries(overcome)) {
    it.effect(`a step is undone that comes after one that ${how}, where the handler went on`, () =>
      Effect.gen(function*() {
        const done = yield* bookWith((book, note) =>
          Effect.gen(function*() {
            yield* step(Step.run, note("tell"))
            yield* book("train")
            return yield* new Refused({ by: "bank" })
          }), "1 minute")
        assert.deepStrictEqual(done, ["tell", "train", "no train"])
      }))
  }

  it.effect("a step may have the name of what every object has", () =>
    Effect.gen(function*() {
      const done = yield* bookWith((book, note) =>
        Effect.gen(function*() {
          yield* book("constructor")
          yield* Step.run("toString", note("never"))
          return yield* new Refused({ by: "bank" })
        })
      )
      assert.deepStrictEqual(done, ["constructor", "never", "no constructor"])
    }))

  it.effect("a step that fails again waits for those beside it to say how they are undone", () =>
    Effect.gen(function*() {
      const done = yield* bookWith((book, note) =>
        Effect.gen(function*() {
          const train = Effect.andThen(Effect.sleep("1 second"), book("train"))
          const sea = Step.run("sea", Effect.andThen(Effect.sleep("2 seconds"), new Full({ other: "inn" })))
          yield* Effect.all([sea, train], { concurrency: "unbounded" }).pipe(
            Effect.catchTag("Full", ({ other }) => book(other))
          )
          yield* note("charge")
          return yield* new Refused({ by: "bank" })
        })
      )
      assert.deepStrictEqual(done, ["train", "inn", "charge", "no inn", "no train"])
    }))

  it.effect("what was done on another way than that of the last attempt is undone too", () =>
    Effect.gen(function*() {
      let tries = 0
      const done = yield* bookWith((book, note) =>
        Effect.gen(function*() {
          const sea = Effect.suspend(() => ++tries === 1 ? new Full({ other: "inn" }) : note("sea"))
          yield* Step.run("sea", sea).pipe(
            Step.withCompensation(() => note("no sea")),
            Effect.catchTag("Full", ({ other }) => book(other))
          )
          return yield* tries === 1 ? Effect.die("the connection was lost") : new Refused({ by: "bank" })
        }), "2 minutes")
      assert.deepStrictEqual(done, ["inn", "sea", "no sea", "no inn"])
    }))

  it.effect("around an effect that is no step it is a defect", () => {
    const handlers = Trip.toLayer(() => Step.withCompensation(Effect.void, () => Effect.void))
    return Effect.gen(function*() {
      const { id } = yield* Trip.enqueue({ ends: "dead" })
      yield* settle
      assert.include(
        (yield* recordOf(id)).failures[0]!.message,
        "a withCompensation of job Trip is not around one step"
      )
    }).pipe(Effect.provide(withWorker(group, handlers)))
  })

  const around = {
    "another step": (inner: Effect.Effect<void, JobError.JobStoreError, JobContext.JobContext>) =>
      Step.run("outer", inner),
    "Step.each": (inner: Effect.Effect<void, JobError.JobStoreError, JobContext.JobContext>) =>
      Step.each("outer", {
        cursor: Schema.Int,
        items: () => Stream.make(1),
        cursorOf: (item) => item,
        run: () => inner
      })
  }
  for (const [what, within] of Object.entries(around)) {
    it.effect(`inside of ${what} it is a defect, and what could not be undone does not run`, () => {
      const done: Array<string> = []
      const note = (what: string) => Effect.sync(() => void done.push(what))
      const inner = Step.run("inner", note("inner")).pipe(Step.withCompensation(() => note("no inner")))
      return Effect.gen(function*() {
        const { id } = yield* Trip.enqueue({ ends: "dead" })
        yield* settle
        assert.include(
          (yield* recordOf(id)).failures[0]?.message,
          "inner of job Trip has a compensation and stands inside of another step"
        )
        assert.deepStrictEqual(done, [])
      }).pipe(Effect.provide(withWorker(group, Trip.toLayer(() => Effect.asVoid(within(inner))))))
    })
  }

  class Hold extends Job.make("Hold", { timeout: "1 minute", maxAttempts: 1 }) {}

  for (const ends of ["cancelled", "dead"] as const) {
    it.effect(`a step whose write is under way when its record ends ${ends} is undone`, () => {
      const done: Array<string> = []
      const note = (what: string) => Effect.sync(() => void done.push(what))
      let isLost = true
      // The store has it, and its answer does not come.
      const store = storeWith((store) => ({
        write: (entries) => Effect.andThen(store.write(entries), isLost ? Effect.never : store.write(entries))
      }))
      const handler = Hold.toLayer(() =>
        Step.run("hold", note("held")).pipe(Step.withCompensation(() => note("freed")))
      )
      return Effect.gen(function*() {
        const handle = yield* Hold.enqueue()
        yield* settle
        if (ends === "cancelled") assert.strictEqual(yield* handle.cancel({ reason: "r" }), "Requested")
        isLost = false
        yield* TestClock.adjust("2 minutes")
        assert.strictEqual((yield* recordOf(handle.id)).state, ends)
        assert.deepStrictEqual(done, ["held", "freed"])
      }).pipe(Effect.provide(Layer.provideMerge(withOnly(JobGroup.make(Hold), handler), store)))
    })
  }
})
