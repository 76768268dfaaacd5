/**
 * The processes of a run: those with a worker, the client's, and the worker of another kind.
 */
import { JobStore, JobWorker, StandBy } from "capstan"
import { Clock, Duration, Effect, Fiber, Layer, type Scope } from "effect"
import type { Choices } from "./choices.ts"
import { type Invariants, queueLimit } from "./invariants.ts"
import { Node, shutdownGrace } from "./node.ts"
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
  shutdownGrace,
  interruptGrace: "1 second",
  queues: {
    [queueLimit.queue]: { limit: { concurrency: queueLimit.concurrency } },
    rated: { limit: { rate: { limit: rate.limit, per: rate.perMillis, burst: rate.burst } } },
    // Fewer than all slots: some wait their turn.
    tenants: { limit: { concurrency: 2 } }
  }
}

interface Serving {
  readonly node: Node
  readonly release: Release
  readonly program: Fiber.Fiber<unknown, unknown>
}

export class Cluster {
  readonly world: World
  readonly client: JobStore.Shape
  private readonly store: JobStore.Shape
  private readonly clock: Clock.Clock
  private readonly invariants: Invariants
  readonly schedules: Schedules
  private nodes: Array<Serving> = []
  private readonly worker: typeof JobWorker.layer
  private readonly all: Array<Node> = []
  private started = 0
  /** The client's enqueues take any of the workers along, as if each shared its process with one. */
  private readonly standBy = new StandBy.StandBy()

  constructor(
    world: World,
    store: JobStore.Shape,
    clock: Clock.Clock,
    invariants: Invariants,
    schedules: Schedules,
    worker: typeof JobWorker.layer = JobWorker.layer
  ) {
    this.world = world
    this.worker = worker
    this.store = store
    this.clock = clock
    this.invariants = invariants
    this.schedules = schedules
    this.client = this.viewOf(this.node("client"))
  }

  private viewOf(node: Node): JobStore.Shape {
    return node.view(this.store, this.clock, this.invariants, this.standBy)
  }

  private node(name: string): Node {
    const node = new Node(name, this.world)
    this.all.push(node)
    return node
  }

  /** Starts a process with a worker: its program is a fiber, which a signal interrupts. What is killed runs no finalizers. */
  readonly start = (release: Release): Effect.Effect<void> =>
    Effect.gen({ self: this }, function*() {
      const node = this.node(`worker ${++this.started}`)
      const worker = release === "old" ? this.worker(OldRelease, settings) : this.worker(NewRelease, settings)
      const served = Layer.provide(worker, handlers(node, this.kill(node, release)))
      // One after the other: layers that are merged are closed in fibers of their own, which nobody has interrupted.
      const program = yield* Layer.build(Layer.fresh(this.schedules.layer)).pipe(
        Effect.andThen(Layer.launch(Layer.fresh(served))),
        Effect.scoped,
        Effect.provideService(JobStore.JobStore, this.viewOf(node)),
        Effect.provideService(Clock.Clock, node.clock(this.clock)),
        Effect.forkDetach
      )
      this.nodes.push({ node, release, program })
    })

  /** The process is gone from one instant to the next; another one starts in its place, unless that has been seen to. */
  private kill(node: Node, release: Release): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (node.isKilled) return Effect.void
      node.isKilled = true
      this.world.reached("killed worker")
      return this.leave(node) ? this.succeed(release) : Effect.void
    })
  }

  /** Nothing is done to it any more; false when that holds already. */
  private leave(node: Node): boolean {
    const serving = this.nodes.length
    this.nodes = this.nodes.filter((other) => other.node !== node)
    return this.nodes.length < serving
  }

  private succeed(release: Release): Effect.Effect<void> {
    const successor = Effect.andThen(this.clock.sleep(Duration.seconds(2)), this.start(release))
    return Effect.asVoid(Effect.forkDetach(Effect.provideService(successor, Clock.Clock, this.clock)))
  }

  /** The process is told to stop, as by SIGTERM, while another one starts: its program is interrupted, and ends when it likes. */
  readonly terminateOne = (choices: Choices): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (this.nodes.length < 2) return Effect.void
      const { node, program, release } = choices.pick(this.nodes)
      this.leave(node)
      this.world.reached("terminated worker")
      const stop = node.held(this.clock).pipe(
        Effect.andThen(Effect.sync(() => node.closing.tell())),
        Effect.andThen(Fiber.interrupt(program)),
        Effect.andThen(Effect.suspend(() => node.closing.gone(this.invariants)))
      )
      return Effect.andThen(Effect.forkDetach(stop), this.succeed(release))
    })

  /** A worker of another kind: what core cannot cause yet. */
  seam(records: SeamRecords): Effect.Effect<void, never, Scope.Scope> {
    const node = this.node("seam")
    return Effect.asVoid(Effect.forkScoped(seamWorker(node, this.viewOf(node), records, lease)))
  }

  readonly killOne = (choices: Choices): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (this.nodes.length < 2) return Effect.void
      const { node, release } = choices.pick(this.nodes)
      return this.kill(node, release)
    })

  /** Nobody of it calls the store any more. */
  end(): void {
    this.world.isOver = true
    for (const node of this.all) node.isKilled = true
  }

  /** By up to an hour, either way. */
  stepClock(choices: Choices): void {
    if (this.nodes.length === 0) return
    choices.pick(this.nodes).node.clockOffset = choices.between(-3_600_000, 3_600_000)
    this.world.reached("clock step")
  }

  /** For longer than its lease, so that it comes back stale. */
  freezeOne(choices: Choices): void {
    if (this.nodes.length === 0) return
    choices.pick(this.nodes).node.frozenUntil = this.world.now() + choices.between(lease, 3 * lease)
    this.world.reached("frozen worker")
  }
}
