/**
 * One simulated process: its clock, which a freeze holds up, and its view of the store, which fails as the seed says.
 */
import { JobError, JobStore } from "capstan"
import { Clock, Duration, Effect, Stream } from "effect"
import type { Invariants } from "./invariants.ts"
import type { Fault, World } from "./world.ts"

const { JobStoreError, OutcomeUnknown, Unavailable } = JobError

/** They change nothing: there is nothing to look at after them. */
const reads: ReadonlySet<string> = new Set(["get", "results", "schedules"])

export class Node {
  readonly name: string
  readonly world: World
  frozenUntil = 0
  /** How far its wall clock is off, in milliseconds. Only the store's clock decides, so nothing may follow from it. */
  clockOffset = 0
  isKilled = false

  constructor(name: string, world: World) {
    this.name = name
    this.world = world
  }

  /** A killed process sleeps for ever; a frozen one wakes when it thaws. */
  clock(base: Clock.Clock): Clock.Clock {
    const held: Effect.Effect<void> = Effect.suspend(() => {
      if (this.isKilled) return Effect.never
      const left = Math.ceil(this.frozenUntil - base.currentTimeMillisUnsafe())
      return left > 0 ? Effect.andThen(base.sleep(Duration.millis(left)), held) : Effect.void
    })
    const millis = () => base.currentTimeMillisUnsafe() + this.clockOffset
    const nanos = () => base.currentTimeNanosUnsafe() + BigInt(this.clockOffset) * 1_000_000n
    return {
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      monotonicTimeNanosUnsafe: () => base.monotonicTimeNanosUnsafe(),
      monotonicTimeNanos: base.monotonicTimeNanos,
      sleep: (duration) => Effect.andThen(base.sleep(duration), held)
    }
  }

  /** The store as this process sees it. */
  view(store: JobStore.Shape, base: Clock.Clock, invariants: Invariants): JobStore.Shape {
    const call = <A>(operation: string, request: Effect.Effect<A, JobError.JobStoreError>) =>
      this.call(operation, request, base, invariants)
    return {
      ...store,
      notifications: "hint",
      enqueue: (request) => call("enqueue", store.enqueue(request)),
      exchange: (request) =>
        call(
          "exchange",
          Effect.tap(store.exchange(request), ({ claimed }) => invariants.claimed(this.name, request.worker, claimed))
        ),
      renew: (request) => call("renew", store.renew(request)),
      write: (entries) =>
        call(
          "write",
          Effect.tap(store.write(entries), (answers) =>
            Effect.sync(() => invariants.written(this.name, entries, answers)))
        ),
      get: (id) => call("get", store.get(id)),
      results: (ids) => call("results", store.results(ids)),
      signal: (request) => call("signal", store.signal(request)),
      control: (request) => call("control", store.control(request)),
      limits: (changes) => call("limits", store.limits(changes)),
      maintain: call("maintain", store.maintain),
      schedules: (request) => call("schedules", store.schedules(request)),
      putSchedule: (put) => call("putSchedule", store.putSchedule(put)),
      tick: (request) =>
        call(
          "tick",
          Effect.tap(store.tick(request), (reply) => Effect.sync(() => this.world.use.overlap.ticked(reply)))
        ),
      wakeups: (worker, queues) =>
        Stream.filter(store.wakeups(worker, queues), () => {
          if (this.isKilled) return false
          if (!this.world.isHostile || !this.world.choices.chance(0.3)) return true
          this.world.reached("dropped wake-up")
          return false
        })
    }
  }

  private call<A>(
    operation: string,
    request: Effect.Effect<A, JobError.JobStoreError>,
    base: Clock.Clock,
    invariants: Invariants
  ): Effect.Effect<A, JobError.JobStoreError> {
    const { world } = this
    // Whole milliseconds: a fraction that is too small for the clock to show would be waited for again and again.
    const wait = (millis: number) => base.sleep(Duration.millis(Math.ceil(millis)))
    const asked = Effect.suspend(() => {
      world.steps++
      world.trace(`${this.name} ${operation}`)
      return request
    })
    const once = reads.has(operation) ? asked : Effect.tap(asked, () => invariants.check(`${this.name} ${operation}`))
    const twice = Effect.flatMap(once, (reply) => Effect.as(once, reply))
    const step = Effect.suspend(() => world.atomically(once))
    const held: Effect.Effect<void> = Effect.suspend(() =>
      this.isKilled
        ? Effect.never
        : this.frozenUntil > world.now()
        ? Effect.andThen(wait(this.frozenUntil - world.now()), held)
        : Effect.void
    )
    // Made when they happen: the stack of an error costs more than a step of the store.
    const gone = Effect.suspend(() =>
      Effect.fail(new JobStoreError({ reason: new Unavailable({ operation, detail: "simulated" }) }))
    )
    const lost = Effect.suspend(() =>
      Effect.fail(new JobStoreError({ reason: new OutcomeUnknown({ operation, detail: "simulated" }) }))
    )
    const attempt = Effect.suspend((): Effect.Effect<A, JobError.JobStoreError> => {
      if (world.restartUntil > world.now()) return gone
      switch (this.fault()) {
        case "unavailable":
          return gone
        case "lost reply":
          return Effect.andThen(step, lost)
        case "duplicate request":
          // Of a new record, nothing delivers it again after it has run: a store that sends it again says so to itself.
          return operation === "enqueue"
            ? world.atomically(twice)
            : Effect.flatMap(step, (reply) => Effect.as(step, reply))
        case "slow reply":
          return Effect.flatMap(step, (reply) => Effect.as(wait(world.choices.between(1, world.slowest)), reply))
        default:
          return step
      }
    })
    // A process that froze or died meanwhile hears of the reply when it thaws, or never.
    return held.pipe(Effect.andThen(attempt), Effect.onExit(() => Effect.interruptible(held)))
  }

  private fault(): Fault | undefined {
    const { choices, isHostile } = this.world
    if (!isHostile) return undefined
    const roll = choices.next()
    const fault = roll < 0.02
      ? "lost reply"
      : roll < 0.03
      ? "unavailable"
      : roll < 0.04
      ? "duplicate request"
      : roll < 0.05
      ? "slow reply"
      : undefined
    if (fault !== undefined) this.world.reached(fault)
    return fault
  }
}
