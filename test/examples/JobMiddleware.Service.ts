// Written by `npm run docs`: the example of `Service` of capstan/JobMiddleware.
import { Effect, Layer } from "effect"
import { JobMiddleware } from "capstan"
import { Tenant, Tenants } from "./setting.ts"

export const run = () => {
  class WithTenant extends JobMiddleware.Service<WithTenant, { provides: Tenant }>()("WithTenant") {}

  const WithTenantLive = Layer.effect(WithTenant, Effect.gen(function*() {
    const tenants = yield* Tenants
    return (attempt, { context }) =>
      Effect.provideServiceEffect(attempt, Tenant, tenants.of(context.headers["tenant"]))
  }))
}
