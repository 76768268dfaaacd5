/**
 * A whole cluster from a seed, in virtual time: real workers whose fibers run in any order, over a store whose replies are
 * lost, late, doubled or missing, in processes that freeze and die. After every step of the store its records are checked; when the faults end, everything
 * that was acknowledged must come to an end.
 *
 * A seed makes the same run on every machine: what fails once can be looked at as often as it takes.
 *
 * @since 0.1.0
 */
import type { JobRecord } from "capstan"
import { type JobError, JobStore, JobWorker } from "capstan"
import { Clock, Context, Duration, Effect, Layer, Logger, Random, Scheduler, Scope } from "effect"
import { TestClock } from "effect/testing"
import { unreached as unreachedBy } from "./internal/simulation/coverage.ts"
import { Invariants, queueLimit } from "./internal/simulation/invariants.ts"
import { Node } from "./internal/simulation/node.ts"
import { Patience, type Remote } from "./internal/simulation/remote.ts"
import * as SeededScheduler from "./internal/simulation/scheduler.ts"
import { Schedules } from "./internal/simulation/schedules.ts"
import { SeamRecords, seamWorker } from "./internal/simulation/seam.ts"
import { handlers, jobs, NewRelease, OldRelease } from "./internal/simulation/workload.ts"
import { type Choices, World } from "./internal/simulation/world.ts"

/**
 * Options of a run.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  readonly seed: number
  /** @default 3 */
  readonly workers?: number | undefined
  /** @default 40 */
  readonly records?: number | undefined
  /**
   * Whether processes freeze and die. Lost replies are to be looked at without, too: a death frees what they strand, and
   * hides it.
   *
   * @default true
   */
  readonly kills?: boolean | undefined
  /**
   * A store in this process that goes by the clock of its context, such as a twin with a defect that must be found.
   *
   * @default the memory store
   */
  readonly layer?: Layer.Layer<JobStore.JobStore> | undefined
  /** Changes the store, to plant a defect that must be found. */
  readonly plant?: ((store: JobStore.Shape) => JobStore.Shape) | undefined
  /**
   * An empty store elsewhere, instead of a new one in memory. One call at a time reaches it, so its own races are not
   * among what is looked for; and what it does in which order of fibers is not the same for every run of the seed.
   */
  readonly remote?: Remote | undefined
  /**
   * How long faults happen, in virtual time.
   *
   * @default 90 seconds
   */
  readonly hostileFor?: Duration.Input | undefined
}

export type {
  /**
   * A store elsewhere that a simulation runs on.
   *
   * @category options
   * @since 0.1.0
   */
  Remote
}

/**
 * What a run reached.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  readonly seed: number
  readonly violations: ReadonlyArray<string>
  /** How often each event of the transition table was seen. */
  readonly events: ReadonlyMap<string, number>
  /** How often each step from state to state was seen. */
  readonly transitions: ReadonlyMap<string, number>
  readonly faults: ReadonlyMap<string, number>
  /** Whether records of a batch job ran together. */
  readonly hasBatches: boolean
  /** Calls that the store took. */
  readonly steps: number
  /** The same for every run of the seed. */
  readonly fingerprint: string
}

const lease = 6000
/** How long the cluster may take to come to rest, in virtual milliseconds. */
const restFor = 120_000

/**
 * Runs one seed.
 *
 * @category runs
 * @since 0.1.0
 */
export const run = (options: Options): Effect.Effect<Report> =>
  simulate(options).pipe(
    Effect.scoped,
    Random.withSeed(`simulation ${options.seed}`),
    Effect.provide(Layer.fresh(TestClock.layer())),
    // Workers say that the store is away, and it often is.
    Effect.provide(Logger.layer([])),
    Effect.provideService(Scheduler.Scheduler, SeededScheduler.make(options.seed)),
    // The scheduler goes by how far a fiber has run since it yielded: what the caller did before must not count.
    (seeded) => Effect.andThen(Effect.yieldNow, seeded)
  )

const simulate = (options: Options): Effect.Effect<Report, never, Scope.Scope> =>
  Effect.gen(function*() {
    const {
      hostileFor = "90 seconds",
      kills = true,
      layer = JobStore.layerMemory(),
      plant = (store) => store,
      records = 40,
      remote,
      seed,
      workers = 3
    } = options
    const world = new World(seed)
    const clock = yield* Clock.Clock
    world.now = () => clock.currentTimeMillisUnsafe()
    const store = remote?.store ??
      Context.get(yield* Layer.build(Layer.fresh(layer)), JobStore.JobStore)
    const patience = remote === undefined ? undefined : new Patience(world, remote)
    if (patience !== undefined) world.atomically = patience.atomically
    const advance = (millis: number) =>
      patience === undefined ? TestClock.adjust(millis) : Effect.andThen(TestClock.adjust(millis), patience.settled)
    // Without deaths no lease may end: an outage is shorter than what a lease bears.
    if (!kills) world.slowest = 500
    const hostileMillis = Duration.toMillis(Duration.fromInputUnsafe(hostileFor))
    const schedules = new Schedules(hostileMillis)
    const invariants = new Invariants(world, store, {
      strandedAfter: kills ? Infinity : 5 * lease,
      mayCrash: kills,
      schedules,
      seesEdges: remote === undefined
    })
    const cluster = new Cluster(world, plant(store), clock, invariants, schedules)
    for (let i = 0; i < workers; i++) yield* cluster.start(i % 3 === 1 ? "old" : "new")
    const acknowledged = yield* drive(cluster, {
      kills,
      records,
      stopsEarly: remote !== undefined,
      hostileFor: hostileMillis,
      advance
    })
    world.isHostile = false
    for (let passed = 0; passed < restFor; passed += 1000) {
      yield* advance(1000)
      // Time that passes in memory costs nothing.
      if (remote !== undefined && (world.violations.length > 0 || (yield* invariants.isAtRest(acknowledged)))) break
    }
    yield* invariants.atRest(acknowledged)
    // A store elsewhere would go on waking them.
    cluster.end()
    const { events, faults, fingerprint, memberLog, steps, transitions, violations } = world
    return { seed, violations, hasBatches: memberLog.hasMates, events, transitions, faults, steps, fingerprint }
  })

type Release = "old" | "new"

const settings: JobWorker.Options<"default" | "parents" | "bulk"> = {
  concurrency: 4,
  lease,
  pollInterval: "1 second",
  shutdownGrace: 0,
  interruptGrace: "1 second",
  queues: { [queueLimit.queue]: { limit: { concurrency: queueLimit.concurrency } } }
}

/** The processes of a run. */
class Cluster {
  readonly world: World
  readonly client: JobStore.Shape
  private readonly store: JobStore.Shape
  private readonly clock: Clock.Clock
  private readonly invariants: Invariants
  readonly schedules: Schedules
  private nodes: Array<{ readonly node: Node; readonly release: Release }> = []
  private readonly all: Array<Node> = []
  private started = 0

  constructor(
    world: World,
    store: JobStore.Shape,
    clock: Clock.Clock,
    invariants: Invariants,
    schedules: Schedules
  ) {
    this.world = world
    this.store = store
    this.clock = clock
    this.invariants = invariants
    this.schedules = schedules
    this.client = this.node("client").view(store, clock, invariants)
  }

  private node(name: string): Node {
    const node = new Node(name, this.world)
    this.all.push(node)
    return node
  }

  /** Starts a process with a worker. Its scope is left open: what is killed runs no finalizers. */
  readonly start = (release: Release): Effect.Effect<void> =>
    Effect.gen({ self: this }, function*() {
      const node = this.node(`worker ${++this.started}`)
      this.nodes.push({ node, release })
      const worker = release === "old" ? JobWorker.layer(OldRelease, settings) : JobWorker.layer(NewRelease, settings)
      const served = Layer.provide(worker, handlers(node, this.kill(node, release)))
      const all = Layer.fresh(Layer.merge(served, this.schedules.layer))
      yield* Layer.buildWithScope(all, yield* Scope.make()).pipe(
        Effect.provideService(JobStore.JobStore, node.view(this.store, this.clock, this.invariants)),
        Effect.provideService(Clock.Clock, node.clock(this.clock))
      )
    })

  /** The process is gone from one instant to the next; another one starts in its place. */
  private kill(node: Node, release: Release): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (node.isKilled) return Effect.void
      node.isKilled = true
      this.nodes = this.nodes.filter((other) => other.node !== node)
      this.world.reached("killed worker")
      const successor = Effect.andThen(this.clock.sleep(Duration.seconds(2)), this.start(release))
      return Effect.asVoid(Effect.forkDetach(Effect.provideService(successor, Clock.Clock, this.clock)))
    })
  }

  /** A worker of another kind: what core cannot cause yet. */
  seam(records: SeamRecords): Effect.Effect<void, never, Scope.Scope> {
    const node = this.node("seam")
    const view = node.view(this.store, this.clock, this.invariants)
    return Effect.asVoid(Effect.forkScoped(seamWorker(node, view, records, lease)))
  }

  readonly killOne: Effect.Effect<void> = Effect.suspend(() => {
    if (this.nodes.length < 2) return Effect.void
    const { node, release } = this.world.choices.pick(this.nodes)
    return this.kill(node, release)
  })

  /** Nobody of it calls the store any more. */
  end(): void {
    for (const node of this.all) node.isKilled = true
  }

  /** By up to an hour, either way. */
  stepClock(): void {
    if (this.nodes.length === 0) return
    this.world.choices.pick(this.nodes).node.clockOffset = this.world.choices.between(-3_600_000, 3_600_000)
    this.world.reached("clock step")
  }

  /** For longer than its lease, so that it comes back stale. */
  freezeOne(): void {
    if (this.nodes.length === 0) return
    this.world.choices.pick(this.nodes).node.frozenUntil = this.world.now() +
      this.world.choices.between(lease, 3 * lease)
    this.world.reached("frozen worker")
  }
}

/** Clients, operators and faults at random instants; answers the ids of acknowledged records. */
const drive = (
  cluster: Cluster,
  { advance, hostileFor, kills, records, stopsEarly }: {
    readonly kills: boolean
    readonly stopsEarly: boolean
    readonly records: number
    readonly hostileFor: number
    readonly advance: (millis: number) => Effect.Effect<void>
  }
): Effect.Effect<ReadonlySet<string>, never, Scope.Scope> =>
  Effect.gen(function*() {
    const { choices, now } = cluster.world
    const acknowledged = new Set<string>()
    const inBackground = <A, E>(effect: Effect.Effect<A, E, JobStore.JobStore>) =>
      effect.pipe(
        Effect.ignore,
        Effect.provideService(JobStore.JobStore, cluster.client),
        Effect.forkScoped
      )
    const ofSeam = new SeamRecords(choices)
    yield* cluster.seam(ofSeam)
    yield* inBackground(cluster.schedules.make(cluster.client))
    const atSeam = (record: JobStore.NewRecord) =>
      inBackground(Effect.map(cluster.client.enqueue({ records: [record] }), () => acknowledged.add(record.id)))
    const names = Object.keys(jobs).filter((name) => kills || name !== "Poison") as ReadonlyArray<keyof typeof jobs>
    const isOver = () => now() >= hostileFor || stopsEarly && cluster.world.violations.length > 0
    while (!isOver()) {
      if (choices.chance(records / (hostileFor / 300))) {
        // Poison is rare.
        const name = choices.chance(0.2)
          ? "Keyed"
          : choices.chance(0.15)
          ? "Urgent"
          : choices.chance(0.15)
          ? "Limited"
          : choices.pick(names)
        const job = jobs[name === "Poison" && choices.chance(0.7) ? "Work" : name]
        // What has a rate comes in bursts, of short runs: else nothing would tell that it is kept.
        const isBurst = name === "Limited" && choices.chance(0.4)
        const payload = () => ({
          millis: choices.between(1, isBurst ? 200 : 4000),
          failures: !isBurst && choices.chance(0.3) ? choices.between(1, 2) : 0
        })
        // Batches come of what comes together.
        const payloads = Array.from({ length: isBurst ? 6 : name === "Batched" ? 4 : 1 }, payload)
        const enqueue = job.enqueueMany(payloads, {
          delay: !isBurst && choices.chance(0.3) ? choices.between(1, 5000) : 0
        })
        yield* inBackground(Effect.map(enqueue, (stored) => stored.forEach(({ id }) => acknowledged.add(id))))
      }
      if (choices.chance(0.02)) yield* atSeam(ofSeam.steps())
      if (choices.chance(0.03)) yield* inBackground(cluster.schedules.change(cluster.client, choices))
      if (choices.chance(0.03) && acknowledged.size > 0) {
        const recent = [...acknowledged].slice(-4)
        yield* atSeam(ofSeam.dependent(choices.chance(0.5) ? recent.slice(-2) : [choices.pick(recent)]))
      }
      if (choices.chance(0.02)) {
        const flow = ofSeam.flow()
        yield* inBackground(Effect.map(
          cluster.client.enqueue({ records: flow, whole: flow.at(-1)!.id }),
          () => flow.forEach(({ id }) => acknowledged.add(id))
        ))
      }
      if (choices.chance(0.15) && acknowledged.size > 0) {
        // Mostly what is new: it may still wait.
        const ids = [...acknowledged].slice(choices.chance(0.7) ? -5 : 0)
        yield* inBackground(operate(cluster.client, choices.pick(ids) as JobRecord.JobId, choices))
      }
      if (choices.chance(0.1)) {
        // What is ready by a limit may be too much by the next.
        const settings = choices.chance(0.5) ? { concurrency: 1 } : undefined
        yield* inBackground(cluster.client.limits([{ _tag: "Override", name: "@shared", settings }]))
      }
      if (kills && choices.chance(0.01)) yield* cluster.killOne
      if (kills && choices.chance(0.01)) cluster.freezeOne()
      if (choices.chance(0.01)) cluster.stepClock()
      if (choices.chance(0.003)) {
        cluster.world.restartUntil = now() + choices.between(100, kills ? 4000 : 500)
        cluster.world.reached("store restart")
      }
      yield* advance(choices.between(100, 500))
    }
    return acknowledged
  })

const operate = (
  store: JobStore.Shape,
  id: JobRecord.JobId,
  choices: Choices
): Effect.Effect<unknown, JobError.JobStoreError> => {
  // More of one key than its limit allows: those that have no slot wait again.
  if (choices.chance(0.2)) {
    const state = choices.pick<JobRecord.State>(["completed", "dead", "cancelled"])
    const where: JobStore.Selection = { tag: "Keyed", states: [state] }
    return store.control({ action: { _tag: "Retry" }, where, limit: 5 })
  }
  // Nothing is ready for long.
  if (choices.chance(0.1)) {
    const action = choices.pick<JobStore.ControlAction>([
      { _tag: "Cancel", reason: "simulated" },
      { _tag: "Reschedule", delay: 1000 }
    ])
    return store.control({ action, where: { states: ["ready"] }, limit: 2 })
  }
  const action = choices.pick<JobStore.ControlAction>([
    { _tag: "Cancel", reason: "simulated" },
    { _tag: "Retry" },
    { _tag: "Promote" },
    { _tag: "Reschedule", delay: 1000 },
    { _tag: "Reprioritise", priority: 5 }
  ])
  return store.control({ action, where: { ids: [id] }, limit: 1 })
}

/**
 * Several runs taken together.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exploration {
  readonly runs: number
  readonly steps: number
  readonly events: ReadonlyMap<string, number>
  readonly transitions: ReadonlyMap<string, number>
  readonly faults: ReadonlyMap<string, number>
  /** The first seed that broke an invariant, with what it broke. */
  readonly failed: Report | undefined
}

/**
 * Runs seeds one after another, until one fails.
 *
 * @category runs
 * @since 0.1.0
 */
export const explore = (
  seeds: Iterable<number>,
  options?: Omit<Options, "seed">
): Effect.Effect<Exploration> =>
  Effect.gen(function*() {
    const events = new Map<string, number>()
    const transitions = new Map<string, number>()
    const faults = new Map<string, number>()
    let runs = 0
    let steps = 0
    for (const seed of seeds) {
      const report = yield* run({ ...options, seed })
      runs++
      steps += report.steps
      add(events, report.events)
      add(transitions, report.transitions)
      add(faults, report.faults)
      if (report.violations.length > 0) return { runs, steps, events, transitions, faults, failed: report }
    }
    return { runs, steps, events, transitions, faults, failed: undefined }
  })

const add = (sum: Map<string, number>, more: ReadonlyMap<string, number>): void => {
  for (const [name, count] of more) sum.set(name, (sum.get(name) ?? 0) + count)
}

/**
 * What of the transition table no run has reached, though it can be: events, and steps from state to state. Some hundred
 * seeds reach all of it.
 *
 * @category runs
 * @since 0.1.0
 */
export const unreached = (exploration: Exploration, options: { readonly kills: boolean }): ReadonlyArray<string> =>
  unreachedBy(exploration, options.kills)

/**
 * What a failed run says, with how to see it again.
 *
 * @category runs
 * @since 0.1.0
 */
export const describeFailure = ({ seed, violations }: Report, kills: boolean): string =>
  `seed ${seed}:\n${violations.map((violation) => `  ${violation}`).join("\n")}\n` +
  `replay with: npm run simulate -- --seed ${seed}${kills ? "" : " --no-kills"}`
