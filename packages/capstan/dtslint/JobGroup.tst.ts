/**
 * What a group's layer must refuse.
 */
import { Job, JobGroup, JobMiddleware } from "capstan"
import type { Layer } from "effect"
import { Context, Effect, Schema } from "effect"
import { describe, expect, test } from "tstyche"

class Declined extends Schema.TaggedError<Declined>()("Declined", {}) {}
class Other extends Schema.TaggedError<Other>()("Other", {}) {}

class Charge extends Job.make("Charge", { payload: { id: Schema.String }, success: Schema.Number, error: Declined }) {}
class Notify extends Job.make("Notify", { payload: Schema.String }) {}
class Billing extends JobGroup.make(Charge, Notify) {}

const Notified = () => Effect.void

describe("the layer of a group", () => {
  test("takes handlers that fail with what their job declares", () => {
    expect(Billing.toLayer).type.toBeCallableWith({ Charge: () => Effect.fail(new Declined()), Notify: Notified })
    expect(Billing.toLayer).type.toBeCallableWith({
      Charge: () => Effect.as(Notify.enqueue("x"), 1),
      Notify: Notified
    })
  })

  test("refuses an error that its job does not declare, also beside one that it does", () => {
    expect(Billing.toLayer).type.not.toBeCallableWith({ Charge: () => Effect.fail(new Other()), Notify: Notified })
    expect(Billing.toLayer).type.not.toBeCallableWith({
      Charge: (): Effect.Effect<number, Declined | Other> => Effect.succeed(1),
      Notify: Notified
    })
    // Declared by the other job of the group alone.
    expect(Billing.toLayer).type.not.toBeCallableWith({
      Charge: () => Effect.succeed(1),
      Notify: () => Effect.fail(new Declined())
    })
  })

  test("refuses it from an effect that builds the handlers, and in of", () => {
    const handlers = { Charge: () => Effect.fail(new Other()), Notify: Notified }
    expect(Billing.toLayer).type.not.toBeCallableWith(Effect.succeed(handlers))
    expect(Billing.of).type.not.toBeCallableWith(handlers)
  })

  test("refuses a wrong success, a wrong payload and a missing handler", () => {
    expect(Billing.toLayer).type.not.toBeCallableWith({ Charge: () => Effect.succeed("1"), Notify: Notified })
    expect(Billing.toLayer).type.not.toBeCallableWith({ Charge: (id: number) => Effect.succeed(id), Notify: Notified })
    expect(Billing.toLayer).type.not.toBeCallableWith({ Charge: () => Effect.succeed(1) })
  })
})

describe("the services of a middleware", () => {
  class Tenant extends Context.Service<Tenant, string>()("test/Tenant") {}
  class Region extends Context.Service<Region, string>()("test/Region") {}
  class WithTenant extends JobMiddleware.Service<WithTenant, { readonly provides: Tenant }>()("WithTenant") {}
  class WithRegion extends JobMiddleware.Service<WithRegion, { readonly provides: Region }>()("WithRegion") {}
  class Timed extends JobMiddleware.Service<Timed>()("Timed") {}
  class Audit extends Job.make("Audit") {}

  const tenant = () => Effect.asVoid(Tenant)
  const both = () => Effect.andThen(Tenant, Effect.asVoid(Region))
  const Notices = JobGroup.make(Notify).middleware(WithTenant)

  test("are given to the handlers of the jobs that it wraps", () => {
    const layer = JobGroup.make(Notify, Audit).middleware(WithTenant).middleware(WithRegion).middleware(Timed)
      .toLayer({ Notify: both, Audit: both })
    expect<Layer.Services<typeof layer>>().type.toBe<WithTenant | WithRegion | Timed>()
  })

  test("are not given to those that are merged to them, from either side", () => {
    const merged = Notices.merge(JobGroup.make(Audit))
    const given = merged.toLayer({ Notify: tenant, Audit: () => Effect.void })
    expect<Layer.Services<typeof given>>().type.toBe<WithTenant>()
    const missing = merged.toLayer({ Notify: tenant, Audit: tenant })
    expect<Layer.Services<typeof missing>>().type.toBe<WithTenant | Tenant>()
    const into = JobGroup.make(Audit).merge(Notices).toLayer({ Notify: tenant, Audit: tenant })
    expect<Layer.Services<typeof into>>().type.toBe<WithTenant | Tenant>()
  })

  test("are those of each job's own middlewares, also of two groups that have some", () => {
    const group = Notices.merge(JobGroup.make(Audit).middleware(WithRegion)).defaults({ maxAttempts: 3 })
    const layer = group.toLayer({ Notify: both, Audit: () => Effect.asVoid(Region) })
    expect<Layer.Services<typeof layer>>().type.toBe<WithTenant | WithRegion | Region>()
  })

  test("are given to merged jobs by a middleware that comes after the merge", () => {
    const layer = JobGroup.make(Notify).merge(JobGroup.make(Audit)).middleware(WithTenant)
      .toLayer(Effect.succeed({ Notify: tenant, Audit: tenant }))
    expect<Layer.Services<typeof layer>>().type.toBe<WithTenant>()
  })
})
