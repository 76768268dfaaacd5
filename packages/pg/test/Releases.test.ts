/**
 * A release that is kept and the code of today, side by side on one store (P11): real processes of both work and enqueue,
 * whoever made the schema.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import type { JobRecord, JobStore } from "capstan"
import { Effect, Exit, Fiber, Scope } from "effect"
import { afterAll } from "vitest"
import { latest } from "../src/internal/schema/migrations.ts"
import { dump } from "./dump.ts"
import * as Harness from "./harness.ts"
import * as Releases from "./releases.ts"

const kinds = ["Note", "Keyed", "Unique", "Flaky", "Parent"] as const

interface Two {
  /** It made the schema. */
  readonly first: Releases.Process
  readonly second: Releases.Process
  readonly side: Harness.Side
}

type Process = Releases.Process

/** Enqueues some records of each kind, all at once, and answers their ids. */
const enqueueSome = (by: Process, from: number, count: number): Effect.Effect<ReadonlyArray<JobRecord.JobId>, string> =>
  Effect.map(
    Effect.forEach(kinds, (job) =>
      by.tell<ReadonlyArray<JobStore.Enqueued>>("enqueue", {
        job,
        ns: Array.from({ length: count }, (_, i) => from + i)
      }), { concurrency: "unbounded" }),
    (answers) =>
      answers.flat().map(({ id, outcome }) => {
        assert.strictEqual(outcome, "Inserted")
        return id
      })
  )

const enqueueOne = (by: Process, job: string) =>
  Effect.map(by.tell<ReadonlyArray<JobStore.Enqueued>>("enqueue", { job, ns: [0] }), ([answer]) => answer!.id)

const withWorkers = <A, E>(processes: ReadonlyArray<Process>, use: Effect.Effect<A, E>) =>
  Effect.acquireUseRelease(
    Effect.forEach(processes, ({ tell }) => tell("work", { lease: "30 seconds" })),
    () => use,
    () => Effect.forEach(processes, ({ tell }) => tell("rest"))
  )

/** Waits until nothing lives any more. */
const atRest = ({ schema, sql }: Harness.Side) =>
  Harness.until(
    "an end of all records",
    Effect.map(sql.unsafe(`SELECT 1 FROM ${schema}.record LIMIT 1`), (rows) => rows.length === 0),
    20
  )

/** Each is completed by its last attempt, and no attempt of it ended twice. Answers how often each process ran one. */
const assertDoneOnce = (
  { first, second, side }: Two,
  ids: ReadonlyArray<JobRecord.JobId>
) =>
  Effect.gen(function*() {
    const { rows } = yield* Effect.map(
      side.sql.unsafe<{ id: JobRecord.JobId; tag: string; state: number; attempt: number; result: string }>(
        `SELECT id::text, tag, state, attempt, result FROM ${side.schema}.history`
      ),
      (rows) => ({ rows: new Map(rows.map((row) => [row.id, row])) })
    )
    const told = [...first.told, ...second.told]
    const count = (event: string, by: Process, id: string) =>
      by.told.filter((one) => one.event === event && one.id === id).length
    const wrong = ids.filter((id) => {
      const row = rows.get(id)
      const done = told.filter((one) => one.event === "done" && one.id === id)
      const began = told.filter((one) => one.event === "began" && one.id === id)
      const expected = row?.tag === "Flaky" ? 2 : 1
      return row?.state !== 4 || row.attempt !== expected || began.length !== expected || done.length !== 1 ||
        row.result !== `${done[0]!.fence}`
    })
    assert.deepStrictEqual(wrong, [])
    // Each of the parents has left one record behind.
    const parents = ids.filter((id) => rows.get(id)?.tag === "Parent").length
    assert.strictEqual(rows.size, ids.length + parents)
    const by = (process: Process) => ids.filter((id) => count("done", process, id) > 0).length
    return { first: by(first), second: by(second) }
  })

const cleared = ({ first, second, side }: Two) =>
  Effect.gen(function*() {
    yield* Harness.empty(side)
    for (const { told } of [first, second]) (told as Array<Releases.Told>).length = 0
  })

// ----------------------------------------------------------------------------------------------- verb by verb

interface Sides {
  readonly one: Pick<Harness.Side, "store">
  readonly other: Pick<Harness.Side, "store">
}

const is = (side: Sides["one"], id: JobRecord.JobId, expected: string) =>
  Effect.map(Harness.stateOf(side, id), (state) => assert.strictEqual(state, expected))

const done = (side: Sides["one"], at: JobStore.AttemptRef, outcome?: JobStore.Outcome) =>
  Effect.map(Harness.settle(side, at, outcome), (answer) => assert.strictEqual(answer, "Done"))

const renew = (side: Sides["one"], given: Partial<JobStore.RenewRequest> = {}) =>
  side.store.renew({
    worker: "worker",
    lease: Harness.lease,
    queues: ["default"],
    handles: [],
    holding: [],
    reconcileOlderThan: Infinity,
    ...given
  })

/** What one release begins and the other one goes on with. */
const facts: Readonly<Record<string, (sides: Sides) => Effect.Effect<void, unknown>>> = {
  "an attempt that one claims, the other may settle, and the first is told so when it settles again": (
    { one, other }
  ) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one)
      const at = yield* Harness.claimOne(one)
      yield* done(other, at)
      yield* done(one, at)
      yield* is(one, id, "completed")
    }),

  "a fence that one has moved on, the other's attempt does not pass": ({ one, other }) =>
    Effect.gen(function*() {
      yield* Harness.enqueue(one)
      const stale = yield* Harness.claimOne(one)
      assert.strictEqual((yield* renew(other, { reconcileOlderThan: 0 })).reconciled, 1)
      const at = yield* Harness.claimOne(other)
      assert.strictEqual(yield* Harness.settle(one, stale), "LeaseLost")
      yield* done(other, at)
    }),

  "a failure that one has recorded travels to the other's next attempt": ({ one, other }) =>
    Effect.gen(function*() {
      yield* Harness.enqueue(one)
      yield* done(one, yield* Harness.claimOne(one), { _tag: "RetryAfter", delay: 0, failure: Harness.failure })
      const at = yield* Harness.claimOne(other)
      assert.deepStrictEqual([at.attempt, at.failures.map(({ tag }) => tag)], [2, ["Oops"]])
      yield* done(other, at)
    }),

  "a record that one has left waiting for a signal goes on at the other's": ({ one, other }) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one)
      yield* done(one, yield* Harness.claimOne(one), { _tag: "WaitFor", waitpoint: "w" })
      yield* is(other, id, "blocked Waitpoint")
      assert.strictEqual(yield* other.store.signal({ id, waitpoint: "w", value: "1" }), "Delivered")
      const at = yield* Harness.claimOne(other)
      assert.deepStrictEqual(at.checkpoints, { w: "1" })
      yield* done(other, at)
    }),

  "children that one leaves behind, the other runs, and their parent goes on with their results": ({ one, other }) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one)
      const parent = yield* Harness.claimOne(one)
      const child = Harness.newId()
      const { settled } = yield* Harness.exchange(one, {
        settlements: [{
          id: parent.id,
          fence: parent.fence,
          outcome: { _tag: "WaitForChildren" },
          children: [Harness.record({ id: child, parent: id })],
          finishedAfter: 0
        }]
      })
      assert.deepStrictEqual(settled, ["Done"])
      yield* done(other, yield* Harness.claimOne(other))
      const at = yield* Harness.claimOne(one)
      assert.deepStrictEqual([at.id, at.dependencies], [id, { [child]: "1" }])
      yield* done(one, at)
    }),

  "a dependency that one has stored is met by what the other completes": ({ one, other }) =>
    Effect.gen(function*() {
      const parent = yield* Harness.enqueue(other)
      const { id } = yield* Harness.enqueue(one, Harness.after(parent.id))
      yield* done(other, yield* Harness.claimOne(other))
      yield* is(one, id, "ready")
    }),

  "a slot of a key that one holds, the other's record waits for and gets": ({ one, other }) =>
    Effect.gen(function*() {
      yield* Harness.enqueue(one, Harness.keyed("k"))
      const at = yield* Harness.claimOne(one)
      const { id } = yield* Harness.enqueue(other, Harness.keyed("k"))
      yield* is(one, id, "blocked ConcurrencyKey")
      yield* done(one, at)
      yield* is(other, id, "ready")
    }),

  "a unique and an idempotency key that one has given, the other finds, in history too": ({ one, other }) =>
    Effect.gen(function*() {
      const given = { ...Harness.unique("u"), idempotencyKey: "i" }
      const { id } = yield* Harness.enqueue(one, given)
      assert.deepStrictEqual(yield* Harness.enqueue(other, Harness.unique("u")), { id, outcome: "Existing" })
      assert.deepStrictEqual(yield* Harness.enqueue(other, { idempotencyKey: "i" }), { id, outcome: "Existing" })
      yield* done(other, yield* Harness.claimOne(other))
      assert.deepStrictEqual(yield* Harness.enqueue(one, { idempotencyKey: "i" }), { id, outcome: "Existing" })
      assert.strictEqual((yield* Harness.enqueue(one, Harness.unique("u"))).outcome, "Inserted")
    }),

  "a successor that one has put behind the other's record runs after it": ({ one, other }) =>
    Effect.gen(function*() {
      yield* Harness.enqueue(other, Harness.unique("u"))
      const at = yield* Harness.claimOne(other)
      const { id } = yield* Harness.enqueue(one, Harness.unique("u", "runAfter"))
      yield* is(other, id, "blocked Unique")
      yield* done(other, at)
      yield* is(one, id, "ready")
    }),

  "what one has kept the other reads, and runs again": ({ one, other }) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one, { payload: "7", tags: ["label"], headers: { a: "b" } })
      yield* done(one, yield* Harness.claimOne(one), { _tag: "Dead", reason: "Failed", failure: Harness.failure })
      const found = yield* other.store.get(id)
      assert.deepStrictEqual(
        [found?.state, found?.deadReason, found?.payload, found?.tags, found?.headers, found?.attempts[0]?.decision],
        ["dead", "Failed", "7", ["label"], { a: "b" }, "dead"]
      )
      const { records } = yield* other.store.query({ where: { states: ["dead"] }, order: "newest", limit: 10 })
      assert.deepStrictEqual(records.map(({ id }) => id), [id])
      assert.deepStrictEqual(yield* Harness.control(other, { _tag: "Retry" }, id), ["Changed"])
      const at = yield* Harness.claimOne(one)
      assert.strictEqual(at.attempt, 1)
      yield* done(one, at)
      assert.deepStrictEqual((yield* other.store.results([id]))[0], {
        _tag: "Completed",
        id,
        result: "1",
        progress: undefined
      })
    }),

  "a scheduled record of one falls due at the other's, and may be put off and promoted there": ({ one, other }) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one, { delay: 60_000 })
      assert.deepStrictEqual(yield* Harness.control(other, { _tag: "Reschedule", delay: 120_000 }, id), ["Changed"])
      yield* is(one, id, "scheduled")
      assert.deepStrictEqual(yield* Harness.control(other, { _tag: "Promote" }, id), ["Changed"])
      yield* done(other, yield* Harness.claimOne(other))
    }),

  "what one runs, the other's operator cancels": ({ one, other }) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one)
      const at = yield* Harness.claimOne(one)
      assert.deepStrictEqual(yield* Harness.control(other, Harness.cancel, id), ["Requested"])
      const { cancel } = yield* Harness.exchange(one)
      assert.deepStrictEqual(cancel, [{ id, fence: at.fence, reason: "test" }])
      yield* done(one, at, { _tag: "Cancel", reason: "test" })
      yield* is(other, id, "cancelled")
    }),

  "what one has parked is released when the other registers for it": ({ one, other }) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one, { tag: "Newer", version: 2 })
      yield* done(one, yield* Harness.claimOne(one), { _tag: "Park", reason: "NewerPayload" })
      yield* is(other, id, "blocked NewerPayload")
      yield* renew(other, { worker: "newer", handles: [{ tag: "Newer", version: 2 }] })
      yield* is(one, id, "ready")
    }),

  "what one has claimed and does not know of, the other gives back for it": ({ one, other }) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one)
      const at = yield* Harness.claimOne(one)
      assert.deepStrictEqual((yield* renew(other, { holding: [at] })).lost, [])
      assert.strictEqual((yield* renew(other, { reconcileOlderThan: 0 })).reconciled, 1)
      assert.deepStrictEqual((yield* renew(one, { holding: [at] })).lost, [{ id, fence: at.fence }])
      yield* is(one, id, "ready")
    }),

  "progress, logs and steps that one has written, the other reads": ({ one, other }) =>
    Effect.gen(function*() {
      const { id } = yield* Harness.enqueue(one)
      const at = yield* Harness.claimOne(one)
      assert.deepStrictEqual(
        yield* one.store.write([
          { _tag: "Progress", at, value: "1" },
          { _tag: "Log", at, lines: ["line"] },
          { _tag: "Step", at, name: "s", value: "2" }
        ]),
        ["Done", "Done", "Done"]
      )
      const found = yield* other.store.get(id)
      assert.deepStrictEqual([found?.progress, found?.logs?.length], ["1", 1])
      yield* done(one, at, { _tag: "RetryAfter", delay: 0, failure: Harness.failure })
      const next = yield* Harness.claimOne(other)
      assert.deepStrictEqual(next.checkpoints, { s: "2" })
      yield* done(other, next)
    }),

  "a tick of a schedule is taken once, whichever of the two knew of it first": ({ one, other }) =>
    Effect.gen(function*() {
      yield* one.store.putSchedule({ name: "s", revision: 0, row: { nextAt: 1000, body: "{}" } })
      const tick = (by: Sides["one"]) =>
        Effect.map(
          by.store.tick({
            name: "s",
            revision: 1,
            at: 1000,
            overlap: "allow",
            ticks: [{ at: 1000, dueAt: 1000, record: Harness.record() }],
            next: { nextAt: 2000 }
          }),
          (reply) => reply?.outcomes.length
        )
      assert.deepStrictEqual([yield* tick(other), yield* tick(one)], [1, undefined])
      const { rows: [row] } = yield* one.store.schedules({ names: ["s"], limit: 1 })
      assert.deepStrictEqual([row?.nextAt, (yield* Harness.claim(one, 10)).length], [2000, 1])
    })
}

// --------------------------------------------------------------------------------------------------- the releases

const fact = (name: string, test: Effect.Effect<void, unknown>) => it.live(name, () => test, 30_000)

for (const version of Releases.kept) {
  const scope = Scope.makeUnsafe()
  const schemas: Array<string> = []
  afterAll(() => Effect.runPromise(Scope.close(scope, Exit.void)).then(() => Harness.drop(...schemas)))
  const installed = Effect.runSync(Effect.cached(Scope.provide(Releases.install(version), scope)))

  const newSchema = (theme: string): string => {
    const name = Harness.schemaName(`releases_${theme}_${version.replaceAll(/\W/g, "_")}`)
    schemas.push(name)
    return name
  }

  for (const order of ["the release", "this one"] as const) {
    describe(`release ${version} and this one, on a schema that ${order} made`, () => {
      const schema = newSchema(order === "this one" ? "new" : "old")
      const releases = Effect.map(
        installed,
        (release) => order === "this one" ? [Releases.present, release] as const : [release, Releases.present] as const
      )
      const both = Effect.runSync(Effect.cached(Scope.provide(
        Effect.gen(function*() {
          const [release, other] = yield* releases
          const first = yield* Releases.start(release, schema)
          yield* first.tell("open")
          // The first one works while the other one starts, and migrates what there is to migrate.
          yield* first.tell("work", { lease: "30 seconds" })
          const early = yield* Effect.forkChild(enqueueSome(first, 0, 60))
          const second = yield* Releases.start(other, schema)
          yield* second.tell("open")
          const ids = yield* Fiber.join(early)
          const side = yield* Harness.open(schema)
          yield* atRest(side)
          yield* first.tell("rest")
          return { first, second, side, ids }
        }),
        scope
      )))

      fact(
        "the first one's work goes on while the other one starts",
        Effect.gen(function*() {
          const two = yield* both
          assert.deepStrictEqual(yield* assertDoneOnce(two, two.ids), { first: two.ids.length, second: 0 })
          yield* Harness.assertSound(two.side)
        })
      )

      for (const [producer, worker] of [["first", "second"], ["second", "first"]] as const) {
        fact(
          `what the ${producer} enqueues the ${worker} runs`,
          Effect.gen(function*() {
            const two = yield* both
            yield* cleared(two)
            const ids = yield* enqueueSome(two[producer], 0, 40)
            yield* withWorkers([two[worker]], atRest(two.side))
            const by = yield* assertDoneOnce(two, ids)
            assert.strictEqual(by[worker], ids.length)
            yield* Harness.assertSound(two.side)
          })
        )

        fact(
          `a retry crosses from the ${producer} to the ${worker}`,
          Effect.gen(function*() {
            const two = yield* both
            yield* cleared(two)
            const id = yield* enqueueOne(two[producer], "Later")
            const isScheduled = Effect.map(
              Releases.storeOf(two[worker]).get(id),
              (found) => found?.state === "scheduled"
            )
            yield* withWorkers([two[producer]], Harness.until("the first attempt's failure", isScheduled))
            yield* Harness.control({ store: Releases.storeOf(two[worker]) }, { _tag: "Promote" }, id)
            yield* withWorkers([two[worker]], atRest(two.side))
            const record = yield* Releases.storeOf(two[producer]).get(id)
            assert.deepStrictEqual(record?.attempts.map(({ decision }) => decision), ["retried", "completed"])
            assert.deepStrictEqual(record?.failures.map(({ tag }) => tag), ["Busy"])
            assert.notStrictEqual(record?.attempts[0]?.worker, record?.attempts[1]?.worker)
            yield* Harness.assertSound(two.side)
          })
        )

        fact(
          `what a killed process of the ${producer}'s release held, the ${worker} runs`,
          Effect.gen(function*() {
            const two = yield* both
            yield* cleared(two)
            yield* Effect.scoped(Effect.gen(function*() {
              const victim = yield* Releases.start(two[producer].release, schema)
              yield* victim.tell("open")
              const id = yield* enqueueOne(victim, "Long")
              yield* victim.tell("work", { lease: "2 seconds" })
              yield* Harness.until("its attempt", Effect.sync(() => victim.told.length > 0))
              yield* victim.kill
              yield* withWorkers([two[worker]], atRest(two.side))
              const record = yield* two.side.store.get(id)
              assert.deepStrictEqual(record?.attempts.map(({ decision }) => decision), ["crashed", "completed"])
            }))
            yield* Harness.assertSound(two.side)
          })
        )
      }

      fact(
        "both work and both enqueue: nothing is lost, and nothing runs twice",
        Effect.gen(function*() {
          const two = yield* both
          yield* cleared(two)
          const ids = yield* withWorkers(
            [two.first, two.second],
            Effect.tap(
              Effect.all([enqueueSome(two.first, 0, 100), enqueueSome(two.second, 1000, 100)], { concurrency: 2 }),
              () => atRest(two.side)
            )
          )
          const by = yield* assertDoneOnce(two, ids.flat())
          assert.strictEqual(by.first + by.second, ids.flat().length)
          yield* Harness.assertSound(two.side)
        })
      )

      for (const [name, test] of Object.entries(facts)) {
        for (const [one, other] of [["first", "second"], ["second", "first"]] as const) {
          fact(
            `${name}: one is the ${one}`,
            Effect.gen(function*() {
              const two = yield* both
              yield* cleared(two)
              yield* test({
                one: { store: Releases.storeOf(two[one]) },
                other: { store: Releases.storeOf(two[other]) }
              })
              yield* Harness.assertSound(two.side)
            })
          )
        }
      }
    })
  }

  describe(`release ${version}`, () => {
    fact(
      "says so when the schema is one that it is too old for",
      Effect.scoped(Effect.gen(function*() {
        const schema = newSchema("newer")
        const side = yield* Harness.open(schema)
        yield* side.sql.unsafe(`INSERT INTO ${schema}.migration VALUES (${latest + 1}, 'later', ${latest + 1})`)
        const process = yield* Releases.start(yield* installed, schema)
        const failure = yield* Effect.flip(process.tell("open"))
        assert.include(failure, "Incompatible")
        assert.include(failure, "deploy a newer release")
      }))
    )

    fact(
      "made the schema that is kept beside it, and a change since then is a migration",
      Effect.scoped(
        Effect.gen(function*() {
          const schema = newSchema("dump")
          const process = yield* Releases.start(yield* installed, schema)
          yield* process.tell("open")
          const dumped = yield* Effect.provide(
            Effect.flatMap(PgClient.PgClient, (sql) => dump(sql, schema)),
            Harness.client()
          )
          assert.strictEqual(dumped, Releases.schemaOf(version))
          const { schemaVersion } = yield* Releases.storeOf(process).describe
          const side = yield* Harness.open(newSchema("present"))
          const present = yield* dump(side.sql, side.schema)
          if (schemaVersion === latest) {
            return assert.strictEqual(
              present,
              dumped,
              `schema version ${latest} is not what release ${version} made of it: a release that is out needs a migration, ` +
                "one that is not is packed again by `npm run release-fixture`"
            )
          }
          const brought = yield* Harness.open(schema)
          assert.strictEqual(
            yield* dump(brought.sql, schema),
            present,
            `what this release makes of a schema of release ${version} is what it makes where there is none`
          )
        })
      )
    )
  })
}
