/**
 * What wraps every attempt of a group: a service per attempt, a check, a measurement.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { Any as AnyJob } from "./Job.ts"
import type { Shape as JobContextShape } from "./JobContext.ts"

/**
 * The property under which a middleware keeps what is not public of it.
 *
 * @category type ids
 * @since 0.1.0
 */
export const TypeId: unique symbol = Symbol.for("capstan/JobMiddleware")

/**
 * What the attempt answers; a middleware hands it on.
 *
 * @category models
 * @since 0.1.0
 */
export interface Answer {
  readonly _: unique symbol
}

/**
 * How the attempt fails; a middleware hands it on, or replaces it by success of another run.
 *
 * @category models
 * @since 0.1.0
 */
export interface Failure {
  readonly _: unique symbol
}

/**
 * A middleware: gets the attempt as an effect, and answers the effect to run. It runs inside the attempt's span, scope
 * and timeout, for every attempt anew.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobMiddleware<in Provides> {
  (
    attempt: Effect.Effect<Answer, Failure, Provides>,
    options: {
      readonly job: Pick<AnyJob, "_tag" | "queue">
      /** The decoded payload. */
      readonly payload: unknown
      readonly context: JobContextShape
    }
  ): Effect.Effect<Answer, Failure>
}

/**
 * The class of a middleware.
 *
 * @category models
 * @since 0.1.0
 */
export interface ServiceClass<Self, Id extends string, Provides>
  extends Context.Service<Self, JobMiddleware<Provides>>
{
  new(_: never): Context.ServiceClass.Shape<Id, JobMiddleware<Provides>>
  readonly [TypeId]: { readonly provides: Provides }
}

/**
 * Any middleware.
 *
 * @category models
 * @since 0.1.0
 */
export interface Any extends Context.Key<unknown, JobMiddleware<never>> {
  readonly [TypeId]: { readonly provides: unknown }
}

/**
 * The services that a middleware gives to the handlers of its group.
 *
 * @category models
 * @since 0.1.0
 */
export type Provides<M> = M extends { readonly [TypeId]: { readonly provides: infer P } } ? P : never

/**
 * Declares a middleware.
 *
 * **Example**
 *
 * ```ts
 * class WithTenant extends JobMiddleware.Service<WithTenant, { provides: Tenant }>()("WithTenant") {}
 *
 * const WithTenantLive = Layer.effect(WithTenant, Effect.gen(function*() {
 *   const tenants = yield* Tenants
 *   return (attempt, { context }) =>
 *     Effect.provideServiceEffect(attempt, Tenant, tenants.of(context.headers["tenant"]))
 * }))
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const Service = <Self, Config extends { readonly provides?: unknown } = {}>() =>
<const Id extends string>(
  id: Id
): ServiceClass<Self, Id, Config extends { readonly provides: infer P } ? P : never> => {
  const service = Context.Service<Self, JobMiddleware<never>>()(`capstan/JobMiddleware/${id}`)
  // `provides` lives in the types alone.
  return Object.assign(service, { [TypeId]: {} }) as never
}
