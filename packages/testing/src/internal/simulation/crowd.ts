/**
 * Many workers on one store, in virtual time and without faults: how often they ask it, and how often it wakes them.
 *
 * What is counted is what a store pays for besides the records themselves: exchanges, those that asked for records and got
 * none, and wake-ups. The counts follow from the seed alone.
 */
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Context, Duration, Effect, Layer, type Scope, Stream } from "effect"
import { Choices } from "./choices.ts"

export type Load = "backlog" | "steady" | "idle" | "delayed"

export interface Setting {
  readonly seed: number
  readonly workers: number
  readonly load: Load
  readonly records: number
  readonly layer: Layer.Layer<JobStore.JobStore>
  /** Lets time pass, and with it what happens in it. */
  readonly pass: (millis: number) => Effect.Effect<void>
}

export interface Counts {
  readonly records: number
  readonly runs: number
  readonly exchanges: number
  readonly empty: number
  readonly wakeups: number
}

/** Milliseconds between two records of an idle store: longer than a handler takes. */
const pause = 200

/** Slots of a worker, and how long its handler takes, in milliseconds. */
const concurrency = 4
const handlerMillis = { from: 50, to: 150 }
const meanMillis = (handlerMillis.from + handlerMillis.to) / 2

class Chore extends Job.make("Chore", { payload: {} }) {}

class Counted {
  runs = 0
  exchanges = 0
  empty = 0
  wakeups = 0

  view(store: JobStore.Shape): JobStore.Shape {
    return {
      ...store,
      // A fleet's records come from elsewhere: what its calls cost is counted.
      standBy: undefined,
      exchange: (request) =>
        Effect.tap(store.exchange(request), ({ claimed }) =>
          Effect.sync(() => {
            this.exchanges++
            if (request.demand.length > 0 && claimed.length === 0) this.empty++
          })),
      wakeups: (worker, queues) =>
        Stream.tap(store.wakeups(worker, queues), () => Effect.sync(() => void this.wakeups++))
    }
  }

  /** What is counted from now on: that workers start is not of the load. */
  reset(): void {
    this.runs =
      this.exchanges =
      this.empty =
      this.wakeups =
        0
  }
}

export const count = (
  { layer, load, pass, records, seed, workers }: Setting
): Effect.Effect<Counts, never, Scope.Scope> =>
  Effect.gen(function*() {
    const choices = new Choices(seed)
    const store = Context.get(yield* Layer.build(Layer.fresh(layer)), JobStore.JobStore)
    const counted = new Counted()
    const view = counted.view(store)
    const handlers = Chore.toLayer(() =>
      Effect.suspend(() => {
        counted.runs++
        return Effect.sleep(choices.between(handlerMillis.from, handlerMillis.to))
      })
    )
    const enqueue = (many: number, delay: Duration.Input = 0) =>
      Effect.provideService(
        Chore.enqueueMany(Array.from({ length: many }, () => ({})), { delay }),
        JobStore.JobStore,
        store
      ).pipe(Effect.orDie)
    const start = Effect.forEach(
      Array.from({ length: workers }),
      () =>
        Layer.build(
          Layer.fresh(JobWorker.layer(JobGroup.make(Chore), { concurrency, shutdownGrace: 0 })).pipe(
            Layer.provide(handlers),
            Layer.provide(Layer.succeed(JobStore.JobStore, view))
          )
        ),
      { discard: true }
    )
    if (load === "backlog") {
      yield* enqueue(records)
      yield* start
    } else {
      yield* start
      // That the first record of all brings the first lease, everybody is told once.
      yield* pass(2000)
      yield* enqueue(1)
      yield* pass(2000)
      counted.reset()
      const between = load === "steady" ? meanMillis / (workers * concurrency / 2) : pause
      // Whole milliseconds pass, and what they bring comes together.
      let owed = 0
      for (let sent = 0; sent < records;) {
        const wait = load === "steady" ? Math.max(1, Math.round(2 * between * choices.next())) : between
        yield* pass(wait)
        owed += wait / between
        const many = Math.min(Math.floor(owed), records - sent)
        if (many === 0) continue
        owed -= many
        sent += many
        yield* enqueue(many, load === "delayed" ? "150 millis" : 0)
      }
    }
    while (counted.runs < records) yield* pass(100)
    const { empty, exchanges, runs, wakeups } = counted
    return { records, runs, exchanges, empty, wakeups }
  })
