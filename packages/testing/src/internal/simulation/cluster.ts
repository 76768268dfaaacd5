/**
 * The processes of a run: those with a worker, the client's, and the worker of another kind.
 */
import { JobStore, JobWorker } from "capstan"
import { Clock, Duration, Effect, Layer, Scope } from "effect"
import { type Invariants, queueLimit } from "./invariants.ts"
import { Node } from "./node.ts"
import { rate } from "./rates.ts"
import type { Schedules } from "./schedules.ts"
import { type SeamRecords, seamWorker } from "./seam.ts"
import { handlers, NewRelease, OldRelease } from "./workload.ts"
import type { World } from "./world.ts"

type Release = "old" | "new"

/** Of every worker, in milliseconds. */
export const lease = 6000

const settings: JobWorker.Options<"default" | "parents" | "bulk" | "rated" | "tenants"> = {
  concurrency: 4,
  lease,
  pollInterval: "1 second",
  shutdownGrace: 0,
  interruptGrace: "1 second",
  queues: {
    [queueLimit.queue]: { limit: { concurrency: queueLimit.concurrency } },
    rated: { limit: { rate: { limit: rate.limit, per: rate.perMillis, burst: rate.burst } } },
    // Fewer than all slots: some wait their turn.
    tenants: { limit: { concurrency: 2 } }
  }
}

export class Cluster {
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
