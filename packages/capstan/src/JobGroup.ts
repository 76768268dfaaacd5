/**
 * Jobs that are run together: one set of handlers, one worker, shared defaults and middleware.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type RunOptions as InternalRunOptions, type RunPolicy, runPolicy } from "./internal/definition.ts"
import { keyOf, type Middleware, type Registered } from "./internal/handler.ts"
import * as Job from "./Job.ts"
import type * as JobBatch from "./JobBatch.ts"
import type { JobContext } from "./JobContext.ts"
import type { EnqueueError, JobStoreError } from "./JobError.ts"
import type * as JobMiddleware from "./JobMiddleware.ts"

/**
 * A group of jobs. `M` are the middlewares that its layer needs, `P` what they provide to which handlers.
 *
 * @category models
 * @since 0.1.0
 */
export interface JobGroup<in out J extends Job.Any, out M = never, out P = never> {
  new(_: never): {}
  /** Its jobs by tag. */
  readonly jobs: ReadonlyMap<string, J>
  /** @internal */
  readonly policies: ReadonlyMap<string, Partial<RunPolicy>>
  /** @internal */
  readonly wraps: ReadonlyMap<string, ReadonlyArray<AnyMiddleware>>
  readonly "~middleware": { readonly needs: M; readonly provides: P }

  /**
   * The layer that runs all its jobs: from one handler per tag, or from an effect that builds them. A handler that is
   * missing, or that fails with an error that its job does not declare, does not compile.
   */
  toLayer<H extends HandlersFrom<J>, EX = never, RX = never>(
    handlers: H | Effect.Effect<H, EX, RX>
  ): Layer.Layer<
    HandlersOf<J>,
    EX,
    Exclude<RX, Scope.Scope> | HandlersServices<J, H, P> | SchemaServices<J> | M
  >

  /** Checks handlers against the group where they are written, apart from the layer. */
  of<H extends HandlersFrom<J>>(handlers: H): H

  /** This group and others as one. A tag that is in two of them throws. */
  merge<const G extends ReadonlyArray<Any>>(
    ...groups: G
  ): JobGroup<J | JobsOf<G[number]>, M | G[number]["~middleware"]["needs"], P | G[number]["~middleware"]["provides"]>

  /** Policies for those of its jobs that do not set them. */
  defaults(options: Omit<Job.RunOptions<never>, "onError">): JobGroup<J, M, P>

  /**
   * Wraps every attempt of the jobs that the group has now. The first one that is given is the outermost. A job of batches among
   * them throws: it has no single attempt to wrap.
   */
  middleware<Self, Id extends string, Provides>(
    middleware: JobMiddleware.ServiceClass<Self, Id, Provides>
  ): JobGroup<J, M | Self, P | Provided<J["_tag"], Provides>>
}

type AnyMiddleware = Context.Key<unknown, Middleware>

/**
 * What a middleware provides, with the tags of the jobs that it wraps: the handlers of a group that is merged have none of it.
 *
 * @category models
 * @since 0.1.0
 */
export interface Provided<out Tag extends string, out Services> {
  readonly tag: Tag
  readonly services: Services
}

/**
 * Any group.
 *
 * @category models
 * @since 0.1.0
 */
export interface Any {
  readonly jobs: ReadonlyMap<string, Job.Any>
  /** @internal */
  readonly policies: ReadonlyMap<string, Partial<RunPolicy>>
  /** @internal */
  readonly wraps: ReadonlyMap<string, ReadonlyArray<AnyMiddleware>>
  readonly "~middleware": { readonly needs: unknown; readonly provides: unknown }
}

/**
 * The jobs of a group.
 *
 * @category models
 * @since 0.1.0
 */
export type JobsOf<G> = G extends { readonly jobs: ReadonlyMap<string, infer J extends Job.Any> } ? J : never

/**
 * The handler services of jobs: what a worker needs, and what `toLayer` gives.
 *
 * @category models
 * @since 0.1.0
 */
export type HandlersOf<J extends Job.Any> = J extends Job.Any ? Job.Handler<J["_tag"]> : never

/**
 * One handler per job.
 *
 * @category models
 * @since 0.1.0
 */
export type HandlersFrom<J extends Job.Any> = { readonly [C in J as C["_tag"]]: HandlerFrom<C> }

type HandlerFrom<J extends Job.Any> = J extends { readonly isBatch: true }
  ? JobBatch.Handler<J["payloadSchema"], J["successSchema"], J["errorSchema"], any>
  : SingleHandlerFrom<J>

type SingleHandlerFrom<J extends Job.Any> = (
  payload: J["payloadSchema"]["Type"]
) => Effect.Effect<
  J["successSchema"]["Type"] | Job.Settled<J["successSchema"]["Type"]>,
  J["errorSchema"]["Type"] | EnqueueError | JobStoreError,
  any
>

/** `any` matches every handler: its services alone are read here, its payload and errors are checked by `HandlersFrom`. */
type HandlersServices<J extends Job.Any, H, P> = J extends Job.Any
  ? H[J["_tag"] & keyof H] extends (...args: any) => Effect.Effect<any, any, infer R>
    ? Exclude<R, AttemptServices<J> | ProvidedTo<J["_tag"], P>>
  : never
  : never

/** What each attempt of a job has. A batch is no attempt: each of its members has a `JobContext` of its own. */
type AttemptServices<J extends Job.Any> = J extends { readonly isBatch: true } ? Scope.Scope : JobContext | Scope.Scope

type ProvidedTo<Tag extends string, P> = P extends Provided<infer Wrapped, infer Services>
  ? Tag extends Wrapped ? Services : never
  : never

type SchemaServices<J extends Job.Any> = J extends Job.Any ?
    | J["payloadSchema"]["DecodingServices"]
    | J["successSchema"]["EncodingServices"]
    | J["errorSchema"]["EncodingServices"]
    | J["errorSchema"]["DecodingServices"]
  : never

/**
 * Groups jobs. A tag that is given twice throws.
 *
 * **Example**
 *
 * ```ts
 * class Billing extends JobGroup.make(ChargeCard, SendReceipt) {}
 *
 * const BillingLive = Billing.toLayer({
 *   ChargeCard: (payload) => charge(payload),
 *   SendReceipt: (payload) => send(payload)
 * })
 * ```
 *
 * @category constructors
 * @since 0.1.0
 */
export const make = <const Js extends ReadonlyArray<Job.Any>>(...jobs: Js): JobGroup<Js[number]> =>
  build(jobs, new Map(), new Map()) as JobGroup<Js[number]>

const build = (
  list: ReadonlyArray<Job.Any>,
  policies: Any["policies"],
  wraps: Any["wraps"]
): unknown => {
  const jobs = new Map<string, Job.Any>()
  for (const job of list) {
    if (jobs.has(job._tag)) throw new Error(`the group has two jobs with the tag ${job._tag}: rename one of them`)
    jobs.set(job._tag, job)
  }
  const operations = {
    jobs,
    policies,
    wraps,
    of: (handlers: unknown) => handlers,
    toLayer: (handlers: Handlers | Effect.Effect<Handlers, unknown, unknown>) => toLayer(list, wraps, handlers),
    merge: (...groups: ReadonlyArray<Any>) =>
      build(
        [...list, ...groups.flatMap((group) => [...group.jobs.values()])],
        new Map([...policies, ...groups.flatMap((group) => [...group.policies])]),
        new Map([...wraps, ...groups.flatMap((group) => [...group.wraps])])
      ),
    defaults: (options: InternalRunOptions) => {
      const added = runPolicy("group defaults", options)
      return build(list, new Map(list.map(({ _tag }) => [_tag, { ...policies.get(_tag), ...added }])), wraps)
    },
    middleware: (middleware: AnyMiddleware) => {
      refuseBatches(list)
      return build(list, policies, new Map(list.map(({ _tag }) => [_tag, [...wraps.get(_tag) ?? [], middleware]])))
    }
  }
  return Object.assign(function() {}, operations)
}

const refuseBatches = (jobs: ReadonlyArray<Job.Any>): void => {
  for (const { [Job.TypeId]: { batch }, _tag } of jobs) {
    if (batch === undefined) continue
    throw new Error(
      `a middleware wraps single attempts, and ${_tag} takes batches: leave it out of this group, and merge the groups`
    )
  }
}

type Handlers = Readonly<Record<string, Registered["run"]>>

const toLayer = (
  jobs: ReadonlyArray<Job.Any>,
  wraps: Any["wraps"],
  handlers: Handlers | Effect.Effect<Handlers, unknown, unknown>
) =>
  Layer.effectContext(Effect.gen(function*() {
    const run = Effect.isEffect(handlers) ? yield* handlers : handlers
    const context = (yield* Effect.context<unknown>()) as Context.Context<never>
    const services = new Map<string, Registered>()
    for (const { _tag } of jobs) {
      const middleware = (wraps.get(_tag) ?? []).map((key) => Context.getUnsafe(context, key))
      services.set(keyOf(_tag).key, { run: run[_tag]!, middleware, context })
    }
    return Context.makeUnsafe<unknown>(services)
  }))
