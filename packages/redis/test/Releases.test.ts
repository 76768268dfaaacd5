/**
 * A release that is kept and the code of today, side by side on the same keys (P11): real processes of both enqueue, claim,
 * settle, retry and rescue each other's records. Scripts are known by the digest of their text, so each has its own.
 */
import { assert, describe, it } from "@effect/vitest"
import type { JobRecord, JobStore } from "capstan"
import { Effect, Exit, Scope } from "effect"
import { afterAll } from "vitest"
import * as Releases from "../../../scripts/servers/releases.ts"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { repair } from "../src/RedisJobStore.ts"
import * as Harness from "./harness.ts"

const kinds = ["Note", "Keyed", "Unique", "Flaky", "Parent"] as const
const present = Releases.presentOf(new URL("programs/release.ts", import.meta.url))

type Process = Releases.Process

const enqueueSome = (by: Process, from: number, count: number) =>
  Effect.map(
    Effect.forEach(kinds, (job) =>
      by.tell<ReadonlyArray<JobStore.Enqueued>>("enqueue", {
        job,
        ns: Array.from({ length: count }, (_, i) => from + i)
      }), { concurrency: "unbounded" }),
    (answers) => {
      assert.deepStrictEqual([...new Set(answers.flat().map(({ outcome }) => outcome))], ["Inserted"])
      return answers.flat().map(({ id }) => id)
    }
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
const atRest = (by: Process) =>
  Harness.until(
    "an end of all records",
    Effect.map(Releases.storeOf(by).stats, ({ queues }) =>
      queues.every(({ counts }) =>
        counts.ready + counts.running + counts.scheduled + counts.blocked === 0
      )),
    20
  )

const get = (by: Process, id: JobRecord.JobId) => Effect.map(Releases.storeOf(by).get(id), (record) => record!)

/** Each is completed by its last attempt, of which both releases say the same, and no attempt of it ended twice. */
const assertDoneOnce = (both: ReadonlyArray<Process>, ids: ReadonlyArray<JobRecord.JobId>) =>
  Effect.gen(function*() {
    const told = both.flatMap(({ told }) => told)
    for (const id of ids) {
      const [record, other] = yield* Effect.forEach(both, (by) => get(by, id))
      assert.deepStrictEqual(record, other)
      const ended = told.filter((one) => one.event === "done" && one.id === id)
      assert.deepStrictEqual(
        [record!.state, record!.attempt, ended.length, record!.result],
        ["completed", record!.tag === "Flaky" ? 2 : 1, 1, `${ended[0]?.fence}`],
        `${record!.tag} ${id}`
      )
    }
  })

for (const version of Releases.kept) {
  const scope = Scope.makeUnsafe()
  const prefix = Harness.prefixOf(`releases_${version.replaceAll(/\W/g, "_")}`)
  afterAll(() =>
    Effect.runPromise(
      Scope.close(scope, Exit.void).pipe(
        Effect.andThen(Effect.provide(Harness.empty(prefix), Harness.client()))
      )
    )
  )
  const both = Effect.runSync(Effect.cached(Scope.provide(
    Effect.gen(function*() {
      const release = yield* Releases.install(version, "redis-program.ts")
      const start = (one: Releases.Release) =>
        Effect.tap(Releases.start(one, Harness.url(), prefix), ({ tell }) => tell("open"))
      return [yield* start(release), yield* start(present)] as const
    }),
    scope
  )))
  /** `by`: one and the other, both ways round. Indexes that one made say what the records say to the other. */
  const fact = (name: string, run: (by: readonly [Process, Process]) => Effect.Effect<void, unknown>) => {
    for (const order of [[0, 1], [1, 0]] as const) {
      it.live(`${name}: one is ${order[0] === 0 ? "the release" : "this one"}`, () =>
        Effect.gen(function*() {
          const processes = yield* both
          yield* run([processes[order[0]], processes[order[1]]])
          const { broken } = yield* Effect.provide(repair({ prefix }), Harness.client())
          assert.strictEqual(broken, 0)
        }), 60_000)
    }
  }

  describe(`release ${version} and this one`, () => {
    fact("what one enqueues the other runs", ([one, other]) =>
      Effect.gen(function*() {
        const ids = yield* enqueueSome(one, 0, 20)
        yield* withWorkers([other], atRest(other))
        yield* assertDoneOnce([one, other], ids)
        assert.deepStrictEqual(ids.filter((id) => !other.told.some((one) => one.id === id)), [])
      }))

    fact(
      "both work and both enqueue: nothing is lost, and nothing runs twice",
      ([one, other]) =>
        Effect.gen(function*() {
          const ids = yield* withWorkers(
            [one, other],
            Effect.tap(
              Effect.all([enqueueSome(one, 0, 40), enqueueSome(other, 1000, 40)], { concurrency: 2 }),
              () => atRest(one)
            )
          )
          yield* assertDoneOnce([one, other], ids.flat())
        })
    )

    fact("a retry of one is promoted and run by the other", ([one, other]) =>
      Effect.gen(function*() {
        const id = yield* enqueueOne(one, "Later")
        const isScheduled = Effect.map(get(other, id), ({ state }) => state === "scheduled")
        yield* withWorkers([one], Harness.until("the first attempt's failure", isScheduled))
        yield* Releases.storeOf(other).control({ action: { _tag: "Promote" }, where: { ids: [id] }, limit: 1 })
        yield* withWorkers([other], atRest(other))
        const { attempts, failures } = yield* get(one, id)
        assert.deepStrictEqual(attempts.map(({ decision }) => decision), ["retried", "completed"])
        assert.deepStrictEqual(failures.map(({ tag }) => tag), ["Busy"])
      }))

    fact("what a killed process of one held, the other runs", ([one, other]) =>
      Effect.scoped(Effect.gen(function*() {
        const victim = yield* Releases.start(one.release, Harness.url(), prefix)
        yield* victim.tell("open")
        const id = yield* enqueueOne(victim, "Long")
        yield* victim.tell("work", { lease: "2 seconds" })
        yield* Harness.until("its attempt", Effect.sync(() => victim.told.length > 0))
        yield* victim.kill
        yield* withWorkers([other], atRest(other))
        assert.deepStrictEqual((yield* get(one, id)).attempts.map(({ decision }) => decision), ["crashed", "completed"])
      })))

    fact(
      "slots of keys: what one stores together, the other gives out, and either completes",
      ([one, other]) =>
        Effect.gen(function*() {
          const stores = [Releases.storeOf(one), Releases.storeOf(other)] as const
          const queue = "keys"
          const exchange = (store: JobStore.Shape, settlements: ReadonlyArray<JobStore.Settlement>, total: number) =>
            store.exchange({
              worker: "k",
              lease: 30_000,
              settlements,
              demand: [{ queue, slots: total, share: total }],
              total
            })
          const keyed = (n: number) =>
            Suite.record({ queue, payload: `{"n":${n}}`, concurrency: { key: `Keyed/${n % 3}`, limit: 2 } })
          const ways = [[0, 0], [0, 1], [1, 0], [1, 1]] as const
          for (const [claims, completes] of ways) {
            const records = Array.from({ length: 12 }, (_, n) => keyed(n))
            yield* stores[0].enqueue({ records })
            // Half of them wait for a slot; two run again when they have completed.
            for (const many of [6, 6, 2, 0]) {
              const { claimed } = yield* exchange(stores[claims], [], 9)
              assert.strictEqual(claimed.length, many, `claimed by ${claims}, completed by ${completes}`)
              const done = claimed.map(({ fence, id }): JobStore.Settlement => ({
                id,
                fence,
                outcome: { _tag: "Complete", result: undefined },
                finishedAfter: 0
              }))
              const { settled } = yield* exchange(stores[completes], done, 0)
              assert.deepStrictEqual(settled, claimed.map(() => "Done"))
              if (many !== 6) continue
              assert.strictEqual(
                (yield* stores[1].control({
                  action: { _tag: "Retry" },
                  where: { ids: [claimed[0]!.id] },
                  limit: 1
                })).outcomes.length,
                1
              )
            }
          }
          for (const slots of ["ku", "kl"]) {
            assert.strictEqual(
              yield* Effect.provide(Harness.send("EXISTS", `{${prefix}}:${slots}`), Harness.client()),
              0
            )
          }
        })
    )

    fact("a fence that one has moved on, the other's attempt does not pass", ([one, other]) =>
      Effect.gen(function*() {
        const [old, present] = [Releases.storeOf(one), Releases.storeOf(other)]
        const id = yield* enqueueOne(one, "Note")
        const exchange = (store: JobStore.Shape, settlements: ReadonlyArray<JobStore.Settlement>) =>
          store.exchange({
            worker: "w",
            lease: 30_000,
            settlements,
            demand: [{ queue: "default", slots: 1, share: 1 }],
            total: 1
          })
        const done = ({ fence, id }: JobStore.AttemptRef): JobStore.Settlement => ({
          id,
          fence,
          outcome: { _tag: "Complete", result: "1" },
          finishedAfter: 0
        })
        const { claimed: [stale] } = yield* exchange(old, [])
        const renewal = { worker: "w", lease: 30_000, queues: [], handles: [], holding: [], reconcileOlderThan: 0 }
        assert.strictEqual((yield* present.renew(renewal)).reconciled, 1)
        const { claimed: [again] } = yield* exchange(present, [])
        assert.deepStrictEqual([stale?.id, again?.id], [id, id])
        assert.deepStrictEqual((yield* exchange(old, [done(stale!)])).settled, ["LeaseLost"])
        assert.deepStrictEqual((yield* exchange(old, [done(again!)])).settled, ["Done"])
      }))
  })
}
