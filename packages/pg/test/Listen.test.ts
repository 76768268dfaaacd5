/** Wake-ups and events between processes: hints that come back by themselves, and what is done without them. */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, type JobStore, JobWorker } from "capstan"
import { Context, type Duration, Effect, Fiber, Layer, Ref, Schema, Stream } from "effect"
import { Redacted } from "effect"
import { Client } from "../src/internal/client.ts"
import { make } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"
import type { Side } from "./harness.ts"
import * as Proxy from "./proxy.ts"

const schema = Harness.schemaName("listen")
const side = Harness.shared(schema, Harness.open(schema, { listen: false }))

const fact = (name: string, test: (one: Side) => Effect.Effect<void, unknown, import("effect").Scope.Scope>) =>
  it.live(name, () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* test(one)
    }).pipe(Effect.scoped))

/** What a store tells, from now on. */
const ears = (store: JobStore.Shape) =>
  Effect.gen(function*() {
    const wakeups = yield* Ref.make(0)
    const events = yield* Ref.make<ReadonlyArray<string>>([])
    yield* Effect.forkScoped(
      Stream.runForEach(store.wakeups("worker", ["default"]), () => Ref.update(wakeups, (n) => n + 1))
    )
    yield* Effect.forkScoped(Stream.runForEach(store.events, ({ type }) => Ref.update(events, (all) => [...all, type])))
    yield* Harness.until(
      "both to be heard for the first time",
      Effect.map(Effect.all([Ref.get(wakeups), Ref.get(events)]), ([n, all]) => n > 0 && all.includes("missed"))
    )
    const reset = Effect.andThen(Ref.set(wakeups, 0), Ref.set(events, []))
    yield* reset
    return {
      reset,
      wokenUp: Harness.until("a wake-up", Effect.map(Ref.get(wakeups), (n) => n > 0)),
      told: (type: string) => Harness.until(`event ${type}`, Effect.map(Ref.get(events), (all) => all.includes(type)))
    }
  })

/** Has said that it is about to sleep. */
const asleep = (one: Side) =>
  Effect.andThen(
    one.sql.unsafe(`UPDATE ${schema}.worker SET wakes_until = 0`),
    Harness.claim(one, 1)
  )

describe("a store hears of another one", () => {
  fact("what is enqueued, what runs and what ends", (other) =>
    Effect.gen(function*() {
      const one = yield* Harness.open(schema)
      const ear = yield* ears(one.store)
      yield* asleep(one)
      yield* Harness.enqueue(other)
      yield* ear.wokenUp
      yield* ear.told("enqueued")
      const at = yield* Harness.claimOne(other)
      yield* ear.told("started")
      yield* Harness.settle(other, at)
      yield* ear.told("completed")
    }))

  fact("that an attempt of its worker is to be cancelled", (other) =>
    Effect.gen(function*() {
      const one = yield* Harness.open(schema)
      const ear = yield* ears(one.store)
      yield* Harness.enqueue(other)
      const { id } = yield* Harness.claimOne(one)
      yield* ear.reset
      yield* Harness.control(other, Harness.cancel, id)
      yield* ear.wokenUp
    }))
})

describe("a connection that is lost", () => {
  fact("is made anew, and everybody is told to look", (other) =>
    Effect.gen(function*() {
      const name = `ears_${process.pid}`
      const one = yield* Harness.open(schema, {}, { applicationName: name })
      const ear = yield* ears(one.store)
      for (let i = 0; i < 3; i++) {
        yield* ear.reset
        const ended = yield* other.sql.unsafe(
          "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1",
          [name]
        )
        assert.isAbove(ended.length, 0)
        yield* ear.wokenUp
        yield* ear.told("missed")
        yield* Harness.until(
          "a worker that sleeps again",
          Effect.as(asleep(one), true).pipe(Effect.orElseSucceed(() => false))
        )
        yield* ear.reset
        yield* Harness.enqueue(other, { queue: "default" })
        yield* ear.wokenUp
        yield* Harness.claim(other, 1)
      }
    }))

  for (const [what, text] of [["that of the listener", "LISTEN"], ["any of them", ""]] as const) {
    fact(`without a word, ${what}, is noticed by the beat`, (other) =>
      Effect.gen(function*() {
        const proxy = yield* Proxy.open
        const one = yield* withBeat(proxy.url, "200 millis")
        const ear = yield* ears(one.store)
        yield* ear.reset
        proxy.freeze(text)
        yield* ear.wokenUp
        yield* ear.told("missed")
        yield* asleep(other)
        yield* ear.reset
        yield* Harness.enqueue(other)
        yield* ear.wokenUp
      }))
  }

  const withBeat = (url: string, beat: Duration.Input) =>
    Effect.gen(function*() {
      const context = yield* Layer.build(Layer.fresh(Harness.client({ url: Redacted.make(url) })))
      const sql = Context.get(context, PgClient.PgClient)
      const store = yield* make(new Client(sql, `"${schema}"`, `capstan_${schema}`), {
        identity: "test",
        maxCrashes: 3,
        listen: true,
        beat
      })
      return { store, sql }
    })
})

class Double extends Job.make("Double", { payload: { n: Schema.Int }, success: Schema.Int }) {}

/** A worker and whoever awaits it, on this store. */
const doubles = (one: Side) =>
  Effect.gen(function*() {
    const group = JobGroup.make(Double)
    yield* Layer.build(
      JobWorker.layer(group, { pollInterval: "100 millis", shutdownGrace: 0 }).pipe(
        Layer.provide(group.toLayer({ Double: ({ n }) => Effect.succeed(2 * n) }))
      )
    )
    const handles = yield* Effect.forEach([1, 2, 3], (n) => Double.enqueue({ n }), { concurrency: 3 })
    const results = yield* Effect.forEach(handles, (handle) => handle.await, { concurrency: 3 })
    assert.deepStrictEqual(results, [2, 4, 6])
    // Once more, by a worker that has had nothing to do for a while.
    const { id } = yield* Double.enqueue({ n: 4 }, { delay: "300 millis" })
    assert.strictEqual(yield* Double.handle(id).await, 8)
  }).pipe(Effect.provideContext(one.context), Effect.scoped)

describe("a store that does not listen", () => {
  fact("runs and answers all the same, by looking", () =>
    Effect.gen(function*() {
      const name = `deaf_${process.pid}`
      const one = yield* Harness.open(schema, { listen: false }, { applicationName: name })
      yield* doubles(one)
      const [row] = yield* one.sql.unsafe<{ n: number }>(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE query LIKE 'LISTEN%' AND application_name = $1",
        [name]
      )
      assert.strictEqual(row!.n, 0)
      const { capabilities } = yield* one.store.describe
      assert.notInclude(capabilities, "events")
    }))

  fact(
    "tells its workers of a transaction after its commit, and of one that rolls back nothing",
    () =>
      Effect.gen(function*() {
        const one = yield* Harness.open(schema, { listen: false })
        const heard = yield* Ref.make(0)
        yield* Effect.forkScoped(
          Stream.runForEach(one.store.wakeups("worker", ["default"]), () => Ref.update(heard, (n) => n + 1))
        )
        yield* Harness.enqueue(one)
        yield* Harness.until("the wake-up of an enqueue", Effect.map(Ref.get(heard), (n) => n > 0))
        const before = yield* Ref.get(heard)
        // Long enough to hear of it: a wake-up inside a process takes no time.
        const enqueued = Effect.andThen(Harness.enqueue(one), one.sql.unsafe("SELECT 1"))
        yield* Effect.flip(one.sql.withTransaction(Effect.andThen(enqueued, Effect.fail("rollback"))))
        yield* one.sql.unsafe("SELECT 1")
        assert.strictEqual(yield* Ref.get(heard), before)
        yield* one.sql.withTransaction(
          Effect.andThen(enqueued, Effect.map(Ref.get(heard), (n) => assert.strictEqual(n, before)))
        )
        yield* Harness.until("the wake-up of the commit", Effect.map(Ref.get(heard), (n) => n > before))
      })
  )

  fact("has events that open with `missed` and say nothing more", () =>
    Effect.gen(function*() {
      const one = yield* Harness.open(schema, { listen: false })
      const all = yield* Ref.make<ReadonlyArray<string>>([])
      const fiber = yield* Effect.forkScoped(
        Stream.runForEach(one.store.events, ({ type }) => Ref.update(all, (seen) => [...seen, type]))
      )
      yield* doubles(one)
      assert.deepStrictEqual(yield* Ref.get(all), ["missed"])
      yield* Fiber.interrupt(fiber)
    }))
})
