/** Of the workers that sleep beside a queue as many are called as there is work for, and nobody for nothing. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, type Scope, Stream } from "effect"
import * as Harness from "./harness.ts"
import type { Side } from "./harness.ts"

const schema = Harness.schemaName("wakeups")
const side = Harness.shared(schema, Harness.open(schema))

interface Fleet {
  /** Who has been called since it was asked last, by number. */
  readonly called: Effect.Effect<ReadonlyArray<number>>
  /** Asks for a record and finds none. */
  readonly sleep: (...workers: ReadonlyArray<number>) => Effect.Effect<void>
}

const name = (worker: number) => `worker ${worker}`

/** Workers that sleep beside `default`. */
const asleep = (one: Side, size: number): Effect.Effect<Fleet, never, Scope.Scope> =>
  Effect.gen(function*() {
    let heard: Array<number> = []
    const listen = (worker: string, queue: string, number: number) =>
      Effect.forkScoped(
        Stream.runForEach(one.store.wakeups(worker, [queue]), () => Effect.sync(() => void heard.push(number)))
      )
    const find = (worker: string, queue: string) =>
      Harness.exchange(one, { worker, demand: [{ queue, slots: 1, share: 1 }], total: 1 })
    const all = Array.from({ length: size }, (_, i) => i)
    const last = size
    for (const worker of all) yield* listen(name(worker), "default", worker)
    yield* listen("the last", "last", last)
    const sleep: Fleet["sleep"] = (...workers) =>
      Effect.orDie(Effect.forEach(workers, (worker) => find(name(worker), "default"), { discard: true }))
    // Messages come in the order in which they were sent: when this one has come, so have all before it.
    const called = Effect.gen(function*() {
      yield* find("the last", "last")
      yield* Harness.enqueue(one, { queue: "last" })
      yield* Harness.until("the last call", Effect.sync(() => heard.includes(last)))
      yield* Harness.control(
        one,
        { _tag: "Delete" },
        ...(yield* one.store.query({ where: { queue: "last" }, order: "oldest", limit: 10 }))
          .records.map(({ id }) => id)
      )
      const workers = heard.filter((worker) => worker !== last).toSorted((a, b) => a - b)
      heard = []
      return workers
    }).pipe(Effect.orDie)
    yield* sleep(...all)
    // What the connection says when it is there.
    yield* called
    return { called, sleep }
  })

const fact = (name: string, test: (one: Side) => Effect.Effect<void, unknown, Scope.Scope>) =>
  it.live(name, () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* test(one)
    }).pipe(Effect.scoped))

const batch = (one: Side, size: number, given?: Parameters<typeof Harness.record>[0]) =>
  one.store.enqueue({ records: Array.from({ length: size }, () => Harness.record(given)) })

describe("of twelve workers that sleep", () => {
  fact("three are called for a record", (one) =>
    Effect.gen(function*() {
      const fleet = yield* asleep(one, 12)
      yield* Harness.enqueue(one)
      assert.lengthOf(yield* fleet.called, 3)
    }))

  fact("it is not always the same that are called", (one) =>
    Effect.gen(function*() {
      const fleet = yield* asleep(one, 12)
      const seen = new Set<number>()
      yield* Harness.until(
        "each of them to be called",
        Effect.gen(function*() {
          yield* Harness.enqueue(one)
          for (const worker of yield* fleet.called) seen.add(worker)
          return seen.size === 12
        })
      )
    }))

  for (
    const [what, given] of [["plain", {}], ["keyed", Harness.keyed("k", 100)], ["delayed", { delay: 60_000 }]] as const
  ) {
    fact(`as many are called as there are records in a batch: ${what}`, (one) =>
      Effect.gen(function*() {
        const fleet = yield* asleep(one, 12)
        yield* batch(one, 5, given)
        assert.lengthOf(yield* fleet.called, 5)
        yield* batch(one, 40, given)
        assert.lengthOf(yield* fleet.called, 12)
        yield* batch(one, 200, given)
        assert.lengthOf(yield* fleet.called, 12)
      }))
  }

  fact("a flow's end calls more of them when it lets several records run", (one) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one)
      for (let i = 0; i < 40; i++) yield* Harness.enqueue(one, Harness.after(id))
      const [parent] = yield* Harness.claim(one, 1)
      const fleet = yield* asleep(one, 12)
      yield* Harness.settle(one, parent!)
      assert.lengthOf(yield* fleet.called, 12)
    }))

  fact("as many are called as keys let run when one of them is free again", (one) =>
    Effect.gen(function*() {
      yield* batch(one, 2, Harness.keyed("k"))
      const [running] = yield* Harness.claim(one, 1)
      const fleet = yield* asleep(one, 12)
      yield* Harness.settle(one, running!)
      assert.lengthOf(yield* fleet.called, 3)
    }))

  fact("three are called when a transaction that has enqueued commits", (one) =>
    Effect.gen(function*() {
      const fleet = yield* asleep(one, 12)
      yield* one.sql.withTransaction(Harness.enqueue(one))
      assert.lengthOf(yield* fleet.called, 3)
    }))

  fact("all are called when a queue is resumed", (one) =>
    Effect.gen(function*() {
      yield* one.store.pause("default", true)
      const fleet = yield* asleep(one, 12)
      yield* one.store.pause("default", false)
      assert.lengthOf(yield* fleet.called, 12)
    }))

  fact("all are called for what one of them cannot run", (one) =>
    Effect.gen(function*() {
      yield* Harness.enqueue(one)
      const [claimed] = yield* Harness.claim(one, 1)
      const fleet = yield* asleep(one, 12)
      yield* Harness.settle(one, claimed!, { _tag: "Park", reason: "NoHandler" })
      assert.lengthOf(yield* fleet.called, 12)
    }))
})

describe("a worker that was called and has no room", () => {
  fact("passes the call on, and is not called again before it sleeps", (one) =>
    Effect.gen(function*() {
      const fleet = yield* asleep(one, 5)
      yield* Harness.enqueue(one)
      const full = yield* fleet.called
      assert.lengthOf(full, 3)
      for (const worker of full) yield* Harness.exchange(one, { worker: name(worker) })
      const others = [0, 1, 2, 3, 4].filter((worker) => !full.includes(worker))
      assert.includeMembers([...yield* fleet.called], others)
      yield* Harness.enqueue(one)
      assert.deepStrictEqual(yield* fleet.called, others)
    }))

  fact("calls nobody when nothing is left, or the queue is paused", (one) =>
    Effect.gen(function*() {
      const fleet = yield* asleep(one, 5)
      yield* Harness.exchange(one, { worker: name(0) })
      assert.deepStrictEqual(yield* fleet.called, [])
      yield* Harness.enqueue(one)
      yield* fleet.called
      yield* one.store.pause("default", true)
      yield* Harness.exchange(one, { worker: name(1) })
      assert.deepStrictEqual(yield* fleet.called, [])
      yield* one.store.pause("default", false)
    }))
})

describe("who finds more due than it takes", () => {
  fact("calls others, since not all of them have a timer for it", (one) =>
    Effect.gen(function*() {
      yield* batch(one, 3, { delay: 1 })
      yield* Harness.until(
        "all to be due",
        Effect.map(one.sql.unsafe(`SELECT FROM ${schema}.record WHERE due <= ${schema}.clock()`), (due) =>
          due.length === 3)
      )
      // They look after another queue until then, so that they do not find it themselves.
      yield* one.sql.unsafe(`UPDATE ${schema}.record SET queue = 'held'`)
      const fleet = yield* asleep(one, 12)
      yield* one.sql.unsafe(`UPDATE ${schema}.record SET queue = 'default'`)
      yield* Harness.claim(one, 1)
      assert.lengthOf(yield* fleet.called, 3)
    }))
})

describe("of twenty workers that sleep beside a record that is scheduled", () => {
  fact(
    "sixteen know when it is due, and the next one when one of them does not sleep any more",
    (one) =>
      Effect.gen(function*() {
        yield* Harness.enqueue(one, { delay: 3_600_000 })
        yield* asleep(one, 20)
        const knows = (worker: number) =>
          Effect.map(
            Harness.exchange(one, {
              worker: name(worker),
              demand: [{ queue: "default", slots: 1, share: 1 }],
              total: 1
            }),
            ({ nextDueIn }) => nextDueIn !== undefined
          )
        const all = Array.from({ length: 20 }, (_, i) => i)
        const known = yield* Effect.filter(all, knows)
        assert.lengthOf(known, 16)
        yield* Harness.exchange(one, { worker: name(known[0]!) })
        assert.lengthOf(yield* Effect.filter(all.filter((worker) => worker !== known[0]), knows), 16)
      })
  )
})
