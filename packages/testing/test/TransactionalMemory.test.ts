import { TransactionalMemory } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobError, JobStore, Transactional } from "capstan"
import { Effect, Exit, Schema } from "effect"
import * as H from "../src/internal/suite/harness.ts"

const nothing = () => Effect.succeed({ result: undefined, finishedAfter: 0 })

/** Commits what an attempt of a record of its own enqueues. */
const committed = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    yield* H.enqueue({ tag: "Parent", queue: "parents" })
    const { fence, id } = yield* H.claimOne("p", "parents")
    return yield* (yield* Transactional.Transactional).commit({ id, fence }, effect, nothing)
  })

const rolledBack = Symbol("rolled back")

/** What an effect answers in a commit that comes to nothing. */
const foreseen = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    let answer: A | undefined
    const exit = yield* Effect.exit(committed(Effect.flatMap(effect, (value) => {
      answer = value
      return Effect.fail(rolledBack)
    })))
    assert.isTrue(Exit.isFailure(exit))
    return answer!
  })

const tasks = Effect.flatMap(JobStore.JobStore, ({ query }) =>
  Effect.map(
    query({ where: { tag: "Task" }, order: "oldest", limit: 100 }),
    ({ records }) => records.map(({ id, payload }) => [id, payload])
  ))

const window = { windowMillis: 60_000 }
const claims: ReadonlyArray<readonly [name: string, claim: Omit<JobStore.UniqueClaim, "key">]> = [
  ...(["keep", "replace", "reschedule", "runAfter"] as const).flatMap((onConflict) =>
    ([["finished", "finished"], ["started", "started"], ["a window", window]] as const).map(([name, until]) =>
      [`${onConflict}, until ${name}`, { onConflict, until }] as const
    )
  ),
  ["trailing", { onConflict: "trailing", until: window }]
]

type Given = Parameters<typeof H.enqueue>[0]

/** How the holder of a key stands. */
const holders: ReadonlyArray<
  readonly [name: string, hold: (given: Given) => Effect.Effect<unknown, JobError.JobStoreError, JobStore.JobStore>]
> = [
  ["nobody", () => Effect.void],
  ["one that waits", (given) => H.enqueue(given)],
  ["one that is delayed", (given) => H.enqueue({ ...given, delay: 1000 })],
  ["a member of a flow", (given) => H.enqueue({ ...given, flowId: "f" })],
  ["one that runs", (given) => Effect.andThen(H.enqueue(given), H.claimOne("w"))],
  [
    "one that runs, and what the same call stores beside it",
    (given) => Effect.andThen(H.enqueue(given), Effect.andThen(H.claimOne("w"), H.enqueue(given)))
  ],
  [
    "one that is to be retried",
    (given) =>
      Effect.andThen(H.enqueue(given), Effect.flatMap(H.claimOne("w"), (at) => H.settle("w", at, H.retryAfter(1000))))
  ],
  ...([["released", { _tag: "Release" }], ["asleep", { _tag: "SnoozeFor", delay: 1000 }]] as const).map((
    [name, outcome]
  ) =>
    [
      `one that is ${name}`,
      (given: Given) =>
        Effect.andThen(H.enqueue(given), Effect.flatMap(H.claimOne("w"), (at) => H.settle("w", at, outcome)))
    ] as const
  ),
  [
    "one that is completed",
    (given) => Effect.andThen(H.enqueue(given), Effect.flatMap(H.claimOne("w"), (at) => H.settle("w", at, H.complete)))
  ],
  [
    "one that is dead",
    (given) => Effect.andThen(H.enqueue(given), Effect.flatMap(H.claimOne("w"), (at) => H.settle("w", at, H.dead)))
  ],
  [
    "one that is dead and lives again",
    (given) =>
      Effect.gen(function*() {
        yield* H.enqueue(given)
        const at = yield* H.claimOne("w")
        yield* H.settle("w", at, H.dead)
        yield* H.control({ _tag: "Retry" }, at.id)
      })
  ]
]

const replacing = { key: "k", until: "finished", onConflict: "replace" } as const
const keeping = { ...replacing, onConflict: "keep" } as const

/** Batches of which nothing is stored, with what there is before. */
const batches: ReadonlyArray<
  readonly [name: string, batch: Effect.Effect<JobStore.EnqueueRequest, JobError.JobStoreError, JobStore.JobStore>]
> = [
  [
    "a flow whose idempotency key is known",
    Effect.gen(function*() {
      yield* H.enqueue({ idempotencyKey: "i" })
      const records = [H.record({ flowId: "f" }), H.record({ flowId: "f", idempotencyKey: "i" })]
      return { records, whole: records[1]!.id }
    })
  ],
  [
    "a flow of which a member's unique key is held",
    Effect.gen(function*() {
      yield* H.enqueue({ unique: keeping })
      const records = [H.record({ flowId: "f", unique: keeping }), H.record({ flowId: "f" })]
      return { records, whole: records[1]!.id }
    })
  ],
  [
    "a flow of which two members have the same unique key",
    Effect.sync(() => {
      const records = [H.record({ flowId: "f", unique: keeping }), H.record({ flowId: "f", unique: keeping })]
      return { records, whole: records[1]!.id }
    })
  ],
  [
    "members of a flow for one of which another record stands",
    Effect.gen(function*() {
      yield* H.enqueue({ unique: keeping })
      return { records: [H.record({ flowId: "f" }), H.record({ flowId: "f", unique: keeping })] }
    })
  ],
  [
    "two members of a flow with the same unique key",
    Effect.sync(() => ({ records: [0, 1].map(() => H.record({ flowId: "f", unique: replacing })) }))
  ],
  [
    "a batch that would replace a member of a flow",
    Effect.gen(function*() {
      yield* H.enqueue({ flowId: "f", unique: replacing })
      return { records: [H.record(), H.record({ unique: replacing }), H.record()] }
    })
  ],
  [
    "a batch with a record that is to come before one which has begun",
    Effect.gen(function*() {
      const { id } = yield* H.enqueue()
      return { records: [H.record(), H.record({ dependents: [{ name: "late", id }] })] }
    })
  ]
]

describe("an enqueue of a commit answers what the store would", () => {
  for (const [policy, claim] of claims) {
    for (const [name, hold] of holders) {
      it.effect(`where the unique key has ${name}: ${policy}`, () =>
        Effect.gen(function*() {
          const given = { unique: { key: "k", ...claim } }
          yield* hold(given)
          const before = yield* tasks
          const inside = yield* foreseen(H.enqueue(given))
          assert.deepStrictEqual(yield* tasks, before)
          const outside = yield* H.enqueue(given)
          // A new record has an id of its own each time.
          const isNew = outside.outcome === "Inserted"
          assert.deepStrictEqual([inside.outcome, isNew || inside.id], [outside.outcome, isNew || outside.id])
        }).pipe(Effect.provide(TransactionalMemory.layer())))
    }
  }

  it.effect("where the idempotency key is known, also of a record that is replaced or has ended", () =>
    Effect.gen(function*() {
      const { id } = yield* H.enqueue({ idempotencyKey: "a", unique: replacing })
      yield* H.enqueue({ idempotencyKey: "b", unique: replacing })
      for (const idempotencyKey of ["a", "b"]) {
        assert.deepStrictEqual(yield* committed(H.enqueue({ idempotencyKey })), { id, outcome: "Existing" })
      }
      yield* H.settle("w", yield* H.claimOne("w"), H.complete)
      assert.deepStrictEqual(yield* committed(H.enqueue({ idempotencyKey: "a" })), { id, outcome: "Existing" })
      assert.strictEqual((yield* tasks).length, 1)
    }).pipe(Effect.provide(TransactionalMemory.layer())))

  it.effect("where the key is that of a record of the same commit, which it replaces", () =>
    Effect.gen(function*() {
      const [first, second, third] = yield* committed(Effect.all([
        H.enqueue({ payload: "1", unique: replacing }),
        H.enqueue({ payload: "2", unique: replacing, idempotencyKey: "i" }),
        H.enqueue({ payload: "3", idempotencyKey: "i" })
      ]))
      assert.deepStrictEqual([first.outcome, second, third], [
        "Inserted",
        { id: first.id, outcome: "Replaced" },
        { id: first.id, outcome: "Existing" }
      ])
      assert.deepStrictEqual(yield* tasks, [[first.id, "2"]])
    }).pipe(Effect.provide(TransactionalMemory.layer())))

  for (const [name, batchOf] of batches) {
    it.effect(`to ${name}`, () =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const request = yield* batchOf
        const before = yield* tasks
        const inside = yield* committed(Effect.flatMap(JobStore.JobStore, ({ enqueue }) => enqueue(request)))
        assert.deepStrictEqual(yield* tasks, before)
        assert.deepStrictEqual(inside, yield* store.enqueue(request))
        assert.deepStrictEqual(yield* tasks, before)
      }).pipe(Effect.provide(TransactionalMemory.layer())))
  }

  it.effect("to a flow, and to what is to come before its last record", () =>
    Effect.gen(function*() {
      const [a, b] = [H.record({ flowId: "f" }), H.record({ flowId: "f" })]
      const added = H.record({ flowId: "f", dependents: [{ name: "added", id: b.id }] })
      const last = { ...b, dependencies: [{ name: "a", id: a.id }] }
      const answers = yield* committed(Effect.flatMap(JobStore.JobStore, ({ enqueue }) =>
        Effect.all([enqueue({ records: [a, last], whole: b.id }), enqueue({ records: [added] })])))
      assert.deepStrictEqual(
        answers.flat().map(({ outcome }) =>
          outcome
        ),
        ["Inserted", "Inserted", "Inserted"]
      )
      const states: Array<string> = []
      for (const { id } of [a, b, added]) states.push((yield* H.get(id)).state)
      assert.deepStrictEqual(states, ["ready", "blocked", "ready"])
    }).pipe(Effect.provide(TransactionalMemory.layer())))
})

describe("a key that another caller gives back before the commit", () => {
  it.effect("was the other's when it was asked for: no record is stored", () =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      const holder = yield* H.enqueue({ unique: keeping })
      const ends = Effect.flatMap(H.claimOne("w"), (at) => H.settle("w", at, H.complete))
      const answer = yield* committed(
        Effect.tap(H.enqueue({ unique: keeping }), Effect.provideService(ends, JobStore.JobStore, store))
      )
      assert.deepStrictEqual(answer, { id: holder.id, outcome: "Existing" })
      assert.deepStrictEqual(yield* tasks, [[holder.id, "null"]])
      assert.strictEqual((yield* H.get(holder.id)).state, "completed")
    }).pipe(Effect.provide(TransactionalMemory.layer())))
})

describe("a key that another caller takes before the commit", () => {
  it.effect("is the other's: no second record is stored, and the handle is of a record that is gone", () =>
    Effect.gen(function*() {
      class Remind extends Job.make("Remind", { payload: Schema.String }) {}
      const store = yield* JobStore.JobStore
      const enqueue = (text: string) => Remind.enqueue(text, { idempotencyKey: "i" })
      const [mine, other] = yield* committed(
        Effect.all([enqueue("mine"), Effect.provideService(enqueue("other"), JobStore.JobStore, store)])
      )
      assert.deepStrictEqual([mine.outcome, other.outcome], ["Inserted", "Inserted"])
      const { records } = yield* store.query({ where: { tag: "Remind" }, order: "oldest", limit: 10 })
      assert.deepStrictEqual(records.map(({ id, payload }) => [id, payload]), [[other.id, `"other"`]])
      assert.isTrue((yield* Effect.flip(mine.await)) instanceof JobError.JobGone)
      assert.deepInclude(yield* enqueue("again"), { id: other.id, outcome: "Existing" })
    }).pipe(Effect.provide(TransactionalMemory.layer())))
})
