/** What a drain does on every store: when it is called, and when it is called twice at once by hosts that know nothing of each other. */
import { Drain } from "@capstan/http"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobSchedules, JobStore } from "capstan"
import { Context, Effect, Layer, Schema, type Scope } from "effect"

class Count extends Job.make("Count", { payload: { n: Schema.Number }, queue: "counts" }) {}
class Long extends Job.make("Long", { queue: "long", maxAttempts: 1 }) {}
class Work extends JobGroup.make(Count, Long) {}

/** Two hosts of one store: each opens it by a layer of its own, where the store is outside of them. */
export type Hosts = Effect.Effect<
  readonly [Layer.Layer<JobStore.JobStore>, Layer.Layer<JobStore.JobStore>],
  never,
  Scope.Scope
>

const open = (stores: Hosts) =>
  Effect.gen(function*() {
    const done = { counts: [] as Array<number>, begun: 0, ended: 0 }
    const handlers = Work.toLayer({
      Count: ({ n }) => Effect.sync(() => void done.counts.push(n)),
      Long: () =>
        Effect.sync(() => void done.begun++).pipe(
          Effect.andThen(Effect.never),
          Effect.ensuring(Effect.sync(() => void done.ended++))
        )
    })
    const [a, b] = yield* Effect.forEach(yield* stores, (store) =>
      Effect.map(
        Layer.build(
          Layer.fresh(Layer.mergeAll(Jobs.layer, JobSchedules.layer, handlers).pipe(Layer.provideMerge(store)))
        ),
        (context) => ({
          context,
          run: (options: Partial<Drain.RunOptions> = {}, services = context) =>
            Effect.provide(Drain.run(Work, { atMost: "20 seconds", ...options }), services)
        })
      ))
    return { a: a!, b: b!, done }
  })

type Opened = Effect.Success<ReturnType<typeof open>>

const numbers = (many: number) => Array.from({ length: many }, (_, n) => ({ n }))

/** A schedule that is data, and due. */
const due = (n: number) =>
  Effect.gen(function*() {
    const schedules = yield* JobSchedules.JobSchedules
    const store = yield* JobStore.JobStore
    const name = `every-${n}`
    yield* schedules.upsert(name, Count, { every: "1 day", payload: { n } })
    const { now, rows: [row] } = yield* store.schedules({ names: [name], limit: 1 })
    const { body, revision } = row!
    assert.isTrue(yield* store.putSchedule({ name, revision, row: { nextAt: now - 1, attendAt: now - 1, body } }))
  })

export const draining = (name: string, stores: Hosts) =>
  describe(name, () => {
    const fact = (name: string, run: (opened: Opened) => Effect.Effect<void, unknown, Scope.Scope>) =>
      it.live(name, () => Effect.scoped(Effect.flatMap(open(stores), run)))

    fact("does what is ready, and says what is left", ({ a, done }) =>
      Effect.gen(function*() {
        yield* Effect.provide(Count.enqueueMany(numbers(150)), a.context)
        yield* Effect.provide(Count.enqueue({ n: 150 }, { delay: "1 hour" }), a.context)
        assert.deepStrictEqual(yield* a.run(), { stopped: "idle", ready: 0, running: 0, scheduled: 1, blocked: 0 })
        assert.deepStrictEqual(done.counts.toSorted((a, b) => a - b), numbers(150).map(({ n }) => n))
      }))

    fact("ticks what is due of the schedules before any work, all of it and once", ({ a, b, done }) =>
      Effect.gen(function*() {
        // More than the store hands out at a time.
        yield* Effect.provide(
          Effect.forEach(numbers(120), ({ n }) =>
            due(n), { concurrency: 8 }),
          a.context
        )
        const readyAt = { work: -1 }
        const looking = Layer.effect(
          JobStore.JobStore,
          Effect.map(JobStore.JobStore, (store) => ({
            ...store,
            exchange: (request: JobStore.ExchangeRequest) =>
              Effect.andThen(
                readyAt.work >= 0 ? Effect.void : Effect.map(store.stats, ({ queues }) => {
                  readyAt.work = queues.find(({ queue }) => queue === "counts")?.counts.ready ?? 0
                }),
                store.exchange(request)
              )
          }))
        )
        const looked = yield* Layer.build(Layer.provide(looking, Layer.succeedContext(a.context)))
        const left = yield* a.run({}, Context.merge(a.context, looked))
        assert.deepInclude(left, { stopped: "idle", ready: 0 })
        assert.strictEqual(readyAt.work, 120)
        assert.deepStrictEqual(done.counts.toSorted((a, b) => a - b), numbers(120).map(({ n }) => n))
        assert.deepInclude(yield* b.run(), { stopped: "idle" })
        assert.strictEqual(done.counts.length, 120)
      }))

    fact("stops in time, and what it interrupts is given back uncharged", ({ a, done }) =>
      Effect.gen(function*() {
        const { id } = yield* Effect.provide(Long.enqueue(undefined), a.context)
        const left = yield* a.run({ atMost: "1 second" })
        assert.deepStrictEqual(left, { stopped: "time", ready: 1, running: 0, scheduled: 0, blocked: 0 })
        assert.deepStrictEqual([done.begun, done.ended], [1, 1])
        const [record] = (yield* Effect.provide(
          Jobs.Jobs.use(({ query }) =>
            query({ ids: [id] })
          ),
          a.context
        )).records
        assert.deepInclude(record, { state: "ready", attempt: 0 })
      }))

    fact("called by two hosts at once does each record once", ({ a, b, done }) =>
      Effect.gen(function*() {
        yield* Effect.provide(Count.enqueueMany(numbers(500)), a.context)
        yield* Effect.provide(due(500), a.context)
        const answers = yield* Effect.all([a.run(), b.run(), a.run()], { concurrency: "unbounded" })
        for (const left of answers) assert.deepInclude(left, { stopped: "idle", ready: 0 })
        assert.deepStrictEqual(done.counts.toSorted((a, b) => a - b), numbers(501).map(({ n }) => n))
        const query = { queue: "counts", limit: 1000 }
        const { records } = yield* Effect.provide(Jobs.Jobs.use((jobs) => jobs.query(query)), a.context)
        assert.deepStrictEqual(records.filter(({ attempt, state }) => attempt !== 1 || state !== "completed"), [])
      }))
  })
