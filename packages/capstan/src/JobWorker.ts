/**
 * Runs the jobs of a group: one pool of slots, fed by one loop.
 *
 * Guarantees: a lost lease, a cancel and a timeout interrupt the handler's fiber, and its finalizers run; a store that is
 * away for any length of time stops nothing but the claims, and the worker resumes by itself; when its layer closes it
 * ends within `shutdownGrace` and `interruptGrace` and what the store takes to answer, and nothing is lost.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as References from "effect/References"
import * as Scope from "effect/Scope"
import { defaultPolicy, integer, millis } from "./internal/definition.ts"
import { keyOf } from "./internal/handler.ts"
import { proposals } from "./internal/limit.ts"
import * as Log from "./internal/log.ts"
import { keysIssue, limitsIssue } from "./internal/partitions.ts"
import * as Uuid from "./internal/uuid.ts"
import { isAway } from "./internal/worker/call.ts"
import type { Status } from "./internal/worker/health.ts"
import { janitor } from "./internal/worker/janitor.ts"
import { keeper } from "./internal/worker/keeper.ts"
import { listener } from "./internal/worker/listener.ts"
import * as Perform from "./internal/worker/perform.ts"
import type { PerformOptions } from "./internal/worker/perform.ts"
import { processOf } from "./internal/worker/process.ts"
import { proposing } from "./internal/worker/propose.ts"
import { pump } from "./internal/worker/pump.ts"
import { makeRunnable, type RunnableJob } from "./internal/worker/runner.ts"
import { shutdown } from "./internal/worker/shutdown.ts"
import { QueueSlots, Slots } from "./internal/worker/slots.ts"
import { WorkerState } from "./internal/worker/state.ts"
import { Telemetry } from "./internal/worker/telemetry.ts"
import type { Settings } from "./internal/worker/timers.ts"
import * as Job from "./Job.ts"
import { type EnqueueError, JobStoreError } from "./JobError.ts"
import type * as JobGroup from "./JobGroup.ts"
import * as JobLimit from "./JobLimit.ts"
import { JobStore } from "./JobStore.ts"
import { Transactional } from "./Transactional.ts"

/**
 * The share of one queue in the pool.
 *
 * @category options
 * @since 0.1.0
 */
export interface QueueOptions {
  /**
   * At most this many of its records run at a time in this worker.
   *
   * @default the pool's
   */
  readonly concurrency?: number | undefined
  /**
   * Its part of what is contended, with `order: "weighted"`.
   *
   * @default 1
   */
  readonly weight?: number | undefined
  /**
   * What all workers of the store keep to together: how many records of the queue run at a time, how many start in a time.
   * Proposed to the store as its named setting; see `JobLimit`.
   *
   * @default no limit
   */
  readonly limit?: JobLimit.Options | undefined
}

/**
 * Options of a worker.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options<Queue extends string = string> {
  /**
   * How many attempts run at a time, over all queues.
   *
   * @default 100
   */
  readonly concurrency?: number | undefined
  /**
   * Who gets a free slot: `"weighted"` shares by weight, `"strict"` serves the queues in the order in which `queues` names
   * them (then the others), a later one only when the earlier ones are empty.
   *
   * @default "weighted"
   */
  readonly order?: "strict" | "weighted" | undefined
  /**
   * The release that this code belongs to, a number that rises with each. Of the limits that workers propose, those of the
   * highest release hold; within one, those of the worker that started last.
   *
   * @default 0
   */
  readonly release?: number | undefined
  /**
   * What the application calls its version, such as a commit or the tag of an image, up to 100 characters: whoever looks at the
   * workers sees it beside the release of `capstan`, and which of them run another one.
   *
   * @default none is told
   */
  readonly version?: string | undefined
  /**
   * The machine's name for whoever looks at the workers. `false` tells none.
   *
   * @default what the operating system calls it, where the runtime says so
   */
  readonly host?: string | false | undefined
  /**
   * Caps and weights by queue. A queue that no job of the group uses throws.
   *
   * @default every queue of the group, weight 1, no cap
   */
  readonly queues?: { readonly [Q in Queue]?: QueueOptions } | undefined
  /**
   * How long its claims hold without a word from it. A dead worker's records run again after this; a live one renews at a
   * third of it, and fences itself at four fifths.
   *
   * @default 30 seconds
   */
  readonly lease?: Duration.Input | undefined
  /**
   * How often an idle worker looks into a store whose wake-ups may be lost. Jittered by a fifth. Memory is never polled. What was
   * claimed ahead and has no slot for a quarter of it (250 ms at most, 20 at least) is given back to who looks next.
   *
   * @default 2 seconds
   */
  readonly pollInterval?: Duration.Input | undefined
  /**
   * How long a closing worker lets its attempts run before it interrupts them.
   *
   * @default 15 seconds
   */
  readonly shutdownGrace?: Duration.Input | undefined
  /**
   * How long an interrupted attempt may take for its finalizers, before its slot is given up.
   *
   * @default 5 seconds
   */
  readonly interruptGrace?: Duration.Input | undefined
}

/**
 * How a worker stands.
 *
 * @category models
 * @since 0.1.0
 */
export interface Health {
  /** `degraded`: the store does not answer; what runs goes on. */
  readonly status: Status
  /** Attempts that have a slot now. */
  readonly running: number
  /** Claimed, and waiting for a slot or for others of their batch. */
  readonly waiting: number
  /** How many slots there are. */
  readonly concurrency: number
  /** By the store's clock. */
  readonly lastAnswerAt: number | undefined
  readonly lastError: string | undefined
  /** Attempts that could not be interrupted in time. */
  readonly abandoned: number
}

/**
 * A running worker.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shape {
  readonly id: string
  readonly health: Effect.Effect<Health>
  /** Waits until the store has answered, after the start or an outage. */
  readonly awaitReady: Effect.Effect<void>
  /**
   * Changes the size of the pool, or the share of a queue. What runs goes on. Where anything of it cannot be meant, it dies and
   * nothing is changed. A limit is the store's: `Jobs.setLimit`.
   */
  readonly resize: (
    options: { readonly concurrency?: number; readonly queues?: Readonly<Record<string, Omit<QueueOptions, "limit">>> }
  ) => Effect.Effect<void>
}

/**
 * The worker of a program.
 *
 * @category service
 * @since 0.1.0
 */
export class JobWorker extends Context.Service<JobWorker, Shape>()("capstan/JobWorker") {}

/**
 * A worker for a group.
 *
 * **Details**
 *
 * It claims from exactly the queues of the group's jobs. A record of another job, or of a newer payload version, that it
 * finds there is parked until a worker that has it appears.
 *
 * **Example**
 *
 * ```ts
 * const Main = JobWorker.layer(Billing, { concurrency: 50 }).pipe(
 *   Layer.provide(BillingLive),
 *   Layer.provide(JobStore.layerMemory())
 * )
 * ```
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = <J extends Job.Any, M, P>(
  group: JobGroup.JobGroup<J, M, P>,
  options?: Options<J["queue"]>
): Layer.Layer<JobWorker, never, JobStore | JobGroup.HandlersOf<J>> =>
  Layer.effect(JobWorker, make(group, options ?? {})) as Layer.Layer<
    JobWorker,
    never,
    JobStore | JobGroup.HandlersOf<J>
  >

/**
 * Runs the handler of a job once, in this fiber: the payload goes through its schema to JSON and back, the handler has its
 * middleware and its `JobContext`, and the result comes back through its schema too.
 *
 * **When to use**
 *
 * Unit tests of a handler, a console, a script. What is awaited is the handler alone: no store has a record of it, so
 * nothing is tried again, and neither timeout nor `unique` nor limits apply.
 *
 * **Gotchas**
 *
 * What the handler enqueues is stored, without a parent. Its progress and logs go nowhere; `snooze` and `X.commit`, which
 * need a record, are defects.
 *
 * @category runs
 * @since 0.1.0
 */
export const perform = <J extends Job.Any>(
  job: J,
  payload: J["payloadSchema"]["~type.make.in"],
  options?: PerformOptions
): Effect.Effect<
  J["successSchema"]["Type"],
  J["errorSchema"]["Type"] | EnqueueError | JobStoreError,
  | JobGroup.HandlersOf<J>
  | J["payloadSchema"]["EncodingServices" | "DecodingServices"]
  | J["successSchema"]["EncodingServices" | "DecodingServices"]
> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Effect.catchIf(
      Perform.perform(job[Job.TypeId], Context.getUnsafe(context, keyOf(job._tag)), payload, options ?? {}),
      (error) => error instanceof JobStoreError && error.reason._tag === "LeaseLost",
      () => Effect.die(new Error(noRecord(job._tag)))
    )
  ) as Effect.Effect<never>

/**
 * The same for a batch job: runs its handler once for all payloads, and answers how each record ends, in their order.
 *
 * @category runs
 * @since 0.1.0
 */
export const performBatch = <J extends Job.Any & { readonly isBatch: true }>(
  job: J,
  payloads: ReadonlyArray<J["payloadSchema"]["~type.make.in"]>,
  options?: PerformOptions
): Effect.Effect<
  ReadonlyArray<
    Exit.Exit<J["successSchema"]["Type"], J["errorSchema"]["Type"] | EnqueueError | JobStoreError>
  >,
  EnqueueError,
  | JobGroup.HandlersOf<J>
  | J["payloadSchema"]["EncodingServices" | "DecodingServices"]
  | J["successSchema"]["EncodingServices" | "DecodingServices"]
> =>
  Effect.contextWith((context: Context.Context<never>) =>
    Perform.performBatch(job[Job.TypeId], Context.getUnsafe(context, keyOf(job._tag)), payloads, options ?? {})
  ) as Effect.Effect<never>

/** Of what a handler does here, a commit alone carries a fence. */
const noRecord = (tag: string): string =>
  `${tag}.commit completes the record of its attempt, and a handler that is performed has none: ` +
  "enqueue it and let a worker run it"

export type {
  /**
   * What the attempt of `perform` finds in its `JobContext`.
   *
   * @category options
   * @since 0.1.0
   */
  PerformOptions
}

const make = (group: JobGroup.Any, options: Options): Effect.Effect<Shape, never, JobStore | Scope.Scope> =>
  Effect.gen(function*() {
    const context = (yield* Effect.context<JobStore | Scope.Scope>()) as Context.Context<never>
    const store = yield* JobStore
    const clock = yield* Clock.Clock
    const id = yield* Effect.withFiber((fiber) => Effect.succeed(Uuid.make(fiber)))
    refuseForeign(context, store.identity)
    refuse(keysIssue([...group.jobs.values()].map((job) => job[Job.TypeId]), store.partitions ?? {}))
    const jobs = runnablesOf(group, context)
    const limits = proposalsOf(jobs, options)
    refuse(limitsIssue(limits, store.partitions ?? {}))
    const state = new WorkerState({
      store,
      clock,
      settings: settingsOf(id, options),
      slots: slotsOf(group, options),
      jobs,
      telemetry: new Telemetry(context)
    })
    yield* start(state, proposing(state, limits))
    return {
      id,
      health: Effect.sync(() => healthOf(state)),
      awaitReady: state.health.ready.await,
      resize: (change) => Effect.sync(() => resize(state, change))
    }
  })

/** The loops end after the shutdown, which needs them: they live in a scope of their own. */
const start = (state: WorkerState, prepare: Effect.Effect<void>): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function*() {
    const scope = yield* Scope.make()
    // Whatever becomes of it: nobody else ends them.
    yield* Effect.addFinalizer((exit) => Effect.ensuring(shutdown(state), Scope.close(scope, exit)))
    // Listening comes first, so that no wake-up falls between the first look and the subscription.
    const loops = {
      listener: listener(state),
      keeper: keeper(state),
      janitor: janitor(state),
      pump: Effect.andThen(prepare, pump(state))
    }
    for (const [name, loop] of Object.entries(loops)) {
      yield* Effect.forkIn(supervised(state, name, loop), scope, { startImmediately: true })
    }
  })

/** A loop starts again whatever ends it. No spans for idle loops. */
const supervised = (state: WorkerState, name: string, loop: Effect.Effect<void, unknown>): Effect.Effect<never> =>
  // A store that is away is logged once, by who calls it.
  Effect.exit(loop).pipe(
    Effect.flatMap((exit) =>
      Exit.isFailure(exit) && !isAway(exit.cause)
        ? Log.warning(`worker ${state.settings.id}: its ${name} failed and starts again`, exit.cause)
        : Effect.void
    ),
    Effect.andThen(Effect.sleep(1000)),
    Effect.forever,
    Effect.provideService(References.TracerEnabled, false)
  )

/** What the store would refuse at every call. */
const refuse = (issue: string | undefined): void => {
  if (issue !== undefined) throw new Error(`worker: ${issue}`)
}

const refuseForeign = (context: Context.Context<never>, identity: string): void => {
  const transactional = Context.getOrUndefined(context, Transactional)
  if (transactional === undefined || transactional.identity === identity) return
  throw new Error(
    `the worker's store is ${identity}, and Transactional belongs to ${transactional.identity}: ` +
      "provide both from the same layer"
  )
}

const settingsOf = (id: string, options: Options): Settings => {
  const lease = millis("worker", "lease", options.lease ?? "30 seconds")
  return {
    id,
    lease: integer("worker", "lease", lease, 1000, 24 * 60 * 60 * 1000),
    exchangeTimeout: Math.min(10_000, Math.floor(lease / 3)),
    pollInterval: integer(
      "worker",
      "pollInterval",
      millis("worker", "pollInterval", options.pollInterval ?? "2 seconds"),
      10,
      3_600_000
    ),
    shutdownGrace: millis("worker", "shutdownGrace", options.shutdownGrace ?? "15 seconds"),
    interruptGrace: millis("worker", "interruptGrace", options.interruptGrace ?? "5 seconds"),
    process: processOf(options)
  }
}

const slotsOf = (group: JobGroup.Any, options: Options): Slots => {
  const used = new Set([...group.jobs.values()].map(({ queue }) => queue))
  const given: Readonly<Record<string, QueueOptions | undefined>> = options.queues ?? {}
  for (const name of Object.keys(given)) {
    if (used.has(name)) continue
    throw new Error(`worker: no job of the group uses the queue ${name}; its queues are ${[...used].join(", ")}`)
  }
  // Not by what an object has besides: a queue may be called as that is.
  const others = [...used].filter((name) => !Object.hasOwn(given, name))
  const queues = [...Object.keys(given), ...others].map((name) => new QueueSlots(name))
  for (const queue of queues) {
    const { name } = queue
    configure(queue, shareOf(name, Object.hasOwn(given, name) ? given[name] ?? {} : {}))
    const sizes = batchesOf(group, name)
    // Where other jobs share the queue, what is claimed may be theirs: one for a slot.
    queue.batch = Math.min(...sizes)
    queue.largest = Math.max(...sizes)
  }
  return new Slots(concurrencyOf(options.concurrency ?? 100), options.order ?? "weighted", queues)
}

/** How many records one slot takes, by each job of the queue. */
const batchesOf = (group: JobGroup.Any, queue: string): ReadonlyArray<number> =>
  [...group.jobs.values()].filter((job) => job.queue === queue).map((job) => job[Job.TypeId].batch?.size ?? 1)

const concurrencyOf = (value: number): number => integer("worker", "concurrency", value, 1, 100_000)

interface Share {
  readonly cap: number | undefined
  readonly weight: number | undefined
}

const shareOf = (name: string, { concurrency, weight }: QueueOptions): Share => {
  if (weight !== undefined && !(weight > 0 && weight < Infinity)) {
    throw new Error(`worker, queue ${name}: weight must be above 0, it is ${weight}`)
  }
  const cap = concurrency === undefined
    ? undefined
    : integer(`worker, queue ${name}`, "concurrency", concurrency, 0, 100_000)
  return { cap, weight }
}

const configure = (queue: QueueSlots, { cap, weight }: Share): void => {
  if (cap !== undefined) queue.cap = cap
  if (weight !== undefined) queue.weight = weight
}

const runnablesOf = (group: JobGroup.Any, context: Context.Context<never>): ReadonlyMap<string, RunnableJob> => {
  const jobs = new Map<string, RunnableJob>()
  for (const [tag, job] of group.jobs) {
    const definition = job[Job.TypeId]
    const policy = { ...defaultPolicy, ...group.policies.get(tag), ...definition.policy }
    jobs.set(tag, makeRunnable(definition, policy, Context.getUnsafe(context, keyOf(tag)), context))
  }
  return jobs
}

const proposalsOf = (jobs: ReadonlyMap<string, RunnableJob>, { queues = {}, release = 0 }: Options) =>
  proposals(
    [...jobs.values()].map(({ definition }) => definition),
    Object.entries(queues as Readonly<Record<string, QueueOptions | undefined>>).flatMap(([name, options]) =>
      options?.limit === undefined
        ? []
        : [{ name, settings: JobLimit.settingsOf(`worker, queue ${name}`, options.limit) }]
    ),
    integer("worker", "release", release, 0, Number.MAX_SAFE_INTEGER)
  )

const healthOf = (state: WorkerState): Health => ({
  status: state.health.status,
  running: state.slots.running,
  waiting: state.waitingCount + state.collector.size,
  concurrency: state.slots.concurrency,
  lastAnswerAt: state.health.lastAnswerAt,
  lastError: state.health.lastError,
  abandoned: state.abandoned
})

const resize = (state: WorkerState, { concurrency, queues }: Parameters<Shape["resize"]>[0]): void => {
  // All of it is checked before any of it holds.
  const size = concurrency === undefined ? undefined : concurrencyOf(concurrency)
  const shares = Object.entries(queues ?? {}).map(([name, options]) => {
    const queue = state.slots.queues.get(name)
    if (queue === undefined) {
      throw new Error(
        `worker: it does not serve the queue ${name}; its queues are ${[...state.slots.queues.keys()].join(", ")}`
      )
    }
    return [queue, shareOf(name, options)] as const
  })
  if (size !== undefined) state.slots.concurrency = size
  for (const [queue, share] of shares) configure(queue, share)
  state.slots.lookEverywhere()
  state.startWaiting()
  state.work.openUnsafe()
}
