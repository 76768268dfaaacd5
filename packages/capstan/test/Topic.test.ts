/** Events and what follows an attempt, on the memory store in virtual time. */
import { TransactionalMemory } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Flow, Job, JobBatch, JobGroup, Jobs, JobStore, JobWorker, Topic, Waitpoint } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, settle, withOnly, withWorker } from "./harness.ts"

const Placed = Topic.make("OrderPlaced", { id: Schema.String, total: Schema.Number })

class Receipt extends Job.make("Receipt", {
  payload: { id: Schema.String },
  on: [Topic.on(Placed, { payload: ({ id }) => ({ id }) })]
}) {}
class Review extends Job.make("Review", {
  payload: { id: Schema.String, total: Schema.Number },
  queue: "review",
  on: [Topic.on(Placed, {
    where: ({ total }) => total > 100,
    payload: (order) => order,
    options: () => ({ delay: "1 hour", tags: ["large"] })
  })]
}) {}

const tagsOf = (rows: ReadonlyArray<{ readonly job: string }>) => rows.map(({ job }) => job)
const all = Effect.flatMap(Jobs.Jobs, (jobs) => Effect.map(jobs.query({ order: "oldest" }), ({ records }) => records))
const store = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

describe("Topic", () => {
  it.effect("is published to every job that subscribes, through its filter, in one call of the store", () => {
    let calls = 0
    const counting = Layer.effect(
      JobStore.JobStore,
      Effect.map(JobStore.JobStore, (store): JobStore.Shape => ({
        ...store,
        enqueue: (request) => {
          calls++
          return store.enqueue(request)
        }
      }))
    ).pipe(Layer.provide(JobStore.layerMemory()))
    return Effect.gen(function*() {
      assert.deepStrictEqual(Placed.subscribers(), [Receipt._tag, Review._tag])
      const large = yield* Placed.publish({ id: "a", total: 200 })
      assert.deepStrictEqual(tagsOf(large), ["Receipt", "Review"])
      assert.strictEqual(calls, 1)
      assert.deepStrictEqual(tagsOf(yield* Placed.publish({ id: "b", total: 5 })), ["Receipt"])
      const [receipt, review] = yield* all
      assert.deepStrictEqual([receipt?.payload, review?.payload], [`{"id":"a"}`, `{"id":"a","total":200}`])
      assert.deepStrictEqual([review?.state, review?.queue, review?.tags], ["scheduled", "review", ["large"]])
    }).pipe(Effect.provide(Layer.provideMerge(Jobs.layer, counting)))
  })

  it.effect("gives each subscriber one record for a key", () =>
    Effect.gen(function*() {
      const first = yield* Placed.publish({ id: "a", total: 200 }, { idempotencyKey: "a" })
      const second = yield* Placed.publish({ id: "a", total: 200 }, { idempotencyKey: "a" })
      assert.deepStrictEqual(second.map(({ outcome }) => outcome), ["Existing", "Existing"])
      assert.deepStrictEqual(second.map(({ id }) => id), first.map(({ id }) => id))
    }).pipe(Effect.provide(store)))

  it.effect("stores nothing of an event that is invalid", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Placed.publish({ id: "a", total: "5" as unknown as number }))
      assert.strictEqual(error.reason._tag, "InvalidPayload")
      assert.deepStrictEqual(yield* all, [])
    }).pipe(Effect.provide(store)))

  it.effect("makes children of the attempt that publishes", () =>
    Effect.gen(function*() {
      const { id } = yield* Place.enqueue({ id: "x" })
      yield* settle
      const child = (yield* all).find(({ tag }) => tag === "Receipt")
      assert.strictEqual(child?.parent, id)
    }).pipe(Effect.provide(withWorker(
      JobGroup.make(Place),
      JobGroup.make(Place).toLayer({ Place: ({ id }) => Effect.asVoid(Placed.publish({ id, total: 1 })) })
    ))))

  it("throws at construction for a bad name", () => {
    assert.throws(() => Topic.make("1", Schema.String), "must start with a letter")
  })

  it("throws at construction of a job that subscribes twice: the second would take the place of the first", () => {
    const Twice = Topic.make("Twice", { n: Schema.Number })
    const small = Topic.on(Twice, { where: ({ n }) => n < 5, payload: ({ n }) => n })
    const large = Topic.on(Twice, { where: ({ n }) => n >= 5, payload: ({ n }) => n })
    assert.throws(
      () => Job.make("Takes", { payload: Schema.Number, on: [small, large] }),
      "subscribes to topic Twice twice"
    )
  })
})

const Paid = Topic.make("Paid", { id: Schema.String, total: Schema.Number })
const paid = Topic.match(Paid, ({ id, total }) => total > 0 ? id : undefined)

class Remind extends Job.make("Remind", {
  payload: { order: Schema.String },
  cancelOn: [{ event: paid, payload: ({ order }) => order }]
}) {}
class Chase extends Job.make("Chase", {
  payload: { order: Schema.String },
  cancelOn: [
    { event: Topic.match(Placed, ({ id }) => id), payload: ({ order }) => order },
    { event: paid, payload: ({ order }) => order }
  ]
}) {}

describe("cancelOn", () => {
  const stateOf = (id: string) => Effect.map(recordOf(id), ({ state }) => state)

  it.effect("cancels the records that say the same as the event, of each job", () =>
    Effect.gen(function*() {
      const a = yield* Remind.enqueue({ order: "a" }, { delay: "1 day" })
      const b = yield* Remind.enqueue({ order: "b" }, { delay: "1 day" })
      const chase = yield* Chase.enqueue({ order: "a" })
      yield* Paid.publish({ id: "a", total: 0 })
      assert.strictEqual(yield* stateOf(a.id), "scheduled")
      assert.deepStrictEqual(yield* Paid.publish({ id: "a", total: 1 }), [])
      assert.deepStrictEqual(yield* Effect.forEach([a, b, chase], ({ id }) => stateOf(id)), [
        "cancelled",
        "scheduled",
        "cancelled"
      ])
      assert.strictEqual((yield* recordOf(a.id)).cancelRequested, "Paid was published")
      const later = yield* Remind.enqueue({ order: "a" })
      assert.strictEqual(yield* stateOf(later.id), "ready")
    }).pipe(Effect.provide(store)))

  it.effect("tells several matches of one topic apart: another's number is no order's", () =>
    Effect.gen(function*() {
      const Closed = Topic.make("Closed", { order: Schema.String, customer: Schema.String })
      class Write extends Job.make("Write", {
        payload: { order: Schema.String, customer: Schema.String },
        cancelOn: [
          { event: Topic.match(Closed, ({ order }) => order), payload: ({ order }) => order },
          { event: Topic.match(Closed, ({ customer }) => customer), payload: ({ customer }) => customer }
        ]
      }) {}
      const write = (order: string, customer: string) => Write.enqueue({ order, customer }, { delay: "1 day" })
      const all = yield* Effect.all([write("1", "3"), write("2", "1"), write("4", "2"), write("5", "6")])
      yield* Closed.publish({ order: "1", customer: "2" })
      assert.deepStrictEqual(yield* Effect.forEach(all, ({ id }) => stateOf(id)), [
        "cancelled",
        "scheduled",
        "cancelled",
        "scheduled"
      ])
    }).pipe(Effect.provide(store)))

  it.effect("tells who subscribes in the same call, and asks what runs to stop", () =>
    Effect.gen(function*() {
      const { id } = yield* Chase.enqueue({ order: "a" })
      yield* settle
      assert.strictEqual(yield* stateOf(id), "running")
      assert.deepStrictEqual(tagsOf(yield* Placed.publish({ id: "a", total: 1 })), ["Receipt"])
      yield* settle
      assert.strictEqual(yield* stateOf(id), "cancelled")
    }).pipe(Effect.provide(withWorker(JobGroup.make(Chase), Chase.toLayer(() => Effect.never)))))

  it.effect("of a commit is part of its transaction", () =>
    Effect.gen(function*() {
      const { id } = yield* Remind.enqueue({ order: "a" }, { delay: "1 day" })
      yield* Pay.enqueue({ id: "a" })
      yield* settle
      assert.strictEqual(yield* stateOf(id), "cancelled")
    }).pipe(Effect.provide(
      JobWorker.layer(JobGroup.make(Pay), { shutdownGrace: 0 }).pipe(
        Layer.provide(Pay.toLayer(({ id }) => Pay.commit(Effect.asVoid(Paid.publish({ id, total: 1 }))))),
        Layer.provideMerge(Jobs.layer),
        Layer.provideMerge(TransactionalMemory.layer())
      )
    )))

  it.effect("refuses a key that is too long", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Remind.enqueue({ order: "x".repeat(2000) }))
      assert.strictEqual(error.reason._tag, "InvalidOption")
    }).pipe(Effect.provide(store)))
})

class Payment extends Waitpoint.make("Payment", {
  success: Schema.Struct({ total: Schema.Number.check(Schema.isGreaterThan(0)) })
}) {}
class Told extends Waitpoint.make("Told") {}

const orderOf = ({ id, total }: { readonly id: string; readonly total: number }) => total === 0 ? undefined : id

class Deliver extends Job.make("Deliver", {
  payload: { order: Schema.String },
  completeOn: [
    {
      event: Topic.completion(Paid, Payment, {
        key: orderOf,
        value: ({ total }) => ({ total })
      }),
      payload: ({ order }) => order
    },
    {
      event: Topic.completion(Placed, Told, { key: () => "any", value: () => undefined }),
      payload: () => "any"
    }
  ]
}) {}
class Refund extends Job.make("Refund", {
  payload: { order: Schema.String },
  success: Schema.Number,
  completeOn: [{
    event: Topic.completion(Paid, Payment, { key: orderOf, value: ({ total }) => ({ total: total + 1 }) }),
    payload: ({ order }) => order
  }]
}) {}

const Due = Topic.make("Due", { id: Schema.String, total: Schema.Number })
class Collect extends Job.make("Collect", {
  payload: { order: Schema.String },
  completeOn: [{
    event: Topic.completion(Due, Payment, { key: ({ id }) => id, value: ({ total }) => ({ total }) }),
    payload: ({ order }) => order
  }]
}) {}
class Warn extends Job.make("Warn", {
  payload: { order: Schema.String },
  cancelOn: [{ event: Topic.match(Due, ({ id }) => id), payload: ({ order }) => order }]
}) {}

describe("completeOn", () => {
  const Both = JobGroup.make(Deliver, Refund)
  const handlers = Both.toLayer({
    Deliver: () => Effect.andThen(Payment.await, Told.await),
    Refund: () => Effect.map(Payment.await, ({ total }) => total)
  })
  const on = (id: string) => Effect.map(recordOf(id), ({ blocked, state }) => blocked?.on ?? state)

  it.effect("lets the records go on that say the same as the event, of each job with its own value", () =>
    Effect.gen(function*() {
      const [a, b] = yield* Effect.all([Deliver.enqueue({ order: "a" }), Deliver.enqueue({ order: "b" })])
      const refund = yield* Refund.enqueue({ order: "a" })
      yield* settle
      assert.deepStrictEqual(yield* Paid.publish({ id: "a", total: 0 }), [])
      assert.deepStrictEqual(yield* Effect.forEach([a.id, b.id], on), ["Payment", "Payment"])
      assert.deepStrictEqual(yield* Paid.publish({ id: "a", total: 1 }), [])
      yield* settle
      assert.deepStrictEqual(yield* Effect.forEach([a.id, b.id], on), ["Told", "Payment"])
      assert.strictEqual(yield* refund.await, 2)
      yield* Placed.publish({ id: "c", total: 1 })
      yield* settle
      assert.deepStrictEqual(yield* Effect.forEach([a.id, b.id], on), ["completed", "Payment"])
      yield* Paid.publish({ id: "b", total: 1 })
      yield* settle
      assert.strictEqual(yield* on(b.id), "completed")
    }).pipe(Effect.provide(withWorker(Both, handlers))))

  it.effect("keeps the first completion, of the event or of another", () =>
    Effect.gen(function*() {
      const [early, late] = yield* Effect.all([Refund.enqueue({ order: "a" }), Refund.enqueue({ order: "b" })])
      assert.strictEqual(yield* Payment.complete(early.id, { total: 7 }), "Kept")
      for (const id of ["a", "b"]) yield* Paid.publish({ id, total: 1 })
      assert.strictEqual(yield* Payment.complete(late.id, { total: 7 }), "TooLate")
      const worker = withOnly(JobGroup.make(Refund), Refund.toLayer(() => Effect.map(Payment.await, (it) => it.total)))
      yield* Effect.provide(settle, worker)
      assert.deepStrictEqual([yield* early.await, yield* late.await], [7, 2])
    }).pipe(Effect.provide(store)))

  it.effect("tells several completions of one waitpoint by one topic apart", () =>
    Effect.gen(function*() {
      const Came = Topic.make("Came", { order: Schema.String, customer: Schema.String })
      const by = (key: "order" | "customer") =>
        Topic.completion(Came, Told, { key: (event) => event[key], value: () => undefined })
      class Pack extends Job.make("Pack", {
        payload: { order: Schema.String, customer: Schema.String },
        completeOn: [
          { event: by("order"), payload: ({ order }) => order },
          { event: by("customer"), payload: ({ customer }) => customer }
        ]
      }) {}
      const orders = [["1", "3"], ["2", "1"], ["4", "2"]] as const
      const all = yield* Effect.forEach(orders, ([order, customer]) => Pack.enqueue({ order, customer }))
      yield* Came.publish({ order: "1", customer: "2" })
      const told = yield* Effect.forEach(all, ({ id }) => recordOf(id))
      assert.deepStrictEqual(told.map(({ checkpoints }) => "Told" in (checkpoints ?? {})), [true, false, true])
    }).pipe(Effect.provide(store)))

  it.effect("publishes nothing of an event whose value the waitpoint does not take", () =>
    Effect.gen(function*() {
      const { id } = yield* Collect.enqueue({ order: "a" })
      const reminder = yield* Warn.enqueue({ order: "a" })
      const stands = Effect.gen(function*() {
        return ["Payment" in ((yield* recordOf(id)).checkpoints ?? {}), (yield* recordOf(reminder.id)).state]
      })
      const { reason } = yield* Effect.flip(Due.publish({ id: "a", total: -5 }))
      assert.strictEqual(reason._tag, "InvalidPayload")
      assert.deepStrictEqual(yield* stands, [false, "ready"])
      yield* Due.publish({ id: "a", total: 5 })
      assert.deepStrictEqual(yield* stands, [true, "cancelled"])
    }).pipe(Effect.provide(store)))

  it.effect("of a commit is part of its transaction", () =>
    Effect.gen(function*() {
      const { id } = yield* Refund.enqueue({ order: "a" })
      yield* Pay.enqueue({ id: "a" })
      yield* settle
      assert.property((yield* recordOf(id)).checkpoints, "Payment")
      const failed = yield* Refund.enqueue({ order: "none" })
      yield* Pay.enqueue({ id: "none" })
      yield* settle
      assert.notProperty((yield* recordOf(failed.id)).checkpoints ?? {}, "Payment")
    }).pipe(Effect.provide(
      JobWorker.layer(JobGroup.make(Pay), { shutdownGrace: 0 }).pipe(
        Layer.provide(Pay.toLayer(({ id }) =>
          Pay.commit(Effect.andThen(
            Paid.publish({ id, total: 1 }),
            id === "none" ? Effect.die("after the event") : Effect.void
          ))
        )),
        Layer.provideMerge(Jobs.layer),
        Layer.provideMerge(TransactionalMemory.layer())
      )
    )))

  it.effect("refuses a key that is too long", () =>
    Effect.gen(function*() {
      const error = yield* Effect.flip(Refund.enqueue({ order: "x".repeat(2000) }))
      assert.strictEqual(error.reason._tag, "InvalidOption")
    }).pipe(Effect.provide(store)))
})

class Pay extends Job.make("Pay", { payload: { id: Schema.String } }) {}
class Place extends Job.make("Place", { payload: { id: Schema.String } }) {}

class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
class Note extends Job.make("Note", { payload: { text: Schema.String }, queue: "notes" }) {}
class Charge extends Job.make("Charge", {
  payload: { id: Schema.String, amount: Schema.Number },
  success: Schema.Struct({ receipt: Schema.String }),
  error: Declined,
  maxAttempts: 2,
  onComplete: ({ payload, success }) => [
    Note.request({ text: `${payload.id} paid with ${success.receipt}` }),
    Note.request({ text: "and told" }, { delay: "1 hour" })
  ],
  onFailure: ({ failure, payload, reason }) =>
    Note.request({ text: `${payload?.id} is dead: ${reason} ${failure?.tag}` })
}) {}
class Broken extends Job.make("Broken", {
  payload: { id: Schema.String },
  onComplete: ({ payload }) => {
    throw new Error(`no note for ${payload.id}`)
  }
}) {}

class Late extends Job.make("Late", {
  payload: { id: Schema.String },
  startBefore: "1 minute",
  onComplete: () => Note.request({ text: "late, and done" }),
  onFailure: ({ failure, payload, reason }) =>
    Note.request({ text: `${payload?.id} is dead: ${reason} ${failure?.tag}` })
}) {}
class Hopeless extends Job.make("Hopeless", {
  startBefore: "1 minute",
  onFailure: ({ reason }) => {
    throw new Error(`no note for ${reason}`)
  }
}) {}
class Solo extends Job.make("Solo", { queue: "notes", unique: { key: () => "one", onConflict: "replace" } }) {}
class Bell extends Job.make("Bell", { maxAttempts: 1, onComplete: () => [Solo.request(undefined)] }) {}
class Ringing extends Flow.make("Ringing").node("solo", Solo) {}
class Chain extends Flow.make("Chain").node("first", Charge).node("last", Late, { after: { first: "fail" } }) {}

const notes = Effect.map(
  all,
  (records) =>
    records.filter(({ tag }) => tag === "Note").map(({ payload, state }) => [JSON.parse(payload).text, state])
)

describe("onComplete and onFailure", () => {
  const charge = (handler: Effect.Effect<{ readonly receipt: string }, Declined>) =>
    withWorker(
      JobGroup.make(Charge, Broken),
      JobGroup.make(Charge, Broken).toLayer({ Charge: () => handler, Broken: () => Effect.void })
    )

  it.effect("are enqueued in the write that ends the record, as children of it", () =>
    Effect.gen(function*() {
      const { id } = yield* Charge.enqueue({ id: "a", amount: 1 })
      assert.deepStrictEqual(yield* notes, [])
      yield* settle
      assert.strictEqual((yield* recordOf(id)).state, "completed")
      assert.deepStrictEqual(yield* notes, [["a paid with r1", "ready"], ["and told", "scheduled"]])
      assert.deepStrictEqual((yield* all).filter(({ tag }) => tag === "Note").map(({ parent }) => parent), [id, id])
    }).pipe(Effect.provide(charge(Effect.succeed({ receipt: "r1" })))))

  it.effect("follow a death, and no attempt that is tried again", () =>
    Effect.gen(function*() {
      const handle = yield* Charge.enqueue({ id: "a", amount: 1 })
      yield* settle
      assert.deepStrictEqual(yield* notes, [])
      yield* Effect.flatMap(Jobs.Jobs, (jobs) => jobs.retry({ ids: [handle.id] }))
      yield* settle
      assert.strictEqual((yield* recordOf(handle.id)).state, "dead")
      assert.deepStrictEqual(yield* notes, [["a is dead: Failed Declined", "ready"]])
    }).pipe(Effect.provide(charge(Effect.fail(new Declined())))))

  it.effect("follow no cancel, of one that waits or that runs, also when its handler fails as it stops", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const waiting = yield* Charge.enqueue({ id: "a", amount: 1 }, { delay: "1 hour" })
      const running = yield* Charge.enqueue({ id: "b", amount: 1 })
      yield* settle
      for (const { id } of [waiting, running]) yield* jobs.cancel(id, { reason: "changed their mind" })
      yield* settle
      for (const { id } of [waiting, running]) assert.strictEqual((yield* recordOf(id)).state, "cancelled")
      assert.deepStrictEqual(yield* notes, [])
    }).pipe(Effect.provide(charge(Effect.onInterrupt(Effect.never, () => Effect.die("as it stops"))))))

  it.effect("follow a death that the store decides, once a life, run by who has the code", () =>
    Effect.gen(function*() {
      const { id } = yield* Late.enqueue({ id: "a" })
      yield* TestClock.adjust("2 minutes")
      const worker = withOnly(JobGroup.make(Late), Late.toLayer(() => Effect.die("runs")))
      yield* Effect.provide(settle, worker)
      assert.strictEqual((yield* recordOf(id)).state, "dead")
      assert.deepStrictEqual(yield* notes, [["a is dead: Expired undefined", "ready"]])
      const note = (yield* all).find(({ tag }) => tag === "Note")
      assert.strictEqual(note?.parent, id)
      const told = (yield* all).find(({ parent, tag }) => tag === "Late" && parent === id)
      assert.deepStrictEqual([told?.state, told?.result], ["completed", undefined])
      yield* Effect.provide(settle, worker)
      assert.strictEqual((yield* notes).length, 1)
    }).pipe(Effect.provide(store)))

  it.effect("follow a death of a batch job apart from its batches", () => {
    class Together extends JobBatch.make("Together", {
      payload: { id: Schema.String },
      batch: { size: 5, within: "1 hour" },
      startBefore: "1 minute",
      onFailure: ({ payload, reason }) => Note.request({ text: `${payload?.id}: ${reason}` })
    }) {}
    return Effect.gen(function*() {
      yield* Together.enqueue({ id: "a" })
      yield* TestClock.adjust("2 minutes")
      yield* Effect.provide(settle, withOnly(JobGroup.make(Together), Together.toLayer(() => Effect.die("runs"))))
      assert.deepStrictEqual(yield* notes, [["a: Expired", "ready"]])
    }).pipe(Effect.provide(store))
  })

  it.effect("follow the death of what a failed record was needed for, with what failed", () =>
    Effect.gen(function*() {
      yield* Chain.start({ first: { id: "x", amount: 1 }, last: { id: "y" } })
      yield* settle
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual((yield* notes).map(([text]) => text), [
        "x is dead: Failed Declined",
        "y is dead: DependencyFailed DependencyFailed"
      ])
    }).pipe(Effect.provide(withWorker(
      JobGroup.make(Charge, Late),
      JobGroup.make(Charge, Late).toLayer({ Charge: () => Effect.fail(new Declined()), Late: () => Effect.void })
    ))))

  it.effect("take nothing from a death that the store has decided when they cannot be made", () =>
    Effect.gen(function*() {
      const { id } = yield* Hopeless.enqueue()
      yield* TestClock.adjust("2 minutes")
      yield* Effect.provide(settle, withOnly(JobGroup.make(Hopeless), Hopeless.toLayer(() => Effect.void)))
      assert.deepStrictEqual((yield* all).map(({ state }) => state), ["dead", "completed"])
      assert.strictEqual((yield* recordOf(id)).deadReason, "Expired")
    }).pipe(Effect.provide(store)))

  it.effect("take nothing from the end when they cannot be made", () =>
    Effect.gen(function*() {
      const handle = yield* Broken.enqueue({ id: "a" })
      yield* settle
      assert.strictEqual((yield* recordOf(handle.id)).state, "completed")
      assert.deepStrictEqual(yield* notes, [])
    }).pipe(Effect.provide(charge(Effect.never))))

  it.effect("are part of the transaction of a commit", () =>
    Effect.gen(function*() {
      yield* Charge.enqueue({ id: "a", amount: 1 })
      yield* settle
      assert.deepStrictEqual(yield* notes, [["a paid with r2", "ready"], ["and told", "scheduled"]])
    }).pipe(Effect.provide(
      JobWorker.layer(JobGroup.make(Charge), { shutdownGrace: 0 }).pipe(
        Layer.provide(Charge.toLayer(() => Charge.commit(Effect.succeed({ receipt: "r2" })))),
        Layer.provideMerge(Jobs.layer),
        Layer.provideMerge(TransactionalMemory.layer())
      )
    )))

  it.effect("are enqueued without the unique key by which they would replace a member of a flow", () =>
    Effect.gen(function*() {
      yield* Ringing.start({ solo: undefined })
      const { id } = yield* Bell.enqueue()
      yield* settle
      assert.strictEqual((yield* recordOf(id)).state, "completed")
      const { records } = yield* (yield* Jobs.Jobs).query({ parent: id })
      assert.deepStrictEqual(records.map(({ state, tag, uniqueKey }) => [state, tag, uniqueKey]), [
        ["ready", "Solo", undefined]
      ])
    }).pipe(Effect.provide(withWorker(JobGroup.make(Bell), Bell.toLayer(() => Effect.void)))))

  it.effect("fail a commit when the store refuses them: nothing of it is kept, and the attempt says why", () =>
    Effect.gen(function*() {
      yield* Ringing.start({ solo: undefined })
      const { id } = yield* Bell.enqueue()
      yield* settle
      const { failures, state } = yield* recordOf(id)
      assert.strictEqual(state, "dead")
      assert.include(failures[0]?.message, "unique key")
    }).pipe(Effect.provide(
      JobWorker.layer(JobGroup.make(Bell), { shutdownGrace: 0 }).pipe(
        Layer.provide(Bell.toLayer(() => Bell.commit(Effect.void))),
        Layer.provideMerge(Jobs.layer),
        Layer.provideMerge(TransactionalMemory.layer())
      )
    )))
})
