/**
 * A whole cluster from a seed, in virtual time: real workers whose fibers run in any order, over a store whose replies are
 * lost, late, doubled or missing, in processes that freeze and die. After every step of the store its records are checked; when the faults end, everything
 * that was acknowledged must come to an end.
 *
 * A seed makes the same run on every machine: what fails once can be looked at as often as it takes.
 *
 * @since 0.1.0
 */
import { JobStore, type JobWorker } from "capstan"
import { Clock, Context, Duration, Effect, Layer, Logger, Random, Scheduler, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { Cluster, lease } from "./internal/simulation/cluster.ts"
import { unreached as unreachedBy } from "./internal/simulation/coverage.ts"
import * as Crowd from "./internal/simulation/crowd.ts"
import { drive } from "./internal/simulation/drive.ts"
import { Invariants } from "./internal/simulation/invariants.ts"
import { Patience, type Remote } from "./internal/simulation/remote.ts"
import * as SeededScheduler from "./internal/simulation/scheduler.ts"
import { Schedules } from "./internal/simulation/schedules.ts"
import * as Story from "./internal/simulation/story.ts"
import { type Occurrence, type Told, World } from "./internal/simulation/world.ts"

/**
 * Options of a run.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /** What all chances of the run come from: the order of fibers, the faults, the payloads. */
  readonly seed: number
  /**
   * How many workers there are. Each third one runs the code of an older release.
   *
   * @default 3
   */
  readonly workers?: number | undefined
  /**
   * About how many records producers enqueue.
   *
   * @default 40
   */
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
  /**
   * Makes the workers, such as a twin with a defect that must be found.
   *
   * @default `JobWorker.layer`
   */
  readonly worker?: typeof JobWorker.layer | undefined
  /**
   * Changes the store, to plant a defect that must be found.
   *
   * @default none
   */
  readonly plant?: ((store: JobStore.Shape) => JobStore.Shape) | undefined
  /**
   * An empty store elsewhere, instead of a new one in memory. One call at a time reaches it, so its own races are not
   * among what is looked for; and what it does in which order of fibers is not the same for every run of the seed.
   *
   * @default none
   */
  readonly remote?: Remote | undefined
  /**
   * How long faults happen, in virtual time.
   *
   * @default 90 seconds
   */
  readonly hostileFor?: Duration.Input | undefined
  /**
   * What does not happen in this run, by the keys of what happened in another one of the seed: see `shrink`.
   *
   * @default nothing
   */
  readonly without?: ReadonlySet<string> | undefined
  /**
   * When it is over at the latest, in virtual milliseconds, however it stands then.
   *
   * @default when nothing happens any more
   */
  readonly until?: number | undefined
  /**
   * Whether the report says what every record did.
   *
   * @default false
   */
  readonly tells?: boolean | undefined
}

export type {
  /**
   * What somebody did, or what went wrong, at some instant of a run.
   *
   * @category models
   * @since 0.1.0
   */
  Occurrence,
  /**
   * A store elsewhere that a simulation runs on.
   *
   * @category options
   * @since 0.1.0
   */
  Remote,
  /**
   * What a record did at some instant of a run.
   *
   * @category models
   * @since 0.1.0
   */
  Told
}

/**
 * What a run reached.
 *
 * @category models
 * @since 0.1.0
 */
export interface Report {
  /** What the run was made of: `run` with it is the same run. */
  readonly seed: number
  readonly violations: ReadonlyArray<string>
  /** When the first invariant broke, in virtual milliseconds. */
  readonly brokeAt: number | undefined
  /** How often each event of the transition table was seen. */
  readonly events: ReadonlyMap<string, number>
  /** How often each step from state to state was seen. */
  readonly transitions: ReadonlyMap<string, number>
  /** How often features were seen to do what they are for. */
  readonly features: ReadonlyMap<string, number>
  /** How often each fault struck. */
  readonly faults: ReadonlyMap<string, number>
  /** How often one fault came within six seconds after another one: `killed worker, lost reply`. */
  readonly faultPairs: ReadonlyMap<string, number>
  /** What clients, operators and faults did, in order. */
  readonly story: ReadonlyArray<Occurrence>
  /** What the records did, in order, with `tells`. */
  readonly told: ReadonlyArray<Told>
  /** Whether records of a batch job ran together. */
  readonly hasBatches: boolean
  /** Calls that the store took. */
  readonly steps: number
  /** The same for every run of the seed. */
  readonly fingerprint: string
}

/**
 * How long the cluster may take to come to rest, in virtual milliseconds. Handlers fail once more in each process that runs them, and a
 * circuit that opens each time lets one probe at a time: ten such records have taken more than two minutes.
 */
const restFor = 600_000
/** How long it is looked at while it rests: longer than the longest freeze, after which stale workers come back. */
const quietFor = 20_000

/**
 * Runs one seed.
 *
 * @category runs
 * @since 0.1.0
 */
export const run = (options: Options): Effect.Effect<Report> =>
  simulate(options).pipe(
    Effect.scoped,
    Effect.updateService(Clock.Clock, steadily),
    Random.withSeed(`simulation ${options.seed}`),
    Effect.provide(Layer.fresh(TestClock.layer())),
    // Workers say that the store is away, and it often is.
    Effect.provide(Logger.layer([])),
    Effect.provideService(Scheduler.Scheduler, SeededScheduler.make(options.seed)),
    // The scheduler goes by how far a fiber has run since it yielded: what the caller did before must not count.
    (seeded) => Effect.andThen(Effect.yieldNow, seeded)
  )

/**
 * A sleeper that yields between when it says how long it sleeps and when it is down for that would be woken after its time, and
 * the clock of the test set back to it.
 */
const steadily = (clock: Clock.Clock): Clock.Clock => ({
  ...clock,
  sleep: (duration) => Effect.provideService(clock.sleep(duration), Scheduler.PreventSchedulerYield, true)
})

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
      until = Infinity,
      worker,
      workers = 3
    } = options
    const world = new World(seed, options)
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
    const schedules = new Schedules(hostileMillis, world.use.hasOverlap)
    const invariants = new Invariants(world, store, {
      strandedAfter: kills ? Infinity : 5 * lease,
      mayCrash: kills,
      schedules,
      seesEdges: remote === undefined
    })
    const cluster = new Cluster(world, plant(store), clock, invariants, schedules, worker)
    for (let i = 0; i < workers; i++) yield* cluster.start(i % 3 === 1 ? "old" : "new")
    yield* drive(cluster, {
      kills,
      records,
      hostileFor: hostileMillis,
      until,
      advance
    })
    world.isHostile = false
    let restedFor = 0
    for (let passed = 0; passed < restFor && restedFor < (remote === undefined ? quietFor : 1000); passed += 1000) {
      yield* advance(1000)
      if (world.violations.length > 0 || world.now() >= until) break
      restedFor = (yield* invariants.isAtRest) ? restedFor + 1000 : 0
    }
    // One that broke an invariant is stopped where it did.
    if (world.violations.length === 0 && world.now() < until) yield* invariants.atRest
    // A store elsewhere would go on waking them.
    cluster.end()
    const { events, faults, features, fingerprint, memberLog, pairs, steps, story, told, transitions, violations } =
      world
    return {
      seed,
      violations,
      brokeAt: world.brokeAt,
      faultPairs: pairs,
      story,
      told,
      hasBatches: memberLog.hasMates,
      events,
      transitions,
      features,
      faults,
      steps,
      fingerprint
    }
  })

/**
 * Several runs taken together.
 *
 * @category models
 * @since 0.1.0
 */
export interface Exploration {
  /** How many seeds were run. */
  readonly runs: number
  /** Calls that all their stores took. */
  readonly steps: number
  /** How often each event of the transition table was seen. */
  readonly events: ReadonlyMap<string, number>
  /** How often each step from state to state was seen. */
  readonly transitions: ReadonlyMap<string, number>
  /** How often features were seen to do what they are for. */
  readonly features: ReadonlyMap<string, number>
  /** How often each fault struck. */
  readonly faults: ReadonlyMap<string, number>
  /** How often one fault came within six seconds after another one. */
  readonly faultPairs: ReadonlyMap<string, number>
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
    let explored = combine([])
    for (const seed of seeds) {
      const report = yield* run({ ...options, seed })
      const failed = report.violations.length > 0 ? report : undefined
      explored = combine([explored, { ...report, runs: 1, failed }])
      if (failed !== undefined) break
    }
    return explored
  })

/**
 * Several explorations as one: sums, and of the seeds that failed the lowest.
 *
 * **Details**
 *
 * Explorations can be handed from thread to thread, so that each processor runs seeds of its own.
 *
 * @category runs
 * @since 0.1.0
 */
export const combine = (explored: Iterable<Exploration>): Exploration => {
  let runs = 0
  let steps = 0
  let failed: Report | undefined
  const events = new Map<string, number>()
  const transitions = new Map<string, number>()
  const features = new Map<string, number>()
  const faults = new Map<string, number>()
  const faultPairs = new Map<string, number>()
  for (const part of explored) {
    runs += part.runs
    steps += part.steps
    add(events, part.events)
    add(transitions, part.transitions)
    add(features, part.features)
    add(faults, part.faults)
    add(faultPairs, part.faultPairs)
    if (part.failed !== undefined && part.failed.seed < (failed?.seed ?? Infinity)) failed = part.failed
  }
  return { runs, steps, events, transitions, features, faults, faultPairs, failed }
}

const add = (sum: Map<string, number>, more: ReadonlyMap<string, number>): void => {
  for (const [name, count] of more) sum.set(name, (sum.get(name) ?? 0) + count)
}

/**
 * What no run has reached, though it can be: events of the transition table, steps from state to state, and what features do.
 * Some hundred seeds reach all of it.
 *
 * @category runs
 * @since 0.1.0
 */
export const unreached = (
  exploration: Exploration,
  options: {
    /** Whether the runs had deaths: without, some events cannot happen. */
    readonly kills: boolean
  }
): ReadonlyArray<string> => unreachedBy(exploration, options.kills)

/**
 * What a failed run says, with how to see it again.
 *
 * @category runs
 * @since 0.1.0
 */
export const describeFailure = ({ seed, violations }: Report, kills: boolean): string =>
  `seed ${seed}:\n${violations.map((violation) => `  ${violation}`).join("\n")}\n` +
  `replay with: npm run simulate -- --seed ${seed}${kills ? "" : " --no-kills"}`

/**
 * Leaves out of a failed run what it fails without, and runs what is left once more: the shortest story that ends so.
 *
 * **Details**
 *
 * What clients, operators and faults do is left out in ever smaller parts, until nothing more can be, or `runs` are made. A run counts
 * that breaks the same invariant, whichever record or worker does, not much later than the given one.
 *
 * @category runs
 * @since 0.1.0
 */
export const shrink = (
  failed: Report,
  options?: Omit<Options, "seed" | "without" | "tells" | "until"> & {
    /**
     * How many runs it may take, at most.
     *
     * @default 300
     */
    readonly runs?: number | undefined
  }
): Effect.Effect<Report> => {
  const until = failed.brokeAt === undefined ? undefined : failed.brokeAt + lease
  const again = (without: ReadonlySet<string>, tells: boolean) =>
    run({ ...options, seed: failed.seed, without, tells, until })
  return Story.shrink(failed, again, options?.runs ?? 300)
}

/**
 * The story of a run as a timeline: what was done, what went wrong, and what the records that it is about did.
 *
 * @category runs
 * @since 0.1.0
 */
export const timeline = (report: Report): string => Story.timeline(report)

/**
 * How records come to a crowd of workers.
 *
 * - `backlog`: all of them wait before the first worker starts
 * - `steady`: at random instants, for half of what the workers can do
 * - `idle`: one every 200 ms, which finds all workers asleep
 * - `delayed`: as `idle`, each enqueued 150 ms before it is due
 *
 * @category options
 * @since 0.1.0
 */
export type Load = Crowd.Load

/**
 * Options of a count.
 *
 * @category options
 * @since 0.1.0
 */
export interface CrowdOptions {
  /** What the instants of the load, and what handlers take, are drawn from. */
  readonly seed: number
  /** How many workers share the store, each with four slots. */
  readonly workers: number
  /** How records come. */
  readonly load: Load
  /** How many records are enqueued, in all. */
  readonly records: number
  /**
   * The store that they share, which goes by the clock of its context.
   *
   * @default the memory store
   */
  readonly layer?: Layer.Layer<JobStore.JobStore> | undefined
  /**
   * For a store elsewhere: time passes as it does. What is counted is then no longer the same for every run of the seed.
   *
   * @default false
   */
  readonly realTime?: boolean | undefined
}

/**
 * What a crowd of workers asked of its store.
 *
 * @category models
 * @since 0.1.0
 */
export interface CrowdReport {
  /** How many records were enqueued. */
  readonly records: number
  /** How often a handler began: once per record. */
  readonly runs: number
  /** Calls for records, with or without settlements. */
  readonly exchanges: number
  /** Exchanges that asked for records and got none. */
  readonly empty: number
  /** How often the store woke a worker. */
  readonly wakeups: number
}

/**
 * Many workers on one store, without faults: how often they ask it and how often it wakes them. Handlers take 50 to 150 ms.
 *
 * **When to use**
 *
 * To see that a store does not wake everybody for one record: the counts by record are to be the same for ten workers and
 * for a thousand.
 *
 * @category runs
 * @since 0.1.0
 */
export const crowd = (
  { layer = JobStore.layerMemory(), realTime = false, ...options }: CrowdOptions
): Effect.Effect<CrowdReport> => {
  const counted = Crowd.count({ ...options, layer, pass: realTime ? Effect.sleep : TestClock.adjust }).pipe(
    Effect.scoped,
    Random.withSeed(`crowd ${options.seed}`),
    Effect.provide(Logger.layer([]))
  )
  return realTime ? counted : Effect.provide(counted, Layer.fresh(TestClock.layer()))
}
