/** Flows, events and what follows an attempt, as users write them, on a store of several partitions with a real worker. */
import { assert, describe, it } from "@effect/vitest"
import { Flow, Job, JobGroup, JobStore, JobWorker, Topic, Waitpoint } from "capstan"
import { Effect, Layer, Schema, type Scope } from "effect"
import type { Calls } from "../src/internal/client.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

const payload = { n: Schema.Number }
const Told = Topic.make("Told", payload)

const Over = Topic.make("Over", payload)

class Remind extends Job.make("Remind", {
  payload,
  queue: "mail",
  cancelOn: [{ event: Topic.match(Over, ({ n }) => `${n}`), payload: ({ n }) => `${n}` }]
}) {}
class Paid extends Waitpoint.make("Paid", { success: Schema.Number }) {}
class Ship extends Job.make("Ship", {
  payload,
  queue: "mail",
  completeOn: [{
    event: Topic.completion(Over, Paid, { key: ({ n }) => `${n}`, value: ({ n }) => n }),
    payload: ({ n }) => `${n}`
  }]
}) {}
class Note extends Job.make("Note", { payload, on: [Topic.on(Told, { payload: (it) => it })] }) {}
class Letter extends Job.make("Letter", { payload, queue: "mail", on: [Topic.on(Told, { payload: (it) => it })] }) {}

class Find extends Job.make("Find", { payload, queue: "mail", onComplete: ({ payload }) => [Note.request(payload)] }) {}
class Page extends Job.make("Page", { payload, queue: "pages", success: Schema.Number }) {}
class Sum extends Job.make("Sum", { queue: "mail", success: Schema.Number }) {}
class Crawl extends Flow.make("Crawl")
  .node("find", Find)
  .list("pages", Page, { after: { find: "fail" } })
  .node("sum", Sum, { after: { find: "fail", pages: "fail" } })
{}

class Begin extends Job.make("Begin", { payload }) {}
class Group extends JobGroup.make(Note, Letter, Find, Page, Sum, Begin) {}

/** How often what ran. */
const made = () => {
  const ran = new Map<string, number>()
  const note = (what: string) => Effect.sync(() => void ran.set(what, (ran.get(what) ?? 0) + 1))
  const handlers = Group.toLayer({
    Note: ({ n }) => note(`Note ${n}`),
    Letter: ({ n }) => note(`Letter ${n}`),
    Find: ({ n }) => Effect.asVoid(Crawl.add("pages", [{ n }, { n: n + 1 }])),
    Page: ({ n }) => Effect.succeed(n),
    Sum: () => Effect.map(Crawl.results("sum"), ({ pages }) => pages.reduce((sum, n) => sum + n, 0)),
    Begin: ({ n }) => Effect.asVoid(Crawl.start({ find: { n }, pages: [] }, { idempotencyKey: `${n}` }))
  })
  const worker = JobWorker.layer(Group, { concurrency: 20, pollInterval: "200 millis" }).pipe(Layer.provide(handlers))
  return { ran, worker }
}

const counts = new Map([["mail", 4], ["pages", 4]])

const opened = <A, E>(
  theme: string,
  run: (calls: Array<number>) => Effect.Effect<A, E, JobStore.JobStore | Scope.Scope>
) =>
  Effect.gen(function*() {
    const prefix = Harness.prefixOf(theme)
    yield* Partitions.empty(prefix, 4)
    const calls: Array<number> = []
    const altered = (clients: ReadonlyArray<Calls>): ReadonlyArray<Calls> =>
      clients.map((client, at): Calls => ({
        redis: client.redis,
        key: client.key,
        send: client.send,
        replicated: client.replicated,
        call: (operation, verb, args) => {
          if (verb === "enqueue") calls.push(at)
          return client.call(operation, verb, args)
        }
      }))
    const store = yield* Partitions.open(prefix, { counts, many: 4, altered })
    yield* Effect.provideService(run(calls), JobStore.JobStore, store)
    yield* Partitions.empty(prefix, 4)
  }).pipe(Effect.scoped, Effect.provide(Harness.client()))

describe("over several partitions", () => {
  it.live(
    "flows lie in one each, are started anywhere and added to, and what follows their records arrives once",
    () =>
      opened("flows", (calls) =>
        Effect.gen(function*() {
          const { ran, worker } = made()
          const numbers = Array.from({ length: 12 }, (_, i) => 100 * i)
          const started = yield* Effect.forEach(numbers, (n) => Crawl.start({ find: { n }, pages: [] }))
          assert.isAbove(new Set(calls).size, 1)
          yield* Layer.build(worker)
          for (const [i, flow] of started.entries()) {
            assert.deepStrictEqual(yield* flow.await, { sum: 2 * numbers[i]! + 1 })
            assert.isTrue((yield* flow.status).isFinished)
          }
          yield* Harness.until("what follows has run", Effect.sync(() => numbers.every((n) => ran.has(`Note ${n}`))))
          assert.deepStrictEqual([...new Set(ran.values())], [1])
        })),
    30_000
  )

  it.live(
    "a flow that a handler starts is found by its key, and runs once",
    () =>
      opened("flows_in", () =>
        Effect.gen(function*() {
          yield* Layer.build(made().worker)
          const numbers = Array.from({ length: 8 }, (_, i) => 100 * i)
          for (const handle of yield* Effect.forEach(numbers, (n) => Begin.enqueue({ n }))) yield* handle.await
          for (const n of numbers) {
            const flow = yield* Crawl.start({ find: { n }, pages: [] }, { idempotencyKey: `${n}` })
            assert.strictEqual(flow.outcome, "Existing")
            assert.deepStrictEqual(yield* flow.await, { sum: 2 * n + 1 })
          }
        })),
    30_000
  )

  it.live(
    "an event cancels what lies in any partition, in one write",
    () =>
      opened("cancels", (calls) =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const reminders = yield* Effect.forEach(
            Array.from({ length: 12 }, (_, n) => n),
            (n) => Remind.enqueue({ n: n % 2 }, { delay: "1 hour" })
          )
          assert.isAbove(new Set(calls).size, 1)
          calls.length = 0
          assert.deepStrictEqual(yield* Over.publish({ n: 1 }), [])
          assert.strictEqual(calls.length, 1)
          yield* Harness.until(
            "half of them are cancelled",
            Effect.gen(function*() {
              const records = yield* Effect.forEach(reminders, ({ id }) => store.get(id))
              return records.every((record, i) => record?.state === (i % 2 === 1 ? "cancelled" : "scheduled"))
            })
          )
        })),
    30_000
  )

  it.live(
    "an event completes waitpoints in any partition, in one write, and the first completion is kept",
    () =>
      opened("completes", (calls) =>
        Effect.gen(function*() {
          const store = yield* JobStore.JobStore
          const ships = yield* Effect.forEach(
            Array.from({ length: 12 }, (_, n) => n),
            (n) => Ship.enqueue({ n: n % 2 })
          )
          assert.isAbove(new Set(calls).size, 1)
          assert.strictEqual(yield* Paid.complete(ships[1]!.id, 7), "Kept")
          calls.length = 0
          assert.deepStrictEqual(yield* Over.publish({ n: 1 }), [])
          assert.strictEqual(calls.length, 1)
          const kept = Effect.forEach(
            ships,
            ({ id }) => Effect.map(store.get(id), (record) => record?.checkpoints?.["Paid"]?.split("\n")[1])
          )
          yield* Harness.until(
            "half of them have their completion",
            Effect.map(kept, (all) => all.filter((value) => value !== undefined).length === 6)
          )
          assert.deepStrictEqual(yield* kept, ships.map((_, i) => i === 1 ? "7" : i % 2 === 1 ? "1" : undefined))
        })),
    30_000
  )

  it.live(
    "an event is told to all that subscribe, once for a key, in one write",
    () =>
      opened("events", (calls) =>
        Effect.gen(function*() {
          const { ran, worker } = made()
          yield* Layer.build(worker)
          const numbers = Array.from({ length: 10 }, (_, n) => n)
          for (const n of numbers) {
            calls.length = 0
            const told = yield* Told.publish({ n }, { idempotencyKey: `${n}` })
            assert.deepStrictEqual(told.map(({ outcome }) => outcome), ["Inserted", "Inserted"])
            assert.strictEqual(calls.length, 1)
          }
          const again = yield* Told.publish({ n: 0 }, { idempotencyKey: "0" })
          assert.deepStrictEqual(again.map(({ outcome }) => outcome), ["Existing", "Existing"])
          yield* Harness.until("all have run", Effect.sync(() => ran.size === 20))
          assert.deepStrictEqual([...new Set(ran.values())], [1])
        })),
    30_000
  )
})
