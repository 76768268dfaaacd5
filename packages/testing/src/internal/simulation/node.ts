/**
 * One simulated process: its clock, which a freeze holds up, and its view of the store, which fails as the seed says.
 */
import { JobError, JobStore, StandBy } from "capstan"
import { type Clock, Duration, Effect, Exit, Stream } from "effect"
import { type Choices, choicesOf } from "./choices.ts"
import type { Invariants } from "./invariants.ts"
import type { Fault, World } from "./world.ts"

const { JobStoreError, OutcomeUnknown, Unavailable } = JobError

const unanswered = new JobStoreError({ reason: new OutcomeUnknown({ operation: "exchange", detail: "simulated" }) })

/** They change nothing: there is nothing to look at after them. */
const reads: ReadonlySet<string> = new Set(["get", "results", "schedules"])

/** How a worker of a simulated cluster closes, in milliseconds: its handlers may run on for so long. */
export const shutdownGrace = 3000

export class Node {
  readonly name: string
  readonly world: World
  private readonly choices: Choices
  private readonly wakes: Choices
  private readonly companions: Choices
  private calls = 0
  private wakeUps = 0
  frozenUntil = 0
  /** How far its wall clock is off, in milliseconds. Only the store's clock decides, so nothing may follow from it. */
  clockOffset = 0
  isKilled = false
  readonly closing: Closing

  constructor(name: string, world: World) {
    this.name = name
    this.world = world
    this.closing = new Closing(this)
    this.choices = choicesOf(world.seed, name)
    this.wakes = choicesOf(world.seed, `${name} wakes`)
    this.companions = choicesOf(world.seed, `${name} takes along`)
  }

  /** A killed process goes on never; a frozen one when it thaws. */
  held(base: Clock.Clock): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.isKilled) return Effect.never
      // Whole milliseconds: a fraction that is too small for the clock to show would be waited for again and again.
      const left = Math.ceil(this.frozenUntil - base.currentTimeMillisUnsafe())
      return left > 0 ? Effect.andThen(base.sleep(Duration.millis(left)), this.held(base)) : Effect.void
    })
  }

  clock(base: Clock.Clock): Clock.Clock {
    const held = this.held(base)
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

  /** The store as this process sees it. Of those who stand by, its enqueues take some along. */
  view(
    store: JobStore.Shape,
    base: Clock.Clock,
    invariants: Invariants,
    standBy: StandBy.StandBy = new StandBy.StandBy()
  ): JobStore.Shape {
    const call = <A>(operation: string, request: Effect.Effect<A, JobError.JobStoreError>) =>
      this.call(operation, request, base, invariants)
    return {
      ...store,
      notifications: "hint",
      enqueue: (request) =>
        Effect.suspend(() => {
          const taken = this.takeAlong(request, standBy)
          if (taken === undefined) return call("enqueue", store.enqueue(request))
          let reply: JobStore.ExchangeReply | undefined
          const { worker } = taken.request
          const claim = Effect.tap(store.exchange(taken.request), ({ claimed }) =>
            invariants.claimed(this.world.workers.get(worker) ?? worker, worker, claimed))
          const both = Effect.tap(store.enqueue(request), ([stored]) =>
            stored!.outcome === "Inserted"
              ? Effect.map(claim, (answer) => {
                reply = answer
                if (answer.claimed.length > 0) {
                  this.world.met("enqueue takes a worker along")
                }
              })
              : Effect.void)
          return Effect.onExit(call("enqueue", both), (exit) =>
            Effect.sync(() =>
              taken.receive(Exit.isSuccess(exit) ? Exit.succeed(reply) : Exit.fail(unanswered))
            ))
        }),
      standBy: ({ queues, receive, take }) => {
        let askedAt = 0
        return standBy.wait({
          queues,
          take: () => {
            if (this.isKilled || this.frozenUntil > this.world.now()) return undefined
            askedAt = this.world.now()
            return take()
          },
          receive: (reply) =>
            void Effect.runFork(Effect.andThen(
              this.held(base),
              Effect.sync(() => {
                if (Exit.isSuccess(reply) && (reply.value?.claimed.length ?? 0) > 0) this.closing.confirmed(askedAt)
                receive(reply)
              })
            ))
        })
      },
      exchange: (request) =>
        this.closing.confirms(
          call(
            "exchange",
            Effect.andThen(
              Effect.sync(() => this.closing.settles(request.settlements)),
              Effect.tap(
                store.exchange(request),
                ({ claimed }) => invariants.claimed(this.name, request.worker, claimed)
              )
            )
          ),
          ({ claimed }) => claimed.length > 0
        ),
      renew: (request) => {
        this.world.workers.set(request.worker, this.name)
        return request.lease > 0
          ? this.closing.confirms(call("renew", store.renew(request)), () => true)
          : Effect.suspend(() => {
            this.closing.saysGoodbye = true
            return call(
              "goodbye",
              Effect.andThen(this.closing.leaves(request.worker, invariants), store.renew(request))
            )
          })
      },
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
          if (!this.world.isHostile) return true
          this.wakeUps++
          if (!this.wakes.chance(0.3)) return true
          if (!this.world.may(`${this.name}: wake-up ${this.wakeUps} is dropped`)) return true
          this.world.reached("dropped wake-up")
          return false
        })
    }
  }

  /** A worker for every other record that is enqueued alone and may start at once. */
  private takeAlong(
    { by, records, whole }: JobStore.EnqueueRequest,
    standBy: StandBy.StandBy
  ): StandBy.Taken | undefined {
    const [record, ...others] = records
    const isAlone = record !== undefined && others.length === 0 && by === undefined && whole === undefined
    if (!isAlone || record.delay > 0 || record.runAt !== undefined || !this.companions.chance(0.5)) return undefined
    return standBy.take(record.queue)
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
    const held = this.held(base)
    // Made when they happen: the stack of an error costs more than a step of the store.
    const gone = Effect.suspend(() =>
      Effect.fail(new JobStoreError({ reason: new Unavailable({ operation, detail: "simulated" }) }))
    )
    const lost = Effect.suspend(() =>
      Effect.fail(new JobStoreError({ reason: new OutcomeUnknown({ operation, detail: "simulated" }) }))
    )
    const attempt = Effect.suspend((): Effect.Effect<A, JobError.JobStoreError> => {
      if (world.restartUntil > world.now()) return gone
      const roll = world.isHostile ? this.choices.next() : 1
      switch (this.fault(operation, roll)) {
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
          return Effect.flatMap(step, (reply) => Effect.as(wait(slowness(roll) * world.slowest), reply))
        default:
          return step
      }
    })
    // A process that froze or died meanwhile hears of the reply when it thaws, or never; and who interrupts the call waits as long,
    // for no process does anything while it is frozen.
    return Effect.suspend(() => world.isOver ? Effect.never : held).pipe(
      Effect.andThen(attempt),
      Effect.onExit(() => Effect.suspend(() => world.isOver ? Effect.void : held))
    )
  }

  private fault(operation: string, roll: number): Fault | undefined {
    if (roll >= mostFaults) return undefined
    const fault = roll < 0.02
      ? "lost reply"
      : roll < 0.03
      ? "unavailable"
      : roll < slowFrom
      ? "duplicate request"
      : "slow reply"
    this.calls++
    if (!this.world.may(`${this.name}: ${fault} ${this.calls}`, `${this.name}: ${fault} of ${operation}`)) {
      return undefined
    }
    this.world.reached(fault)
    return fault
  }
}

const slowFrom = 0.04
const mostFaults = 0.05

/** Of the slowest reply, the part that a roll stands for. */
const slowness = (roll: number): number => Math.min(1, (roll - slowFrom) / (mostFaults - slowFrom) + 0.001)

/**
 * A process that was told to stop, as by SIGTERM: its handlers may run on for the grace, and nothing that it began is given back
 * before; and when it is gone it holds nothing.
 */
export class Closing {
  private readonly node: Node
  private toldAt = Infinity
  /** It has said that its worker leaves, whether the store heard of it or not. */
  saysGoodbye = false
  private hasLeft = false
  /** Attempts whose handler has begun, and runs or was interrupted after it was told. */
  private readonly begun = new Set<string>()
  /** The last request that told the worker that its claims hold. */
  private confirmedAt = 0

  constructor(node: Node) {
    this.node = node
  }

  tell(): void {
    this.toldAt = this.node.world.now()
  }

  /** Runs a handler, and remembers how it came to an end. */
  readonly running = <A, E, R>(
    attempt: { readonly id: string; readonly fence: number },
    handler: Effect.Effect<A, E, R>
  ): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      const key = keyOf(attempt)
      this.begun.add(key)
      return Effect.onExit(handler, (exit) =>
        Effect.sync(() => {
          if (!Exit.hasInterrupts(exit) || !this.isInGrace || this.hasLostTouch) this.begun.delete(key)
        }))
    })

  /** A renewal, or a claim: an exchange that claims nothing says nothing of what runs. */
  confirms<A>(
    request: Effect.Effect<A, JobError.JobStoreError>,
    isConfirmed: (reply: A) => boolean
  ): Effect.Effect<A, JobError.JobStoreError> {
    return Effect.suspend(() => {
      const at = this.node.world.now()
      return Effect.tap(request, (reply) => Effect.sync(() => isConfirmed(reply) && this.confirmed(at)))
    })
  }

  /** By what was asked for then. */
  confirmed(at: number): void {
    // What ran meanwhile may be given up already, by the worker's own clock.
    if (this.hasLostTouch) this.begun.clear()
    this.confirmedAt = Math.max(at, this.confirmedAt)
  }

  /** Who has not heard of the store for so long gives up what it runs: another one may have it. */
  private get hasLostTouch(): boolean {
    return this.node.world.now() - this.confirmedAt > shutdownGrace
  }

  /** Its timers are of whole milliseconds, which virtual instants are not. */
  private get isInGrace(): boolean {
    const since = this.node.world.now() - this.toldAt
    return since >= 0 && since < shutdownGrace - 1
  }

  /** What it settles while its handlers may run on. */
  settles(settlements: ReadonlyArray<JobStore.Settlement>): void {
    if (!this.isInGrace) return
    for (const { fence, id, outcome } of settlements) {
      if (outcome._tag === "Release" && this.begun.has(keyOf({ id, fence }))) this.early(id)
    }
  }

  /** It says goodbye: what it holds then is given back. */
  leaves(worker: string, invariants: Invariants): Effect.Effect<void> {
    return Effect.map(invariants.records, (records) => {
      this.hasLeft = true
      // What it has begun on a claim whose answer was so late, it has given up too.
      if (!this.isInGrace || this.hasLostTouch) return
      for (const record of records.values()) {
        const isCancelled = record.cancelRequested !== undefined
        if (record.worker === worker && this.begun.has(keyOf(record)) && !isCancelled) this.early(record.id)
      }
    })
  }

  private early(id: string): void {
    const { name, world } = this.node
    world.violate(
      `${name} gives back ${id} ${
        Math.round(world.now() - this.toldAt)
      } ms after it was told to stop: its handlers have ` +
        `${shutdownGrace} ms`
    )
  }

  /** Its program has ended, and the process with it. */
  gone(invariants: Invariants): Effect.Effect<void> {
    const { name, world } = this.node
    this.node.isKilled = true
    return Effect.map(invariants.records, (records) => {
      // Of what it could not say to the store, the lease tells.
      if (this.saysGoodbye && !this.hasLeft) return
      for (const { id, state, worker } of records.values()) {
        if (state !== "running" || worker === undefined || world.workers.get(worker) !== name) continue
        world.violate(
          `${name} has closed, ${this.hasLeft ? "has said goodbye" : "says no goodbye"}, and is left holding ${id}`
        )
      }
    })
  }
}

const keyOf = ({ fence, id }: { readonly id: string; readonly fence: number }): string => `${id} ${fence}`
