/**
 * No open transaction of a caller makes a settlement or a claim wait (P2), whatever it holds: the worker's client fails
 * where it would wait for a lock. Each holding is committed once and rolled back once.
 */
import { assert, describe, it } from "@effect/vitest"
import type { JobRecord, JobStore } from "capstan"
import { Deferred, Effect, Exit, Fiber } from "effect"
import * as Harness from "./harness.ts"
import {
  after,
  cancel,
  claim,
  claimOne,
  control,
  enqueue,
  keyed,
  settle,
  type Side,
  stateOf,
  unique
} from "./harness.ts"

const schema = Harness.schemaName("locks")

interface Sides {
  readonly caller: Side
  /** Where a statement that waits for anybody's lock fails instead. */
  readonly worker: Side
}

const open = (schema: string) =>
  Effect.all({
    caller: Harness.open(schema),
    worker: Harness.open(schema, {}, { startupOptions: "-c lock_timeout=300ms" })
  })

const sides = Harness.shared(schema, open(schema))

interface Holding<A> {
  /** What is there before. */
  readonly given: (sides: Sides) => Effect.Effect<A, unknown>
  /** What the caller does in its transaction. */
  readonly hold: (caller: Side, given: A) => Effect.Effect<unknown, unknown>
  /** What workers do while it is open. */
  readonly meanwhile: (worker: Side, given: A) => Effect.Effect<unknown, unknown>
  /** What is so once it has been committed, and the store has looked. */
  readonly committed: (worker: Side, given: A) => Effect.Effect<void, unknown>
  readonly rolledBack: (worker: Side, given: A) => Effect.Effect<void, unknown>
}

const ends = { commit: Effect.void, rollback: Effect.fail("rollback" as const) }

const run = <A>(
  holding: Holding<A>,
  end: keyof typeof ends,
  both: Effect.Effect<Sides>
): Effect.Effect<void, unknown> =>
  Effect.gen(function*() {
    const { caller, worker } = yield* both
    yield* Harness.empty(caller)
    const given = yield* holding.given({ caller, worker })
    const held = yield* Deferred.make<void>()
    const over = yield* Deferred.make<void>()
    const transaction = yield* Effect.forkChild(caller.sql.withTransaction(
      holding.hold(caller, given).pipe(
        Effect.andThen(Deferred.succeed(held, undefined)),
        Effect.andThen(Deferred.await(over)),
        Effect.andThen(ends[end])
      )
    ))
    yield* Effect.gen(function*() {
      yield* Effect.raceFirst(Deferred.await(held), Effect.asVoid(Fiber.join(transaction)))
      yield* holding.meanwhile(worker, given)
      yield* Deferred.succeed(over, undefined)
      assert.strictEqual(Exit.isSuccess(yield* Fiber.await(transaction)), end === "commit")
      yield* Harness.quiet(worker)
      yield* (end === "commit" ? holding.committed(worker, given) : holding.rolledBack(worker, given))
      yield* Harness.assertSound(worker)
    }).pipe(Effect.ensuring(Fiber.interrupt(transaction)))
  })

const holdings: Array<
  readonly [name: string, committed: (both: Effect.Effect<Sides>) => Effect.Effect<void, unknown>]
> = []

const holding = <A>(name: string, holding: Holding<A>) => {
  holdings.push([name, (both) => run(holding, "commit", both)])
  it.live(`${name}: committed`, () => run(holding, "commit", sides))
  it.live(`${name}: rolled back`, () => run(holding, "rollback", sides))
}

const running = (side: Side, given: Partial<JobStore.NewRecord>, queue?: string) =>
  Effect.andThen(enqueue(side, given), claimOne(side, queue))

const isState = (side: Side, id: JobRecord.JobId, expected: string) =>
  Effect.map(stateOf(side, id), (state) => assert.strictEqual(state, expected))

const done = (side: Side, at: JobStore.AttemptRef, outcome?: JobStore.Outcome) =>
  Effect.map(settle(side, at, outcome), (answer) => assert.strictEqual(answer, "Done"))

/** Everybody's work goes on: a record is stored, claimed and settled. */
const goesOn = (worker: Side) =>
  Effect.andThen(enqueue(worker, { queue: "other" }), claimOne(worker, "other")).pipe(
    Effect.flatMap((at) => done(worker, at))
  )

const none = { age: 0, count: Infinity }
const unkept: Partial<JobStore.NewRecord> = { retention: { completed: none, cancelled: none, dead: none } }

const parts = (id: JobRecord.JobId) => ({ id, other: Harness.newId() })

describe("an enqueue in an open transaction holds up nobody", () => {
  holding("of a key whose slot is taken", {
    given: ({ worker }) => Effect.map(running(worker, keyed("k")), (holder) => ({ holder, ...parts(Harness.newId()) })),
    hold: (caller, { id }) => enqueue(caller, { id, ...keyed("k") }),
    meanwhile: (worker, { holder }) => Effect.andThen(done(worker, holder), goesOn(worker)),
    committed: (worker, { id }) => isState(worker, id, "ready"),
    rolledBack: (worker, { id }) => isState(worker, id, "none")
  })

  holding("of a key that is free", {
    given: () => Effect.succeed(parts(Harness.newId())),
    hold: (caller, { id }) => enqueue(caller, { id, ...keyed("k") }),
    meanwhile: (worker) => Effect.flatMap(running(worker, keyed("k")), (at) => done(worker, at)),
    committed: (worker, { id }) => isState(worker, id, "ready"),
    rolledBack: (worker, { id }) => isState(worker, id, "none")
  })

  for (const policy of ["keep", "replace", "reschedule", "runAfter"] as const) {
    holding(`of a unique key that a running record holds (${policy})`, {
      given: ({ worker }) => Effect.map(running(worker, unique("u")), (holder) => ({ holder, id: Harness.newId() })),
      hold: (caller, { id }) => enqueue(caller, { id, ...unique("u", policy) }),
      meanwhile: (worker, { holder }) => Effect.andThen(done(worker, holder), goesOn(worker)),
      committed: (worker, { id }) =>
        isState(worker, id, policy === "replace" || policy === "runAfter" ? "ready" : "none"),
      rolledBack: (worker, { id }) => isState(worker, id, "none")
    })
  }

  holding("of a unique key whose holder waits, with another concurrency key", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const first = yield* running(worker, keyed("k", 2))
        const { id } = yield* enqueue(worker, { ...keyed("k", 2), ...unique("u") })
        return { first, id }
      }),
    hold: (caller) => enqueue(caller, { ...keyed("l"), ...unique("u", "replace"), payload: `"new"` }),
    meanwhile: (worker, { first }) => Effect.andThen(done(worker, first), goesOn(worker)),
    committed: (worker, { id }) =>
      Effect.gen(function*() {
        const found = yield* worker.store.get(id)
        assert.deepStrictEqual([found?.state, found?.concurrencyKey, found?.payload], ["ready", "l", `"new"`])
      }),
    rolledBack: (worker, { id }) =>
      Effect.map(
        worker.store.get(id),
        (found) => assert.deepStrictEqual([found?.state, found?.concurrencyKey, found?.payload], ["ready", "k", "null"])
      )
  })

  holding("that puts off a record which holds a slot", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const first = yield* running(worker, keyed("k", 2))
        const { id } = yield* enqueue(worker, { ...keyed("k", 2), ...unique("u") })
        return { first, id }
      }),
    hold: (caller) => enqueue(caller, { ...keyed("k", 2), ...unique("u", "reschedule"), delay: 60_000 }),
    meanwhile: (worker, { first }) => done(worker, first),
    committed: (worker, { id }) => isState(worker, id, "scheduled"),
    rolledBack: (worker, { id }) => isState(worker, id, "ready")
  })

  holding("that gives a successor another payload", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const holder = yield* running(worker, unique("u"))
        const { id } = yield* enqueue(worker, unique("u", "runAfter"))
        return { holder, id }
      }),
    hold: (caller) => enqueue(caller, { ...unique("u", "runAfter"), payload: `"new"` }),
    meanwhile: (worker, { holder }) => Effect.andThen(done(worker, holder), goesOn(worker)),
    committed: (worker, { id }) =>
      Effect.map(
        worker.store.get(id),
        (found) => assert.deepStrictEqual([found?.state, found?.payload], ["ready", `"new"`])
      ),
    rolledBack: (worker, { id }) =>
      Effect.map(
        worker.store.get(id),
        (found) => assert.deepStrictEqual([found?.state, found?.payload], ["ready", "null"])
      )
  })

  for (const isRunning of [false, true]) {
    holding(`that cancels a record of a key which ${isRunning ? "runs" : "waits"}`, {
      given: ({ worker }) =>
        Effect.gen(function*() {
          const first = yield* running(worker, { ...keyed("k", 2), ...(isRunning ? { cancelOn: ["on"] } : {}) })
          const { id } = yield* enqueue(worker, { ...keyed("k", 2), ...(isRunning ? {} : { cancelOn: ["on"] }) })
          return { first, id }
        }),
      hold: (caller) => caller.store.enqueue({ records: [], cancels: [{ on: "on", reason: "r" }] }),
      meanwhile: (worker, { first }) => Effect.andThen(done(worker, first), goesOn(worker)),
      committed: (worker, { id }) => isState(worker, id, isRunning ? "ready" : "cancelled"),
      rolledBack: (worker, { id }) => isState(worker, id, "ready")
    })
  }

  holding("of what waits for a running record", {
    given: ({ worker }) => Effect.map(running(worker, {}), (parent) => ({ parent, id: Harness.newId() })),
    hold: (caller, { id, parent }) => enqueue(caller, { id, ...after(parent.id) }),
    meanwhile: (worker, { parent }) => Effect.andThen(done(worker, parent), goesOn(worker)),
    committed: (worker, { id }) => isState(worker, id, "ready"),
    rolledBack: (worker, { id }) => isState(worker, id, "none")
  })

  holding("of what waits for a record that dies meanwhile", {
    given: ({ worker }) => Effect.map(running(worker, {}), (parent) => ({ parent, id: Harness.newId() })),
    hold: (caller, { id, parent }) => enqueue(caller, { id, ...after(parent.id) }),
    meanwhile: (worker, { parent }) => done(worker, parent, { _tag: "Dead", reason: "Failed" }),
    committed: (worker, { id }) => isState(worker, id, "dead DependencyFailed"),
    rolledBack: (worker, { id }) => isState(worker, id, "none")
  })

  /** A settlement that leaves a child behind. */
  const leaving = (
    worker: Side,
    { fence, id }: JobStore.AttemptRef,
    outcome: JobStore.Outcome,
    ...children: ReadonlyArray<Partial<JobStore.NewRecord>>
  ) =>
    Effect.map(
      Harness.exchange(worker, {
        settlements: [{ id, fence, outcome, finishedAfter: 0, children: children.map(Harness.record) }]
      }),
      ({ settled }) => assert.deepStrictEqual(settled, ["Done"])
    )

  for (const [key, given] of [["unique", unique("u")], ["idempotency", { idempotencyKey: "i" }]] as const) {
    holding(`of the ${key} key of a child that a settlement waits for`, {
      given: ({ worker }) => Effect.map(running(worker, {}), (at) => ({ at, ...parts(Harness.newId()) })),
      hold: (caller, { other }) => enqueue(caller, { ...given, id: other }),
      meanwhile: (worker, { at, id }) =>
        Effect.gen(function*() {
          yield* leaving(worker, at, { _tag: "WaitForChildren" }, { ...given, id })
          yield* isState(worker, at.id, "blocked Children")
          yield* goesOn(worker)
          // Sent again it is done, and leaves no second child.
          yield* leaving(worker, at, { _tag: "WaitForChildren" }, { ...given, id })
          yield* isState(worker, id, "none")
        }),
      committed: (worker, { at, id, other }) => goesOnAfter(worker, at.id, other, id),
      rolledBack: (worker, { at, id, other }) => goesOnAfter(worker, at.id, id, other)
    })
  }

  /** A record waits for the one and not for the other, which was never stored. */
  const goesOnAfter = (worker: Side, id: JobRecord.JobId, child: JobRecord.JobId, other: JobRecord.JobId) =>
    Effect.gen(function*() {
      yield* isState(worker, other, "none")
      yield* isState(worker, id, "blocked Children")
      const at = yield* claimOne(worker)
      assert.strictEqual(at.id, child)
      yield* done(worker, at)
      yield* isState(worker, id, "ready")
      assert.deepStrictEqual((yield* claimOne(worker)).dependencies, { [child]: "1" })
    })

  holding("of the unique key of a child whose parent completes, and which is due later", {
    given: ({ worker }) => Effect.map(running(worker, {}), (at) => ({ at, id: Harness.newId() })),
    hold: (caller) => enqueue(caller, unique("u")),
    meanwhile: (worker, { at, id }) =>
      Effect.andThen(leaving(worker, at, Harness.complete, { ...unique("u"), id, delay: 60_000 }), goesOn(worker)),
    committed: (worker, { at, id }) => Effect.andThen(isState(worker, at.id, "completed"), isState(worker, id, "none")),
    rolledBack: (worker, { at, id }) =>
      Effect.gen(function*() {
        yield* isState(worker, id, "scheduled")
        const [parent, child] = [yield* worker.store.get(at.id), yield* worker.store.get(id)]
        assert.isAtMost(child!.dueAt! - 60_000, parent!.finishedAt!, "its delay counts from the settlement")
      })
  })

  holding("of the unique key of a child that comes after what it has put off", {
    given: ({ worker }) => Effect.map(running(worker, unique("u")), (at) => ({ at, id: Harness.newId() })),
    hold: (caller) => enqueue(caller, unique("u")),
    meanwhile: (worker, { at, id }) =>
      Effect.andThen(leaving(worker, at, Harness.complete, { ...unique("u", "runAfter"), id }), goesOn(worker)),
    // What the caller found there was its own parent, which has ended meanwhile.
    committed: (worker, { id }) => isState(worker, id, "ready"),
    rolledBack: (worker, { id }) => isState(worker, id, "ready")
  })

  holding("that cancels what a child would replace", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const at = yield* running(worker, {})
        const { id: holder } = yield* enqueue(worker, { ...unique("u"), queue: "unique" })
        return { at, holder, id: Harness.newId() }
      }),
    hold: (caller, { holder }) => control(caller, cancel, holder),
    meanwhile: (worker, { at, id }) =>
      Effect.andThen(
        leaving(worker, at, { _tag: "WaitForChildren" }, { ...unique("u", "replace"), id, payload: `"new"` }),
        goesOn(worker)
      ),
    committed: (worker, { at, holder, id }) =>
      Effect.andThen(isState(worker, holder, "cancelled"), goesOnAfter(worker, at.id, id, Harness.newId())),
    rolledBack: (worker, { at, holder, id }) =>
      Effect.gen(function*() {
        assert.strictEqual((yield* worker.store.get(holder))?.payload, `"new"`)
        yield* done(worker, yield* claimOne(worker, "unique"))
        yield* isState(worker, id, "none")
        yield* isState(worker, at.id, "ready")
      })
  })

  holding("of the unique keys of a hundred children, and others whose keys are free come through", {
    given: ({ worker }) =>
      Effect.map(
        running(worker, {}),
        (at) => ({ at, free: Array.from({ length: 10 }, Harness.newId) })
      ),
    hold: (caller) =>
      caller.store.enqueue({ records: Array.from({ length: 90 }, (_, i) => Harness.record(unique(`held ${i}`))) }),
    meanwhile: (worker, { at, free }) =>
      Effect.gen(function*() {
        const held = Array.from({ length: 90 }, (_, i) => unique(`held ${i}`))
        yield* leaving(worker, at, Harness.complete, ...held, ...free.map((id) => ({ id, ...unique(id) })))
        yield* Harness.until(
          "the children whose keys are free",
          Effect.andThen(
            goesOn(worker),
            Effect.map(stateOf(worker, free[9]!), (state) => state === "ready")
          )
        )
        for (const id of free) yield* isState(worker, id, "ready")
      }),
    committed: (worker) => isCount(worker, 100),
    rolledBack: (worker) => isCount(worker, 100)
  })

  const isCount = ({ schema, sql }: Side, count: number) =>
    Effect.map(sql.unsafe(`SELECT FROM ${schema}.record`), (rows) => assert.strictEqual(rows.length, count))

  holding("of the unique key of a schedule's record, when it ticks", {
    given: ({ worker }) =>
      Effect.as(
        worker.store.putSchedule({ name: "s", revision: 0, row: { nextAt: 1, body: "{}" } }),
        { id: Harness.newId() }
      ),
    hold: (caller) => enqueue(caller, unique("u")),
    meanwhile: (worker, { id }) =>
      Effect.gen(function*() {
        const record = Harness.record({ ...unique("u"), id })
        const tick = Effect.map(
          worker.store.tick({
            name: "s",
            revision: 1,
            at: 1,
            overlap: "allow",
            ticks: [{ at: 1, dueAt: 1, record }],
            next: { nextAt: 2 }
          }),
          (reply) => reply?.outcomes
        )
        assert.deepStrictEqual([yield* tick, yield* tick], [[{ outcome: "Enqueued", id }], undefined])
      }),
    committed: (worker, { id }) => isState(worker, id, "none"),
    rolledBack: (worker, { id }) => isState(worker, id, "ready")
  })

  holding("of a thousand records of all kinds, while a thousand others run", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const key = yield* running(worker, keyed("k"))
        const unique = yield* running(worker, Harness.unique("u"))
        const parent = yield* running(worker, {})
        const ids = Array.from({ length: 1000 }, Harness.newId)
        yield* worker.store.enqueue({ records: Array.from({ length: 1000 }, () => Harness.record()) })
        return { key, unique, parent, ids }
      }),
    hold: (caller, { ids, parent }) =>
      caller.store.enqueue({
        records: ids.map((id, i) =>
          Harness.record({
            id,
            ...(i % 4 === 0 ? keyed("k") : {}),
            ...(i % 4 === 1 ? unique(`${i}`) : {}),
            ...(i % 4 === 2 ? after(parent.id) : {}),
            ...(i === 3 ? unique("u", "runAfter") : {})
          })
        )
      }),
    meanwhile: (worker, { key, parent, unique }) =>
      Effect.gen(function*() {
        let settled = 0
        for (;;) {
          const claimed = yield* claim(worker, 100)
          if (claimed.length === 0) break
          const { settled: answers } = yield* Harness.exchange(worker, {
            settlements: claimed.map(({ fence, id }) => ({ id, fence, outcome: Harness.complete, finishedAfter: 1 }))
          })
          assert.isTrue(answers.every((answer) => answer === "Done"))
          settled += claimed.length
        }
        assert.strictEqual(settled, 1000)
        for (const at of [key, unique, parent]) yield* done(worker, at)
      }),
    committed: (worker, { ids }) =>
      Effect.gen(function*() {
        const states = yield* Effect.forEach(ids.slice(0, 12), (id) => stateOf(worker, id))
        assert.deepStrictEqual(states.slice(0, 4), ["ready", "ready", "ready", "ready"])
        assert.deepStrictEqual([states[4], states[8]], ["blocked ConcurrencyKey", "blocked ConcurrencyKey"])
      }),
    rolledBack: (worker, { ids }) =>
      Effect.map(worker.sql.unsafe(`SELECT FROM ${worker.schema}.record`), (rows) => {
        assert.strictEqual(rows.length, 0)
        assert.strictEqual(ids.length, 1000)
      })
  })
})

describe("a control call in an open transaction holds up nobody", () => {
  holding("the cancelling of a running record, which retries meanwhile", {
    given: ({ worker }) => running(worker, keyed("k")),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: (worker, at) => done(worker, at, { _tag: "RetryAfter", delay: 0, failure: Harness.failure }),
    committed: (worker, { id }) => isState(worker, id, "cancelled"),
    rolledBack: (worker, { id }) => isState(worker, id, "ready")
  })

  holding("the cancelling of a running record, which completes meanwhile", {
    given: ({ worker }) => running(worker, {}),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: done,
    committed: (worker, { id }) => isState(worker, id, "completed"),
    rolledBack: (worker, { id }) => isState(worker, id, "completed")
  })

  holding("the cancelling of a running record, which goes on", {
    given: ({ worker }) => running(worker, {}),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: goesOn,
    committed: (worker, { id }) =>
      Effect.gen(function*() {
        const { cancel } = yield* Harness.exchange(worker)
        assert.deepStrictEqual(cancel, [{ id, fence: 1, reason: "test" }])
      }),
    rolledBack: (worker) => Effect.map(Harness.exchange(worker), ({ cancel }) => assert.deepStrictEqual(cancel, []))
  })

  for (
    const [action, becomes] of [
      [cancel, "cancelled"],
      [{ _tag: "Delete" }, "none"],
      [{ _tag: "Reschedule", delay: 60_000 }, "scheduled"]
    ] as const
  ) {
    holding(`${action._tag} of a record that holds a slot of a key`, {
      given: ({ worker }) =>
        Effect.gen(function*() {
          const first = yield* running(worker, keyed("k", 2))
          const { id } = yield* enqueue(worker, keyed("k", 2))
          const waits = yield* enqueue(worker, keyed("k", 2))
          return { first, id, waits: waits.id }
        }),
      hold: (caller, { id }) => control(caller, action, id),
      meanwhile: (worker, { first }) => Effect.andThen(done(worker, first), goesOn(worker)),
      committed: (worker, { id, waits }) =>
        Effect.andThen(
          isState(worker, waits, "ready"),
          isState(worker, id, becomes)
        ),
      rolledBack: (worker, { id, waits }) =>
        Effect.andThen(isState(worker, waits, "ready"), isState(worker, id, "ready"))
    })
  }

  holding("the cancelling of what waits for a key", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const first = yield* running(worker, keyed("k"))
        const { id } = yield* enqueue(worker, keyed("k"))
        const behind = yield* enqueue(worker, keyed("k"))
        return { first, id, behind: behind.id }
      }),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: (worker, { behind, first }) => Effect.andThen(done(worker, first), isState(worker, behind, "ready")),
    committed: (worker, { id }) => isState(worker, id, "cancelled"),
    rolledBack: (worker, { id }) => isState(worker, id, "blocked ConcurrencyKey")
  })

  holding("the cancelling of the only one that waits for a key", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const first = yield* running(worker, keyed("k"))
        const { id } = yield* enqueue(worker, keyed("k"))
        return { first, id }
      }),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: (worker, { first }) => done(worker, first),
    committed: (worker, { id }) => isState(worker, id, "cancelled"),
    rolledBack: (worker, { id }) => isState(worker, id, "ready")
  })

  holding("the cancelling of what waits for another record", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const parent = yield* running(worker, {})
        const { id } = yield* enqueue(worker, after(parent.id))
        return { parent, id }
      }),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: (worker, { parent }) => Effect.andThen(done(worker, parent), goesOn(worker)),
    committed: (worker, { id }) => isState(worker, id, "cancelled"),
    rolledBack: (worker, { id }) => isState(worker, id, "ready")
  })

  for (
    const [what, action, kept] of [
      ["the deleting of what", { _tag: "Delete" }, {}],
      ["the cancelling of what is not kept and", cancel, unkept]
    ] as const
  ) {
    holding(`${what} waits for another record`, {
      given: ({ worker }) =>
        Effect.gen(function*() {
          const parent = yield* running(worker, {})
          const { id } = yield* enqueue(worker, { ...after(parent.id), ...kept })
          return { parent, id }
        }),
      hold: (caller, { id }) => control(caller, action, id),
      meanwhile: (worker, { parent }) => Effect.andThen(done(worker, parent), goesOn(worker)),
      committed: (worker, { id }) => isState(worker, id, "none"),
      rolledBack: (worker, { id }) => isState(worker, id, "ready")
    })
  }

  holding("the deleting of what is dead, and of which another dependency runs", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const parent = yield* running(worker, {})
        const other = yield* running(worker, {})
        const { id } = yield* enqueue(worker, after(parent.id, other.id))
        yield* done(worker, other, { _tag: "Dead", reason: "Failed" })
        yield* isState(worker, id, "dead DependencyFailed")
        return { parent, id }
      }),
    hold: (caller, { id }) => control(caller, { _tag: "Delete" }, id),
    meanwhile: (worker, { parent }) => Effect.andThen(done(worker, parent), goesOn(worker)),
    committed: (worker, { id }) => isState(worker, id, "none"),
    rolledBack: (worker, { id }) => isState(worker, id, "dead DependencyFailed")
  })

  holding("the cancelling of one of two that a record waits for", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const parent = yield* running(worker, {})
        const other = yield* enqueue(worker)
        const { id } = yield* enqueue(worker, after(parent.id, other.id))
        return { parent, other: other.id, id }
      }),
    hold: (caller, { other }) => control(caller, cancel, other),
    meanwhile: (worker, { id, parent }) =>
      Effect.andThen(done(worker, parent), isState(worker, id, "blocked Dependencies")),
    committed: (worker, { id }) => isState(worker, id, "dead DependencyFailed"),
    rolledBack: (worker, { id }) => isState(worker, id, "blocked Dependencies")
  })

  holding("the cancelling of a record that others are enqueued behind meanwhile", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const parent = yield* enqueue(worker)
        const holder = yield* running(worker, { queue: "unique", ...unique("u") }, "unique")
        yield* done(worker, holder, { _tag: "RetryAfter", delay: 60_000, failure: Harness.failure })
        return { parent: parent.id, holder: holder.id, child: Harness.newId(), successor: Harness.newId() }
      }),
    hold: (caller, { holder, parent }) => control(caller, cancel, holder, parent),
    meanwhile: (worker, { child, parent, successor }) =>
      Effect.gen(function*() {
        yield* enqueue(worker, { id: child, ...after(parent) })
        yield* enqueue(worker, { id: successor, ...unique("u", "runAfter") })
        assert.deepStrictEqual(
          [yield* stateOf(worker, child), yield* stateOf(worker, successor)],
          ["blocked Dependencies", "blocked Unique"]
        )
      }),
    committed: (worker, { child, successor }) =>
      Effect.andThen(isState(worker, child, "dead DependencyFailed"), isState(worker, successor, "ready")),
    rolledBack: (worker, { child, successor }) =>
      Effect.andThen(isState(worker, child, "blocked Dependencies"), isState(worker, successor, "blocked Unique"))
  })

  holding("the cancelling of a successor", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const holder = yield* running(worker, unique("u"))
        const { id } = yield* enqueue(worker, unique("u", "runAfter"))
        return { holder, id }
      }),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: (worker, { holder }) => Effect.andThen(done(worker, holder), goesOn(worker)),
    committed: (worker, { id }) => isState(worker, id, "cancelled"),
    rolledBack: (worker, { id }) => isState(worker, id, "ready")
  })

  holding("the cancelling of a holder that waits to be retried, and has a successor with a key", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const key = yield* running(worker, keyed("k"))
        const holder = yield* running(worker, unique("u"))
        const { id } = yield* enqueue(worker, { ...unique("u", "runAfter"), ...keyed("k") })
        yield* done(worker, holder, { _tag: "RetryAfter", delay: 60_000, failure: Harness.failure })
        return { holder, id, key }
      }),
    hold: (caller, { holder }) => control(caller, cancel, holder.id),
    meanwhile: (worker, { key }) => done(worker, key),
    committed: (worker, { id }) => isState(worker, id, "ready"),
    rolledBack: (worker, { id }) => isState(worker, id, "blocked Unique")
  })

  for (const action of [{ _tag: "Promote" }, { _tag: "Retry" }] as const) {
    holding(`${action._tag} of a scheduled record with a key`, {
      given: ({ worker }) =>
        Effect.gen(function*() {
          const first = yield* running(worker, keyed("k"))
          const { id } = yield* enqueue(worker, { ...keyed("k"), delay: 60_000 })
          return { first, id }
        }),
      hold: (caller, { id }) => control(caller, action, id),
      meanwhile: (worker, { first }) => Effect.andThen(done(worker, first), goesOn(worker)),
      committed: (worker, { id }) => isState(worker, id, "ready"),
      rolledBack: (worker, { id }) => isState(worker, id, "scheduled")
    })
  }

  holding("the replay of a dead record with a key and a unique key", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const at = yield* running(worker, { ...keyed("k"), ...unique("u") })
        yield* done(worker, at, { _tag: "Dead", reason: "Failed" })
        const first = yield* running(worker, keyed("k"))
        return { first, id: at.id }
      }),
    hold: (caller, { id }) => control(caller, { _tag: "Retry" }, id),
    meanwhile: (worker, { first }) => Effect.andThen(done(worker, first), goesOn(worker)),
    committed: (worker, { id }) => isState(worker, id, "ready"),
    rolledBack: (worker, { id }) => isState(worker, id, "dead Failed")
  })

  holding("another priority of ready records, which claims pass over", {
    given: ({ worker }) => Effect.map(enqueue(worker), ({ id }) => ({ id })),
    hold: (caller, { id }) => control(caller, { _tag: "Reprioritise", priority: 5 }, id),
    meanwhile: (worker) =>
      Effect.gen(function*() {
        yield* claim(worker)
        const { claimed, more } = yield* Harness.exchange(worker, {
          demand: [{ queue: "default", slots: 2, share: 2 }],
          total: 2
        })
        assert.deepStrictEqual([claimed, more], [[], []])
        yield* goesOn(worker)
      }),
    committed: (worker, { id }) => Effect.map(claimOne(worker), (at) => assert.strictEqual(at.id, id)),
    rolledBack: (worker, { id }) => Effect.map(claimOne(worker), (at) => assert.strictEqual(at.id, id))
  })

  holding("the cancelling of scheduled records, which fall due meanwhile", {
    given: ({ worker }) => enqueue(worker, { delay: 1 }),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: (worker) =>
      Effect.gen(function*() {
        const demand = [{ queue: "default", slots: 2, share: 2 }]
        const look = Harness.exchange(worker, { demand, total: 2 })
        const reply = yield* Harness.until(
          "an exchange that looks at what is due",
          Effect.map(look, (reply) => reply.nextDueIn !== undefined && reply.nextDueIn > 1 && reply)
        )
        assert.deepStrictEqual(reply.claimed, [])
        assert.deepStrictEqual((yield* look).more, [])
        yield* goesOn(worker)
      }),
    committed: (worker, { id }) => isState(worker, id, "cancelled"),
    rolledBack: (worker, { id }) => Effect.map(claimOne(worker), (at) => assert.strictEqual(at.id, id))
  })

  holding("the cancelling of a record that expires meanwhile", {
    given: ({ worker }) => enqueue(worker, { startBefore: 1 }),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: (worker) =>
      Effect.gen(function*() {
        const { expired, maintainIn } = yield* Harness.until(
          "a call of maintain while it has expired",
          Effect.gen(function*() {
            const { maintainIn } = yield* Harness.exchange(worker)
            const reply = yield* worker.store.maintain
            return maintainIn === 0 && reply
          })
        )
        assert.strictEqual(expired, 0)
        assert.isAbove(maintainIn!, 1)
        yield* goesOn(worker)
      }),
    committed: (worker, { id }) => isState(worker, id, "cancelled"),
    rolledBack: (worker, { id }) => Effect.andThen(worker.store.maintain, isState(worker, id, "dead Expired"))
  })

  holding("a cancel of what an earlier transaction left on the agenda", {
    given: ({ caller, worker }) =>
      Effect.gen(function*() {
        const first = yield* running(worker, keyed("k"))
        const { id } = yield* caller.sql.withTransaction(enqueue(caller, keyed("k")))
        return { first, id }
      }),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: (worker, { first }) => Effect.andThen(done(worker, first), goesOn(worker)),
    committed: (worker, { id }) => isState(worker, id, "cancelled"),
    rolledBack: (worker, { id }) => isState(worker, id, "ready")
  })

  holding("the deletion of finished records, while maintain sweeps", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const one = { age: 365 * 24 * 60 * 60 * 1000, count: 1 }
        const ids: Array<JobRecord.JobId> = []
        for (let i = 0; i < 3; i++) {
          const at = yield* running(worker, { retention: { completed: one, cancelled: one, dead: one } })
          yield* done(worker, at)
          ids.push(at.id)
        }
        return ids
      }),
    hold: (caller, ids) => control(caller, { _tag: "Delete" }, ids[0]!),
    meanwhile: (worker) => Effect.andThen(worker.store.maintain, goesOn(worker)),
    committed: (worker, ids) => isState(worker, ids[0]!, "none"),
    rolledBack: (worker, ids) => isState(worker, ids[0]!, "completed")
  })
})

describe("an action that meets a record which runs holds up nobody", () => {
  holding("the replay of a record whose dependent runs", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const parent = yield* running(worker, {})
        yield* enqueue(worker, after(parent.id))
        yield* done(worker, parent)
        return { parent, child: yield* claimOne(worker) }
      }),
    hold: (caller, { parent }) => control(caller, { _tag: "Retry" }, parent.id),
    meanwhile: (worker, { child }) => Effect.andThen(done(worker, child), goesOn(worker)),
    committed: (worker, { child, parent }) =>
      Effect.andThen(isState(worker, child.id, "completed"), isState(worker, parent.id, "ready")),
    rolledBack: (worker, { child, parent }) =>
      Effect.andThen(isState(worker, child.id, "completed"), isState(worker, parent.id, "completed"))
  })

  holding("a cancel, and another one of somebody else", {
    given: ({ worker }) => running(worker, {}),
    hold: (caller, { id }) => control(caller, cancel, id),
    meanwhile: (worker, { id }) =>
      Effect.gen(function*() {
        assert.deepStrictEqual(yield* control(worker, cancel, id), ["Requested"])
        yield* goesOn(worker)
      }),
    committed: (worker, at) =>
      Effect.andThen(settle(worker, at, { _tag: "Release" }), isState(worker, at.id, "cancelled")),
    // Of the one who rolled back nothing is left, of the other one all.
    rolledBack: (worker, at) =>
      Effect.andThen(
        Effect.andThen(Harness.quiet(worker), settle(worker, at, { _tag: "Release" })),
        isState(worker, at.id, "cancelled")
      )
  })

  /** Claimed by a call that is not over yet, when the action comes to it. */
  const claimedMeanwhile = <A>(
    name: string,
    given: Partial<JobStore.NewRecord> | {
      /** What the call also completes. */
      readonly first: Partial<JobStore.NewRecord>
      readonly behind: (first: JobRecord.JobId) => Partial<JobStore.NewRecord>
    },
    act: (caller: Side, id: JobRecord.JobId) => Effect.Effect<A, unknown>,
    /** What is so once the action is committed, and the record still runs; where it is not asked, it is settled before. */
    then?: (worker: Side, acted: A, at: JobStore.AttemptRef) => Effect.Effect<void, unknown>
  ) =>
    it.live(name, () =>
      Effect.gen(function*() {
        const { caller, worker } = yield* sides
        yield* Harness.empty(caller)
        const parent = "first" in given ? yield* running(worker, given.first) : undefined
        const { id } = yield* enqueue(worker, "first" in given ? given.behind(parent!.id) : given)
        const ended = parent === undefined
          ? "'{}', '{}', '{}', '{}', '{}'"
          : `'{${parent.id}}', '{1}', '{0}', '{1}', '{x}'`
        const claimed = yield* Deferred.make<JobStore.AttemptRef>()
        const over = yield* Deferred.make<void>()
        const claims = yield* Effect.forkChild(worker.sql.withTransaction(Effect.gen(function*() {
          yield* worker.sql.unsafe(`SELECT ${schema}.exchange('worker', 60000, ${ended}, NULL,
            '{default}', '{1}', '{1}', 1, '{-1000}', '{0}', '{0}', '{-1000}', '{0}', '{0}', '{}')`)
          yield* Deferred.succeed(claimed, { id, fence: 1 })
          yield* Deferred.await(over)
        })))
        const at = yield* Deferred.await(claimed)
        const acted = yield* Deferred.make<A>()
        const end = yield* Deferred.make<void>()
        const transaction = yield* Effect.forkChild(caller.sql.withTransaction(
          act(caller, id).pipe(
            Effect.flatMap((did) => Deferred.succeed(acted, did)),
            Effect.andThen(Deferred.await(end))
          )
        ))
        yield* Harness.until(
          "a statement that waits for a lock",
          Effect.map(
            worker.sql.unsafe(
              `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%"${schema}".%'`
            ),
            (rows) => rows.length > 0
          )
        )
        yield* Deferred.succeed(over, undefined)
        yield* Fiber.join(claims)
        const did = yield* Deferred.await(acted)
        if (then === undefined) yield* Effect.ensuring(done(worker, at), Deferred.succeed(end, undefined))
        yield* Deferred.succeed(end, undefined)
        yield* Fiber.join(transaction)
        if (then !== undefined) yield* then(worker, did, at)
        yield* Harness.assertSound(worker)
      }))

  claimedMeanwhile("a cancel of what is claimed meanwhile", {}, (caller, id) => control(caller, cancel, id))
  claimedMeanwhile(
    "an enqueue that would replace what is claimed meanwhile",
    unique("u"),
    (caller) => enqueue(caller, unique("u", "replace"))
  )
  claimedMeanwhile(
    "what is added before a record that is claimed meanwhile",
    { first: {}, behind: (id) => after(id) },
    (caller, id) => enqueue(caller, { dependents: [{ id, name: "d" }] })
  )

  for (const policy of ["runAfter", "replace"] as const) {
    claimedMeanwhile(
      `an enqueue that would replace a successor which is claimed meanwhile waits for that one (${policy})`,
      { first: unique("u"), behind: () => unique("u", "runAfter") },
      (caller) => enqueue(caller, unique("u", policy)),
      (worker, { id, outcome }, at) =>
        Effect.gen(function*() {
          assert.strictEqual(outcome, "Inserted")
          yield* Harness.quiet(worker)
          yield* isState(worker, id, "blocked Unique")
          yield* done(worker, at)
          yield* isState(worker, id, "ready")
        })
    )
  }

  const untilStarted = { unique: { key: "u", until: "started", onConflict: "replace" } } as const
  claimedMeanwhile(
    "an enqueue that would replace what is claimed meanwhile, and has its key no more, waits for nobody",
    untilStarted,
    (caller) => enqueue(caller, untilStarted),
    (worker, { id, outcome }) =>
      Effect.gen(function*() {
        assert.strictEqual(outcome, "Inserted")
        yield* isState(worker, id, "ready")
      })
  )
})

describe("a signal in an open transaction holds up nobody", () => {
  const signal = (side: Side, id: JobRecord.JobId, value: string) => side.store.signal({ id, waitpoint: "w", value })

  holding("for a record that waits", {
    given: ({ worker }) =>
      Effect.gen(function*() {
        const at = yield* running(worker, {})
        yield* done(worker, at, { _tag: "WaitFor", waitpoint: "w" })
        return at
      }),
    hold: (caller, { id }) => Effect.map(signal(caller, id, "1"), (answer) => assert.strictEqual(answer, "Delivered")),
    meanwhile: goesOn,
    committed: (worker, { id }) =>
      Effect.gen(function*() {
        yield* isState(worker, id, "ready")
        assert.deepStrictEqual((yield* claimOne(worker)).checkpoints, { w: "1" })
      }),
    rolledBack: (worker, { id }) => isState(worker, id, "blocked Waitpoint")
  })

  holding("for a record that is about to wait", {
    given: ({ worker }) => running(worker, {}),
    hold: (caller, { id }) => Effect.map(signal(caller, id, "1"), (answer) => assert.strictEqual(answer, "Early")),
    meanwhile: (worker, at) => done(worker, at, { _tag: "WaitFor", waitpoint: "w" }),
    committed: (worker, { id }) => isState(worker, id, "ready"),
    rolledBack: (worker, { id }) => isState(worker, id, "blocked Waitpoint")
  })

  holding("given for the second time, to a record that completes", {
    given: ({ worker }) => Effect.tap(running(worker, {}), ({ id }) => signal(worker, id, "1")),
    hold: (caller, { id }) => signal(caller, id, "2"),
    meanwhile: done,
    committed: (worker, { id }) => isState(worker, id, "completed"),
    rolledBack: (worker, { id }) => isState(worker, id, "completed")
  })
})

/** A transaction that does something and is then open for as long as the effect runs. */
const whileOpen = <A, E>(
  caller: Side,
  hold: (caller: Side) => Effect.Effect<unknown, unknown>,
  use: Effect.Effect<A, E>
) =>
  Effect.gen(function*() {
    const held = yield* Deferred.make<void>()
    const over = yield* Deferred.make<void>()
    const transaction = yield* Effect.forkChild(caller.sql.withTransaction(
      hold(caller).pipe(
        Effect.andThen(Deferred.succeed(held, undefined)),
        Effect.andThen(Deferred.await(over))
      )
    ))
    yield* Deferred.await(held)
    const used = yield* Effect.ensuring(use, Deferred.succeed(over, undefined))
    yield* Fiber.join(transaction)
    return used
  })

/** Until a call of this verb waits for a lock. */
const waitsIn = (worker: Side, verb: string) =>
  Harness.until(
    "a statement that waits for a lock",
    Effect.map(
      worker.sql.unsafe(
        `SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%${schema}%.${verb}%'`
      ),
      (rows) => rows.length > 0
    )
  )

describe("an enqueue that waits for another transaction's key", () => {
  /** A transaction that holds a unique and an idempotency key, for as long as the effect runs. */
  const whileHeld = <A, E>(caller: Side, use: Effect.Effect<A, E>) =>
    whileOpen(caller, (caller) => enqueue(caller, { ...unique("u"), idempotencyKey: "i" }), use)
  const waits = (worker: Side) => waitsIn(worker, "enqueue_each")

  it.live("has locked nothing that a settlement needs, whatever comes before it in its batch", () =>
    Effect.gen(function*() {
      const { caller, worker } = yield* sides
      yield* Harness.empty(caller)
      const key = yield* running(worker, keyed("k"))
      const parent = yield* running(worker, {})
      const batch = yield* whileHeld(
        caller,
        Effect.gen(function*() {
          const batch = yield* Effect.forkChild(caller.store.enqueue({
            records: [
              Harness.record(keyed("k")),
              Harness.record(after(parent.id)),
              Harness.record(unique("v")),
              Harness.record(unique("u")),
              Harness.record({ idempotencyKey: "i" })
            ]
          }))
          yield* waits(worker)
          for (const at of [key, parent]) yield* done(worker, at)
          return batch
        })
      )
      const outcomes = (yield* Fiber.join(batch)).map(({ outcome }) => outcome)
      assert.deepStrictEqual(outcomes, ["Inserted", "Inserted", "Inserted", "Existing", "Existing"])
      yield* Harness.assertSound(worker)
    }))

  interface Change {
    readonly given: (parent: JobRecord.JobId) => Partial<JobStore.NewRecord>
    readonly stores: (id: JobRecord.JobId) => Partial<JobStore.NewRecord>
  }
  /** What a batch changes beside what it stores. */
  const changes: Readonly<Record<string, Change>> = {
    "would replace": { given: () => unique("u"), stores: () => unique("u", "replace") },
    "would put off": { given: () => unique("u"), stores: () => ({ ...unique("u", "reschedule"), delay: 60_000 }) },
    "is to wait for another one": { given: after, stores: (id) => ({ dependents: [{ id, name: "d" }] }) }
  }
  for (const [what, { given, stores }] of Object.entries(changes)) {
    it.live(`nor where the record is locked that it ${what}`, () =>
      Effect.gen(function*() {
        const { caller, worker } = yield* sides
        yield* Harness.empty(caller)
        const key = yield* running(worker, keyed("k"))
        const parent = yield* running(worker, {})
        const { id } = yield* enqueue(worker, {
          queue: "other",
          ...given((yield* enqueue(worker, { delay: 60_000 })).id)
        })
        const batch = yield* whileOpen(
          caller,
          (caller) => control(caller, { _tag: "Reprioritise", priority: 1 }, id),
          Effect.gen(function*() {
            const records = [keyed("k"), after(parent.id), { queue: "other", ...stores(id) }].map(Harness.record)
            const batch = yield* Effect.forkChild(caller.store.enqueue({ records }))
            yield* waits(worker)
            for (const at of [key, parent]) yield* done(worker, at)
            yield* goesOn(worker)
            return batch
          })
        )
        yield* Fiber.join(batch)
        yield* Harness.assertSound(worker)
      }))
  }

  /** What a transaction has of what an event does last, and of what is stored with it. */
  const ofEvents: Readonly<
    Record<string, (caller: Side, listens: JobRecord.JobId) => Effect.Effect<unknown, unknown>>
  > = {
    "cancels a record which is locked": (caller, listens) =>
      control(caller, { _tag: "Reprioritise", priority: 1 }, listens),
    "is told to a record whose key is held": (caller) => enqueue(caller, { ...unique("u"), queue: "other" })
  }
  for (const [what, hold] of Object.entries(ofEvents)) {
    it.live(`nor where an event cancels others and ${what}`, () =>
      Effect.gen(function*() {
        const { caller, worker } = yield* sides
        yield* Harness.empty(caller)
        const key = yield* running(worker, keyed("k", 2))
        const [first, last] = [Harness.newId(), Harness.newId()].toSorted() as [JobRecord.JobId, JobRecord.JobId]
        yield* enqueue(worker, { id: first, cancelOn: ["on"], ...keyed("k", 2) })
        yield* enqueue(worker, { id: last, cancelOn: ["on"] })
        const event = yield* whileOpen(
          caller,
          (caller) => hold(caller, last),
          Effect.gen(function*() {
            const records = [Harness.record({ ...unique("u"), queue: "other" })]
            const event = yield* Effect.forkChild(
              caller.store.enqueue({ records, cancels: [{ on: "on", reason: "r" }] })
            )
            yield* waits(worker)
            yield* done(worker, key)
            return event
          })
        )
        yield* Fiber.join(event)
        for (const id of [first, last]) yield* isState(worker, id, "cancelled")
        yield* Harness.assertSound(worker)
      }))
  }

  it.live("holds up no other enqueue of its process", () =>
    Effect.gen(function*() {
      const { caller, worker } = yield* sides
      yield* Harness.empty(caller)
      const waiting = yield* whileHeld(
        caller,
        Effect.gen(function*() {
          const waiting = yield* Effect.forkChild(enqueue(caller, unique("u")))
          yield* waits(worker)
          const others = yield* Effect.forEach([{}, keyed("k")], (given) => enqueue(caller, given), {
            concurrency: "unbounded"
          }).pipe(Effect.timeout("5 seconds"))
          assert.deepStrictEqual(others.map(({ outcome }) => outcome), ["Inserted", "Inserted"])
          return waiting
        })
      )
      assert.strictEqual((yield* Fiber.join(waiting)).outcome, "Existing")
    }))

  it.live("waits for no other order of the same keys: two batches in opposite orders are both stored", () =>
    Effect.gen(function*() {
      const { caller } = yield* sides
      yield* Harness.empty(caller)
      const keys = Array.from({ length: 200 }, (_, i) => `key ${i}`)
      const batch = (keys: ReadonlyArray<string>) => ({ records: keys.map((key) => Harness.record(unique(key))) })
      for (let round = 0; round < 5; round++) {
        const answers = yield* Effect.all([
          caller.store.enqueue(batch(keys)),
          caller.store.enqueue(batch(keys.toReversed()))
        ], { concurrency: 2 })
        const inserted = answers.flat().filter(({ outcome }) => outcome === "Inserted")
        assert.strictEqual(inserted.length, round === 0 ? 200 : 0)
      }
    }))
})

/**
 * Two calls that lock the same keys, each in an order of its own, would wait for each other until the server ends one of them: a second
 * each time, and five times is too often. Three workers whose keyed records all failed came to nothing else (10 exchanges of 100).
 */
describe("an exchange", () => {
  const lockKey = (side: Side, key: string) =>
    side.sql.unsafe(`SELECT FROM ${schema}.key WHERE name LIKE '%${key}' FOR UPDATE NOWAIT`).unprepared
  const fails = (at: JobStore.AttemptRef): JobStore.Settlement => ({
    ...at,
    finishedAfter: 0,
    outcome: { _tag: "RetryAfter", delay: 60_000, failure: Harness.failure }
  })

  it.live("locks the keys of all that it settles in one order, whatever fails and in whatever order", () =>
    Effect.gen(function*() {
      const { caller, worker } = yield* sides
      yield* Harness.empty(caller)
      const a = yield* running(worker, keyed("a"))
      const b = yield* running(worker, keyed("b"))
      const c = yield* running(worker, keyed("c"))
      const settling = yield* whileOpen(
        caller,
        (caller) => lockKey(caller, "a"),
        Effect.gen(function*() {
          const complete = { ...c, finishedAfter: 0, outcome: Harness.complete }
          const settling = yield* Effect.forkChild(
            Harness.exchange(caller, { settlements: [complete, fails(b), fails(a)] })
          )
          yield* waitsIn(worker, "exchange")
          for (const key of ["b", "c"]) assert.strictEqual((yield* lockKey(worker, key)).length, 1)
          return settling
        })
      )
      assert.deepStrictEqual((yield* Fiber.join(settling)).settled, ["Done", "Done", "Done"])
      yield* Harness.assertSound(worker)
    }))

  it.live("waits for no transaction that has locked what is not its worker's any more", () =>
    Effect.gen(function*() {
      const { caller, worker } = yield* sides
      yield* Harness.empty(caller)
      const stale = yield* running(worker, keyed("a"))
      yield* worker.sql.unsafe(`UPDATE ${schema}.worker SET lease_until = 0`)
      yield* worker.store.maintain
      const { settled } = yield* whileOpen(
        caller,
        (caller) => control(caller, { _tag: "Reprioritise", priority: 1 }, stale.id),
        Harness.exchange(worker, { settlements: [fails(stale)] })
      )
      assert.deepStrictEqual(settled, ["LeaseLost"])
    }))

  const of = (key: string) => ({ ...keyed(key, 2), tag: key })
  const retried = Effect.gen(function*() {
    const { worker } = yield* sides
    const both = [yield* running(worker, of("a")), yield* running(worker, of("b"))]
    for (const at of both) {
      yield* settle(worker, at, { _tag: "RetryAfter", delay: 1, failure: Harness.failure })
    }
  })

  const begins: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
    "falls due": retried,
    "was enqueued in a transaction": Effect.flatMap(
      sides,
      ({ caller }) => caller.sql.withTransaction(Effect.all([enqueue(caller, of("a")), enqueue(caller, of("b"))]))
    )
  }

  it.live.each(Object.entries(begins))(
    "does not wait for the key of what %s, and begins it when it can",
    ([, begin]) =>
      Effect.gen(function*() {
        const { caller, worker } = yield* sides
        yield* Harness.empty(caller)
        // Its row is there.
        yield* running(worker, of("a"))
        yield* begin
        const claimed = (count: number) => {
          const keys: Array<string> = []
          return Effect.as(
            Harness.until(
              `${count} that are claimed`,
              Effect.map(claim(worker, 5), (claimed) => {
                keys.push(...claimed.map(({ tag }) => tag))
                return keys.length >= count
              })
            ),
            keys
          )
        }
        const first = yield* whileOpen(caller, (caller) => lockKey(caller, "a"), claimed(1))
        assert.deepStrictEqual(first, ["b"])
        assert.deepStrictEqual(yield* claimed(1), ["a"])
      })
  )

  it.live("does not wait for the key of what has expired", () =>
    Effect.gen(function*() {
      const { caller, worker } = yield* sides
      yield* Harness.empty(caller)
      for (const key of ["a", "b"]) yield* enqueue(worker, { ...keyed(key), startBefore: 1 })
      const dead = (count: number) =>
        Harness.until(
          `${count} that are dead`,
          Effect.andThen(
            Effect.andThen(claim(worker, 5), worker.store.maintain),
            Effect.map(worker.store.stats, ({ queues }) => queues[0]?.counts.dead === count)
          )
        )
      yield* whileOpen(caller, (caller) => lockKey(caller, "a"), dead(1))
      yield* dead(2)
      yield* Harness.assertSound(worker)
    }))
})

describe("a control call over many records that waits for a transaction", () => {
  /** In the order in which they are changed. */
  const ids = () =>
    Array.from({ length: 3 }, Harness.newId).toSorted() as [JobRecord.JobId, JobRecord.JobId, JobRecord.JobId]

  it.live("has locked no record that runs, and no key", () =>
    Effect.gen(function*() {
      const { caller, worker } = yield* sides
      yield* Harness.empty(caller)
      const [runs, keeps, locked] = ids()
      const key = yield* running(worker, keyed("k", 2))
      const at = yield* running(worker, { id: runs })
      yield* enqueue(worker, { id: keeps, ...keyed("k", 2) })
      yield* enqueue(worker, { id: locked })
      const cancels = yield* whileOpen(
        caller,
        (caller) => control(caller, { _tag: "Reprioritise", priority: 1 }, locked),
        Effect.gen(function*() {
          const cancels = yield* Effect.forkChild(control(caller, cancel, runs, keeps, locked))
          yield* waitsIn(worker, "control_one")
          for (const each of [key, at]) yield* done(worker, each)
          yield* goesOn(worker)
          return cancels
        })
      )
      const answers = yield* Fiber.join(cancels)
      assert.deepStrictEqual(answers, ["Unchanged", "Changed", "Changed"])
      yield* Harness.assertSound(worker)
    }))

  /** What a transaction does to the last one of some that are dead, or to what begins again with it. */
  const holds: Readonly<
    Record<string, {
      readonly given: Partial<JobStore.NewRecord>
      readonly dependent?: Partial<JobStore.NewRecord>
      readonly hold: (caller: Side, id: JobRecord.JobId, dependent: JobRecord.JobId) => Effect.Effect<unknown, unknown>
    }>
  > = {
    "retries the last one too": { given: {}, hold: (caller, id) => control(caller, { _tag: "Retry" }, id) },
    "has the unique key of the last one": {
      given: unique("u"),
      hold: (caller) => enqueue(caller, unique("u"))
    },
    "deletes what lives again with the last one": {
      given: {},
      dependent: {},
      hold: (caller, _, dependent) => control(caller, { _tag: "Delete" }, dependent)
    },
    "has the unique key of what lives again with the last one": {
      given: {},
      dependent: unique("u"),
      hold: (caller) => enqueue(caller, unique("u"))
    }
  }
  for (const [what, { dependent, given, hold }] of Object.entries(holds)) {
    it.live(`has locked no key when it retries records and the transaction ${what}`, () =>
      Effect.gen(function*() {
        const { caller, worker } = yield* sides
        yield* Harness.empty(caller)
        const [first, last, third] = ids()
        for (const record of [{ id: first, ...keyed("k", 2) }, { id: last, ...given }]) {
          const at = yield* running(worker, record)
          if (record.id === last && dependent !== undefined) {
            yield* enqueue(worker, { id: third, ...after(last), ...dependent })
          }
          yield* done(worker, at, { _tag: "Dead", reason: "Failed" })
        }
        yield* Harness.quiet(worker)
        const key = yield* running(worker, keyed("k", 2))
        const retries = yield* whileOpen(
          caller,
          (caller) => hold(caller, last, third),
          Effect.gen(function*() {
            const retries = yield* Effect.forkChild(control(caller, { _tag: "Retry" }, first, last))
            yield* waitsIn(worker, "control_one")
            yield* done(worker, key)
            yield* goesOn(worker)
            return retries
          })
        )
        assert.strictEqual((yield* Fiber.join(retries))[0], "Changed")
        yield* Harness.assertSound(worker)
      }))
  }
})

describe("a tick that cancels the record of the tick before, which a transaction has locked", () => {
  it.live("waits for nobody, and the record is cancelled afterwards", () =>
    Effect.gen(function*() {
      const { caller, worker } = yield* sides
      yield* Harness.empty(caller)
      yield* worker.store.putSchedule({ name: "s", revision: 0, row: { nextAt: 1, body: "{}" } })
      const [before, next] = [Harness.record(), Harness.record()]
      const tick = (record: JobStore.NewRecord, revision: number) =>
        worker.store.tick({
          name: "s",
          revision,
          at: revision,
          overlap: "cancelPrevious",
          ticks: [{ at: revision, dueAt: revision, record }],
          next: { nextAt: revision + 1 }
        })
      yield* tick(before, 1)
      yield* whileOpen(
        caller,
        (caller) => control(caller, { _tag: "Reprioritise", priority: 1 }, before.id),
        Effect.map(tick(next, 2), (reply) => assert.deepStrictEqual(reply?.outcomes.map(({ id }) => id), [next.id]))
      )
      yield* Harness.quiet(worker)
      yield* isState(worker, before.id, "cancelled")
      yield* isState(worker, next.id, "ready")
      yield* Harness.assertSound(worker)
    }))
})

describe("a twin that takes a lock in the caller's transaction makes exactly those wait who need it", () => {
  let themes = 0
  const twin = (
    name: string,
    changes: ReadonlyArray<Harness.Change>,
    red: ReadonlyArray<string>
  ) => {
    const schema = Harness.schemaName(`locks_${themes++}`)
    const twins = Harness.shared(
      schema,
      Effect.andThen(Effect.provide(Effect.orDie(Harness.altered(schema, changes)), Harness.client()), open(schema))
    )
    it.live(name, () =>
      Effect.gen(function*() {
        // A line that is not there to be changed is no promise that is broken.
        yield* twins
        const found: Array<string> = []
        for (const [name, committed] of holdings) {
          if (Exit.isFailure(yield* Effect.exit(committed(twins)))) found.push(name)
        }
        assert.deepStrictEqual(found, red)
      }))
  }

  twin("slots of keys", [
    ["NOT p_transaction AND ${s}.take_slot(r.key, r.key_limit, p_now)", "${s}.take_slot(r.key, r.key_limit, p_now)"],
    ["r.key IS NOT NULL AND p_transaction AND v_due <= p_now", "false"],
    ["  IF NOT p_transaction THEN\n    SELECT", "  IF true THEN\n    SELECT"],
    ["WHEN g.key IS NULL THEN 0 WHEN p_transaction THEN 3", "WHEN g.key IS NULL THEN 0"]
  ], [
    "of a key whose slot is taken",
    "of a key that is free",
    "of a thousand records of all kinds, while a thousand others run",
    "Promote of a scheduled record with a key",
    "Retry of a scheduled record with a key",
    "the replay of a dead record with a key and a unique key"
  ])

  twin("a settlement that waits for who waits for it", [
    [
      "v_free boolean;\nBEGIN\n  SELECT * INTO c FROM ${s}.record WHERE id = p_id FOR UPDATE SKIP LOCKED;",
      "v_free boolean;\nBEGIN\n  SELECT * INTO c FROM ${s}.record WHERE id = p_id FOR UPDATE;"
    ]
  ], [
    "the cancelling of what waits for another record",
    "the deleting of what waits for another record",
    "the cancelling of what is not kept and waits for another record"
  ])

  twin("a settlement that waits for who forgets what waits for it", [
    [
      "  INSERT INTO ${s}.agenda (id) SELECT DISTINCT child FROM ${s}.dependency WHERE child = ANY (p_ids);\n",
      "  DELETE FROM ${s}.dependency WHERE child = ANY (p_ids);\n"
    ]
  ], [
    "the deleting of what waits for another record",
    "the cancelling of what is not kept and waits for another record",
    "the deleting of what is dead, and of which another dependency runs"
  ])

  twin("a settlement that waits for the keys of its children", [
    ["EXCEPTION WHEN lock_not_available THEN\n  RETURN NULL", "EXCEPTION WHEN division_by_zero THEN\n  RETURN NULL"],
    ["SET lock_timeout = '5ms' AS", "AS"]
  ], [
    "of the unique key of a child that a settlement waits for",
    "of the idempotency key of a child that a settlement waits for",
    "of the unique key of a child whose parent completes, and which is due later",
    "of the unique key of a child that comes after what it has put off",
    "that cancels what a child would replace",
    "of the unique keys of a hundred children, and others whose keys are free come through",
    "of the unique key of a schedule's record, when it ticks"
  ])

  twin("claims that wait for a locked record", [
    [
      "LIMIT n FOR UPDATE SKIP LOCKED), claimed AS",
      "LIMIT n FOR UPDATE), claimed AS"
    ]
  ], ["another priority of ready records, which claims pass over"])
})
