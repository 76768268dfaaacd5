/** What networks do to the store: connections that are half-open, and replies that are lost. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import { Job, JobStore } from "capstan"
import { Effect, Exit, Fiber, Latch, Layer, Redacted, Schema } from "effect"
import { TestClock } from "effect/testing"
import { connect, createServer, type Server, type Socket } from "node:net"
import { afterAll } from "vitest"
import * as Harness from "./harness.ts"

class Work extends Job.make("Work", { payload: { n: Schema.Int } }) {}

/**
 * Between the store and its server. `silence` makes the connections that are open now half-open, as a peer that is gone
 * behind a middlebox does, or only what the server answers on them; `losing` loses what the server answers next, and everything
 * after it.
 */
class Between {
  private readonly listener: Server
  private readonly silent = new Set<Socket>()
  private readonly unanswered = new Set<Socket>()
  private readonly open = new Set<Socket>()
  /** Opens when a half-open connection has taken something. */
  readonly swallowed = Latch.makeUnsafe(false)
  losing = false

  constructor(port: number) {
    this.listener = createServer((client) => {
      const server = connect(port, "127.0.0.1")
      this.open.add(client)
      client.on("data", (chunk) => this.silent.has(client) ? this.swallowed.openUnsafe() : server.write(chunk))
      server.on("data", (chunk) => {
        if (this.losing) this.stop()
        else if (!this.silent.has(client) && !this.unanswered.has(client)) client.write(chunk)
      })
      for (const socket of [client, server]) socket.on("error", () => {})
      client.on("close", () => server.destroy())
    })
  }

  readonly start = Effect.callback<number>((resume) => {
    this.listener.listen(0, "127.0.0.1", () => {
      const address = this.listener.address()
      resume(typeof address === "object" && address !== null ? Effect.succeed(address.port) : Effect.die("no port"))
    })
  })

  silence(): void {
    for (const socket of this.open) this.silent.add(socket)
  }

  silenceAnswers(): void {
    for (const socket of this.open) this.unanswered.add(socket)
  }

  stop(): void {
    for (const socket of this.open) socket.destroy()
    this.listener.close()
  }
}

const schema = Harness.schemaName("network")

afterAll(() =>
  Effect.flatMap(PgClient.PgClient, (sql) => sql.unsafe(`DROP SCHEMA IF EXISTS ${schema} CASCADE`).unprepared).pipe(
    Effect.provide(Harness.client()),
    Effect.runPromise
  )
)

const setUp = Effect.gen(function*() {
  const url = new URL(Harness.url())
  const between = new Between(Number(url.port))
  url.port = String(yield* between.start)
  const client = Layer.orDie(PgClient.layer({ url: Redacted.make(url.href), maxConnections: 3 }))
  const context = yield* Layer.build(
    Layer.orDie(PgJobStore.layer({ schema, listen: false })).pipe(Layer.provide(client))
  )
  // All that was done so far took one connection, and the next call takes it again.
  yield* Effect.provideContext(Work.enqueue({ n: 1 }), context)
  // Before the pool closes, which else waits for the driver.
  yield* Effect.addFinalizer(() => Effect.sync(() => between.stop()))
  return { between, context }
})

it.effect("what is enqueued on a half-open connection is stored on another one", () =>
  Effect.gen(function*() {
    const { between, context } = yield* setUp
    between.silence()
    // So many that they do not wait for others.
    const payloads = Array.from({ length: 101 }, (_, n) => ({ n }))
    const enqueued = yield* Effect.forkChild(Effect.provideContext(Work.enqueueMany(payloads), context))
    yield* between.swallowed.await
    yield* TestClock.adjust("10 seconds")
    const stored = yield* Fiber.join(enqueued)
    assert.isTrue(stored.every(({ outcome }) => outcome === "Inserted"))
    const store = yield* Effect.provideContext(JobStore.JobStore, context)
    assert.strictEqual((yield* store.get(stored[100]!.id))?.state, "ready")
  }))

it.effect("a caller that gives up on a half-open connection does not wait for the driver to do so", () =>
  Effect.gen(function*() {
    const { between, context } = yield* setUp
    between.silence()
    const store = yield* Effect.provideContext(JobStore.JobStore, context)
    const maintained = yield* Effect.forkChild(store.maintain)
    yield* between.swallowed.await
    const before = performance.now()
    yield* Fiber.interrupt(maintained)
    assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(maintained)))
    // The driver takes five seconds.
    assert.isBelow(performance.now() - before, 4500)
  }))

it.live("an enqueue whose reply was lost is not called refused because nobody can be asked any more", () =>
  Effect.gen(function*() {
    const { between, context } = yield* setUp
    between.losing = true
    const error = yield* Effect.flip(Effect.provideContext(Work.enqueue({ n: 2 }), context))
    assert.strictEqual(error.reason._tag, "OutcomeUnknown")
  }))

it.effect("of a batch that is refused nothing is said to be stored, also when it was asked for again", () =>
  Effect.gen(function*() {
    const { between, context } = yield* setUp
    const store = yield* Effect.provideContext(JobStore.JobStore, context)
    yield* store.enqueue({ records: [Harness.record({ ...Harness.unique("member"), flowId: "f" })] })
    between.silence()
    const records = [Harness.record(), Harness.record(Harness.unique("member", "replace"))]
    const enqueued = yield* Effect.forkChild(store.enqueue({ records }))
    yield* between.swallowed.await
    yield* TestClock.adjust("10 seconds")
    const answers = yield* Fiber.join(enqueued)
    assert.deepStrictEqual(answers.map(({ outcome }) => outcome), ["Refused", "UniqueConflict"])
    assert.isUndefined(yield* store.get(records[0]!.id))
  }))

for (const onConflict of ["replace", "reschedule"] as const) {
  it.effect(`an enqueue whose ${onConflict} has changed a record that has run meanwhile is stored no second time`, () =>
    Effect.gen(function*() {
      const { between, context } = yield* setUp
      const store = yield* Effect.provideContext(JobStore.JobStore, context)
      const other = yield* Harness.open(schema)
      const queue = `lost ${onConflict}`
      const given = { ...Harness.unique(onConflict, onConflict), queue }
      // The statement is known on its connection by now, so that it goes out as a whole.
      yield* store.enqueue({ records: [Harness.record(Harness.unique("before"))] })
      const holder = Harness.record({ ...given, payload: "0", delay: 3_600_000 })
      yield* other.store.enqueue({ records: [holder] })
      between.silenceAnswers()
      const record = Harness.record({ ...given, payload: "1" })
      const enqueued = yield* Effect.forkChild(store.enqueue({ records: [record] }))
      const isReady = Effect.map(Harness.stateOf(other, holder.id), (state) => state === "ready")
      yield* TestClock.withLive(Harness.until("the record is changed", isReady))
      const ran = yield* Harness.claimOne(other, queue)
      assert.deepStrictEqual([ran.id, ran.payload], [holder.id, onConflict === "replace" ? "1" : "0"])
      yield* Harness.settle(other, ran)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(yield* Fiber.join(enqueued), [{ id: holder.id, outcome: "Replaced" }])
      assert.isUndefined(yield* store.get(record.id))
      assert.deepStrictEqual(yield* Harness.claim(other, 1, queue), [])
    }))
}
