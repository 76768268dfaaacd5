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
 * behind a middlebox does; `losing` loses what the server answers next, and everything after it.
 */
class Between {
  private readonly listener: Server
  private readonly silent = new Set<Socket>()
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
        else if (!this.silent.has(client)) client.write(chunk)
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
    assert.isBelow(performance.now() - before, 2500)
  }))

it.live("an enqueue whose reply was lost is not called refused because nobody can be asked any more", () =>
  Effect.gen(function*() {
    const { between, context } = yield* setUp
    between.losing = true
    const error = yield* Effect.flip(Effect.provideContext(Work.enqueue({ n: 2 }), context))
    assert.strictEqual(error.reason._tag, "OutcomeUnknown")
  }))
