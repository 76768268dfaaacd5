/**
 * What the types of a job promise, and what they must refuse.
 */
import type { JobContext, JobError, JobRecord, Transactional } from "capstan"
import { Job, JobGroup, JobLimit, JobMiddleware, JobStore, JobWorker } from "capstan"
import type { Scope } from "effect"
import { Context, Effect, Layer, Schedule, Schema, SchemaGetter } from "effect"
import { describe, expect, test } from "tstyche"

class Declined extends Schema.TaggedError<Declined>()("Declined", { code: Schema.String }) {}
class Busy extends Schema.TaggedError<Busy>()("Busy", { millis: Schema.Number }) {}
class Other extends Schema.TaggedError<Other>()("Other", {}) {}
class Stripe extends Context.Service<Stripe, { readonly charge: Effect.Effect<string> }>()("test/Stripe") {}

class Charge extends Job.make("Charge", {
  payload: { id: Schema.String, amount: Schema.Number },
  success: Schema.Struct({ receipt: Schema.String }),
  error: Schema.Union([Declined, Busy]),
  progress: Schema.Number,
  queue: "billing",
  unique: { key: (payload) => payload.id },
  onError: { Declined: "dead", Busy: { snooze: (error) => error.millis } }
}) {}
class Notify extends Job.make("Notify", { payload: Schema.String, queue: "mail" }) {}
class Tick extends Job.make("Tick") {}
class Billing extends JobGroup.make(Charge, Notify) {}

describe("perform", () => {
  test("has the job's result, its errors and its handler's service", () => {
    const performed = JobWorker.perform(Charge, { id: "i", amount: 1 })
    expect(performed).type.toBe<
      Effect.Effect<
        { readonly receipt: string },
        Declined | Busy | JobError.EnqueueError | JobError.JobStoreError,
        Job.Handler<"Charge">
      >
    >()
    expect(JobWorker.perform<typeof Charge>).type.not.toBeCallableWith(Charge, { id: "i" })
  })
})

describe("a declaration", () => {
  test("refuses an onError tag that is not declared", () => {
    expect(Job.make).type.not.toBeCallableWith("X", { error: Declined, onError: { Nope: "retry" as const } })
    expect(Job.make).type.toBeCallableWith("X", { error: Declined, onError: { Declined: "retry" as const } })
  })

  test("lets the keys of its concurrency take turns", () => {
    const concurrency = { key: () => "k", limit: 1 }
    expect(Job.make).type.toBeCallableWith("X", { concurrency: { ...concurrency, order: "fair" as const } })
    expect(Job.make).type.not.toBeCallableWith("X", { concurrency: { ...concurrency, order: "lifo" as const } })
  })

  test("has a circuit breaker by its words", () => {
    const breaker = { consecutive: 3, openDuration: "1 minute" } as const
    expect(Job.make).type.toBeCallableWith("X", { breaker })
    expect(Job.make).type.not.toBeCallableWith("X", { breaker: { consecutive: 3 } })
    expect(Job.make).type.not.toBeCallableWith("X", { breaker: { failures: 3, openDuration: "1 minute" } })
  })

  test("has a partition that is text of its payload", () => {
    const payload = { tenant: Schema.String, n: Schema.Number }
    class Tenants extends Job.make("Tenants", { payload, partition: ({ tenant }) => tenant }) {}
    expect<(typeof Tenants)["_tag"]>().type.toBe<"Tenants">()
    expect(Job.make).type.not.toBeCallableWith("X", { payload, partition: () => 1 })
  })

  test("lets records trail a window alone, and knows the payload of their key", () => {
    const payload = { tenant: Schema.String, n: Schema.Number }
    class Sync extends Job.make("Sync", {
      payload,
      unique: {
        key: (payload) => {
          expect(payload).type.toBe<{ readonly tenant: string; readonly n: number }>()
          return payload.tenant
        },
        until: { window: "1 minute" },
        onConflict: "trailing"
      }
    }) {}
    expect<(typeof Sync)["_tag"]>().type.toBe<"Sync">()
    const key = () => "k"
    expect(Job.make).type.toBeCallableWith("X", {
      unique: { key, until: { window: "1 minute" as const }, onConflict: "trailing" as const }
    })
    expect(Job.make).type.not.toBeCallableWith("X", { unique: { key, onConflict: "trailing" as const } })
    expect(Job.make).type.not.toBeCallableWith("X", {
      unique: { key, until: "finished" as const, onConflict: "trailing" as const }
    })
    expect(Job.make).type.not.toBeCallableWith("X", {
      unique: {
        key,
        until: { window: "1 minute" as const },
        onConflict: "trailing" as const,
        maxWait: "1 hour" as const
      }
    })
  })

  test("has the literal types of its tag and queue", () => {
    expect<(typeof Charge)["_tag"]>().type.toBe<"Charge">()
    expect<(typeof Charge)["queue"]>().type.toBe<"billing">()
    expect<(typeof Tick)["queue"]>().type.toBe<"default">()
  })
})

describe("a schedule of retries", () => {
  const plain = Schedule.spaced("1 second")
  const ofDeclined = Schedule.setInputType<Declined>()(plain)
  const wider = Schedule.setInputType<Declined | Other>()(plain)
  const ofOther = Schedule.setInputType<Other>()(plain)
  const failing = plain.pipe(Schedule.modifyDelay(() => Effect.fail(new Other())))
  const needing = plain.pipe(Schedule.modifyDelay(() => Effect.as(Stripe, "1 second" as const)))

  test("takes the job's error", () => {
    expect(Job.make).type.toBeCallableWith("X", { error: Declined, retry: plain })
    expect(Job.make).type.toBeCallableWith("X", { error: Declined, retry: ofDeclined })
    expect(Job.make).type.toBeCallableWith("X", { error: Declined, retry: wider })
    expect(Job.make).type.not.toBeCallableWith("X", { error: Declined, retry: ofOther })
    expect(Job.make).type.not.toBeCallableWith("X", { error: Schema.Union([Declined, Busy]), retry: ofDeclined })
  })

  test("has no error and no environment", () => {
    expect(failing).type.toBe<Schedule.Schedule<number, unknown, Other>>()
    expect(needing).type.toBe<Schedule.Schedule<number, unknown, never, Stripe>>()
    expect(Job.make).type.not.toBeCallableWith("X", { error: Declined, retry: failing })
    expect(Job.make).type.not.toBeCallableWith("X", { error: Declined, retry: needing })
  })

  test("of one tag takes the error of that tag, and has no error and no environment", () => {
    expect(Job.make).type.toBeCallableWith("X", { error: Declined, onError: { Declined: { retry: ofDeclined } } })
    expect(Job.make).type.not.toBeCallableWith("X", { error: Declined, onError: { Declined: { retry: ofOther } } })
    expect(Job.make).type.not.toBeCallableWith("X", { error: Declined, onError: { Declined: { retry: failing } } })
    expect(Job.make).type.not.toBeCallableWith("X", { error: Declined, onError: { Declined: { retry: needing } } })
  })

  test("of other failures takes what is recorded of them, and has no error and no environment", () => {
    const ofFailure = Schedule.setInputType<JobRecord.Failure>()(plain)
    expect(Job.make).type.toBeCallableWith("X", { error: Declined, retryDefects: ofFailure })
    expect(Job.make).type.not.toBeCallableWith("X", { error: Declined, retryDefects: ofDeclined })
    expect(Job.make).type.not.toBeCallableWith("X", { error: Declined, retryDefects: failing })
    expect(Job.make).type.not.toBeCallableWith("X", { error: Declined, retryDefects: needing })
  })
})

describe("a limit", () => {
  const Api = JobLimit.make("api", { concurrency: 1 })

  test("has a key of the payload", () => {
    expect(Job.make).type.toBeCallableWith("X", {
      payload: { account: Schema.String },
      limit: { by: Api, key: (payload: { readonly account: string }) => payload.account }
    })
    expect(Job.make).type.not.toBeCallableWith("X", {
      payload: { account: Schema.String },
      limit: { by: Api, key: (payload: { readonly other: string }) => payload.other }
    })
    expect(Job.make).type.not.toBeCallableWith("X", {
      payload: Schema.String,
      limit: { by: "api", key: (k: string) => k }
    })
  })

  test("of a queue is one of the group's queues", () => {
    expect(JobWorker.layer<typeof Charge, never, never>).type.toBeCallableWith(JobGroup.make(Charge), {
      queues: { billing: { limit: { concurrency: 3, rate: { limit: 1, per: "1 second" } } } }
    })
    expect(JobWorker.layer<typeof Charge, never, never>).type.not.toBeCallableWith(JobGroup.make(Charge), {
      queues: { mail: { limit: { concurrency: 3 } } }
    })
  })
})

describe("enqueue", () => {
  test("takes the payload's own type", () => {
    expect(Charge.enqueue).type.toBeCallableWith({ id: "i", amount: 1 })
    expect(Charge.enqueue).type.not.toBeCallableWith({ id: 1, amount: 1 })
    expect(Charge.enqueue).type.not.toBeCallableWith({ id: "i" })
    expect(Notify.enqueue).type.toBeCallableWith("text")
    expect(Tick.enqueue).type.toBeCallableWith()
  })

  test("needs the store alone", () => {
    expect<Effect.Services<ReturnType<typeof Charge.enqueue>>>().type.toBe<JobStore.JobStore>()
    expect<Effect.Error<ReturnType<typeof Charge.enqueue>>>().type.toBe<
      JobError.EnqueueError | JobError.JobStoreError
    >()
  })
})

describe("run", () => {
  test("has the job's success and errors", () => {
    expect<Effect.Success<ReturnType<typeof Charge.run>>>().type.toBe<{ readonly receipt: string }>()
    expect<Effect.Error<ReturnType<typeof Charge.run>>>().type.toBe<
      | Declined
      | Busy
      | JobError.EnqueueError
      | JobError.JobStoreError
      | JobError.JobDead
      | JobError.JobCancelled
      | JobError.JobGone
    >()
    expect<Effect.Error<ReturnType<typeof Notify.run>>>().type.not.toBeAssignableFrom<Declined>()
  })
})

describe("a handler", () => {
  const ok = () => Effect.succeed({ receipt: "r" })

  test("may fail with the declared errors and with those of its own enqueues", () => {
    expect(Charge.toLayer).type.toBeCallableWith(() => Effect.fail(new Declined({ code: "c" })))
    expect(Charge.toLayer).type.toBeCallableWith(() => Effect.as(Notify.enqueue("x"), { receipt: "r" }))
    expect(Charge.toLayer).type.not.toBeCallableWith(() => Effect.fail(new Other()))
    expect(Charge.toLayer).type.not.toBeCallableWith(() => Effect.fail(new Error("boom")))
  })

  test("answers the declared success", () => {
    expect(Charge.toLayer).type.not.toBeCallableWith(() => Effect.succeed({ receipt: 1 }))
  })

  test("is not missing in a group", () => {
    expect(Billing.toLayer).type.toBeCallableWith({ Charge: ok, Notify: () => Effect.void })
    expect(Billing.toLayer).type.not.toBeCallableWith({ Charge: ok })
  })

  test("has its services surface in the layer, without those of the attempt", () => {
    const layer = Billing.toLayer({
      Charge: () => Effect.flatMap(Stripe, ({ charge }) => Effect.map(charge, (receipt) => ({ receipt }))),
      Notify: () => Effect.asVoid(Effect.context<JobContext.JobContext | Scope.Scope>())
    })
    expect<Layer.Services<typeof layer>>().type.toBe<Stripe>()
    expect<Layer.Success<typeof layer>>().type.toBe<Job.Handler<"Charge"> | Job.Handler<"Notify">>()
  })
})

describe("commit", () => {
  test("takes the result of its own job and needs a transactional store", () => {
    expect(Charge.commit).type.toBeCallableWith(Effect.succeed({ receipt: "r" }))
    expect(Charge.commit).type.not.toBeCallableWith(Effect.succeed({ totally: "wrong" }))
    const layer = Charge.toLayer(() => Charge.commit(Effect.succeed({ receipt: "r" })))
    expect<Layer.Services<typeof layer>>().type.toBe<Transactional.Transactional>()
  })

  test("of another job is not a result of this one", () => {
    expect(Charge.toLayer).type.not.toBeCallableWith(() => Notify.commit(Effect.void))
  })

  test("does not run on a store without it", () => {
    const worker = JobWorker.layer(JobGroup.make(Charge)).pipe(
      Layer.provide(Charge.toLayer(() => Charge.commit(Effect.succeed({ receipt: "r" })))),
      Layer.provide(JobStore.layerMemory())
    )
    expect<Layer.Services<typeof worker>>().type.toBe<Transactional.Transactional>()
  })
})

describe("a worker", () => {
  test("needs the handlers of its group", () => {
    const worker = JobWorker.layer(Billing)
    expect<Layer.Services<typeof worker>>().type.toBe<
      JobStore.JobStore | Job.Handler<"Charge"> | Job.Handler<"Notify">
    >()
  })

  test("knows the queues of its group", () => {
    const layer = (options: JobWorker.Options<"billing" | "mail">) => JobWorker.layer(Billing, options)
    expect(layer).type.toBeCallableWith({ queues: { mail: { weight: 2 } } })
    expect(layer).type.not.toBeCallableWith({ queues: { post: { weight: 2 } } })
  })

  test("serves merged groups", () => {
    const worker = JobWorker.layer(Billing.merge(JobGroup.make(Tick)))
    expect<Layer.Services<typeof worker>>().type.toBe<
      JobStore.JobStore | Job.Handler<"Charge"> | Job.Handler<"Notify"> | Job.Handler<"Tick">
    >()
  })
})

describe("progress", () => {
  test("has its own schema", () => {
    expect(Charge.progress).type.toBeCallableWith(0.5)
    expect(Charge.progress).type.not.toBeCallableWith("half")
  })
})

describe("a middleware", () => {
  class Tenant extends Context.Service<Tenant, { readonly name: string }>()("test/Tenant") {}
  class WithTenant extends JobMiddleware.Service<WithTenant, { readonly provides: Tenant }>()("WithTenant") {}

  test("gives its service to the handlers, and its layer is needed", () => {
    const layer = JobGroup.make(Notify).middleware(WithTenant).toLayer({ Notify: () => Effect.asVoid(Tenant) })
    expect<Layer.Services<typeof layer>>().type.toBe<WithTenant>()
  })
})

describe("previous versions", () => {
  test("the last one lifts to the present payload", () => {
    const V1 = Schema.Struct({ name: Schema.String })
    expect(Job.make).type.toBeCallableWith("V", {
      payload: { first: Schema.String },
      version: 2,
      previous: [Job.version(1, V1, ({ name }) => ({ first: name }))] as const
    })
    expect(Job.make).type.not.toBeCallableWith("V", {
      payload: { first: Schema.String },
      version: 2,
      previous: [Job.version(1, V1, ({ name }) => ({ last: name }))] as const
    })
  })

  test("take no service to decode: who reads an old record has none for it", () => {
    const V1 = Schema.String.pipe(Schema.decodeTo(Schema.String, {
      decode: SchemaGetter.transformEffect((text: string) => Effect.as(Stripe, text)),
      encode: SchemaGetter.transform((text: string) => text)
    }))
    expect(Job.version).type.not.toBeCallableWith(1, V1, (text: string) => text)
    expect(Job.version).type.toBeCallableWith(1, Schema.flip(V1), (text: string) => text)
  })
})
