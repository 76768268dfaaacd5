/**
 * A store that has had all the kinds that a record can name, or all the chunks of its log: what would need another one is refused
 * before anything of the call is written, and what it knows goes on.
 */
import { assert, describe, it } from "@effect/vitest"
import { type JobError, JobStore } from "capstan"
import { Effect } from "effect"
import { Redis } from "effect/persistence"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import * as Harness from "./harness.ts"

/** A store with a clock that stands still, and a way to set its own figures. */
const on = <A, E>(
  theme: string,
  run: (
    own: (field: "kn" | "oc", value: number) => Effect.Effect<void>
  ) => Effect.Effect<A, E, JobStore.JobStore | Redis.Redis>
) => {
  const prefix = Harness.prefixOf(theme)
  return Effect.gen(function*() {
    const redis = yield* Redis.Redis
    yield* Harness.freeze(prefix)
    const own = (field: string, value: number) =>
      Effect.asVoid(Effect.orDie(redis.send("HSET", `{${prefix}}`, field, String(value))))
    return yield* Effect.provideService(run(own), JobStore.JobStore, yield* Harness.open(prefix, Harness.frozenClock))
  }).pipe(
    Effect.scoped,
    Effect.ensuring(Effect.orDie(Harness.empty(prefix))),
    Effect.provide(Harness.client())
  )
}

/** All that the store has, by key. */
const contents = (theme: string) =>
  Effect.gen(function*() {
    const redis = yield* Redis.Redis
    const [, keys] = yield* redis.send<[string, ReadonlyArray<string>]>(
      "SCAN",
      "0",
      "MATCH",
      `{${Harness.prefixOf(theme)}}*`,
      "COUNT",
      "100000"
    )
    return yield* Effect.forEach(keys.toSorted(), (key) => Effect.map(redis.send("DUMP", key), (text) => [key, text]))
  })

const refusal = <A, R>(call: Effect.Effect<A, JobError.JobStoreError, R>) =>
  Effect.map(Effect.flip(call), ({ reason }) => {
    assert.strictEqual(reason._tag, "Incompatible")
    return reason.message
  })

const known = Suite.record
const fresh = (more: Partial<JobStore.NewRecord> = {}) => Suite.record({ tag: "Fresh", ...more })
const key = { concurrency: { key: "k", limit: 9 } }
const unique = { unique: { key: "u", until: "finished", onConflict: "replace" } } as const

describe("a store that has had 65,535 kinds", () => {
  it.live("takes the last one, refuses the next, and says what to do", () =>
    on("last", (own) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        yield* own("kn", 65_533)
        const last = [known(), fresh({ tag: "Last" })]
        yield* store.enqueue({ records: last })
        const message = yield* refusal(store.enqueue({ records: [fresh()] }))
        assert.include(message, "65,535 kinds")
        assert.include(message, "another prefix")
        assert.deepStrictEqual((yield* Suite.claim("w", 9)).map(({ id, tag }) => [id, tag]), [
          [last[0]!.id, "Task"],
          [last[1]!.id, "Last"]
        ])
      })))

  it.live("writes nothing of a call that needs another one, and does the rest as before", () =>
    on("refused", (own) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const holder = yield* Suite.enqueue(unique)
        const attempt = yield* Suite.claimOne("w")
        // Of the other version one is known, and the next is not.
        const ended = [(yield* Suite.enqueue()).id, (yield* Suite.enqueue({ tag: "Other" })).id]
        yield* Suite.enqueue({ version: 2, queue: "default", delay: 1e6 })
        yield* Suite.control({ _tag: "Cancel", reason: "r" }, ...ended)
        const waiting = yield* Suite.enqueue({ unique: { ...unique.unique, key: "w" } })
        const other = yield* Suite.claimOne("w")
        yield* Suite.settle("w", other, { _tag: "Release" })
        yield* store.putSchedule({ name: "s", revision: 0, row: { nextAt: 5000, body: "{}" } })
        yield* own("kn", 65_535)
        const many = Array.from({ length: 150 }, () => known())
        const at = { id: attempt.id, fence: attempt.fence }
        const calls: Readonly<Record<string, Effect.Effect<unknown, JobError.JobStoreError>>> = {
          "a batch": store.enqueue({ records: [...many, fresh()] }),
          "a batch with keys": store.enqueue({ records: [known(key), fresh(key)] }),
          "a batch of an attempt": store.enqueue({ by: at, records: [known(), fresh(unique)] }),
          "a replacement": store.enqueue({ records: [known({ unique: { ...unique.unique, key: "w" }, priority: 7 })] }),
          "a tick": store.tick({
            name: "s",
            revision: 1,
            at: 5000,
            overlap: "allow",
            ticks: [known(), fresh()].map((record) => ({ at: 5000, dueAt: 5000, record })),
            next: { nextAt: 6000 }
          }),
          "children": store.exchange({
            worker: "w",
            lease: Suite.lease,
            demand: [],
            total: 0,
            settlements: [{ ...at, outcome: Suite.complete, finishedAfter: 0, children: [known(), fresh()] }]
          }),
          "another version": store.control({
            action: { _tag: "Retry", payload: { json: "1", sensitive: known().sensitive, version: 2 } },
            where: { ids: ended },
            limit: ended.length
          })
        }
        const before = yield* contents("refused")
        for (const [what, call] of Object.entries(calls)) {
          assert.include(yield* refusal(call), "65,535 kinds", what)
          assert.deepStrictEqual(yield* contents("refused"), before, what)
        }
        // Calls that have gathered are refused alone.
        const answers = yield* Effect.forEach([known(), fresh(), known()], (record) =>
          Effect.match(store.enqueue({ records: [record] }), {
            onFailure: ({ reason }) =>
              reason._tag,
            onSuccess: ([answer]) => answer?.outcome
          }), { concurrency: "unbounded" })
        assert.deepStrictEqual(answers, ["Inserted", "Incompatible", "Inserted"])
        assert.deepStrictEqual(
          yield* Suite.enqueue({ ...unique, payload: "2" }).pipe(Effect.map(({ outcome }) =>
            outcome
          )),
          "Inserted"
        )
        assert.strictEqual(yield* Suite.settle("w", attempt, Suite.complete, { children: [known()] }), "Done")
        assert.strictEqual(yield* Suite.stateOf(holder.id), "completed")
        assert.deepStrictEqual(yield* Suite.control({ _tag: "Retry" }, ...ended), ["Changed", "Changed"])
        assert.strictEqual(yield* Suite.stateOf(waiting.id), "ready")
        assert.strictEqual((yield* Suite.claim("w", 20)).length, 7)
      })))
})

it.live("a store whose log has all the chunks that a record can name refuses records, and runs those that it has", () =>
  on("chunks", (own) =>
    Effect.gen(function*() {
      const store = yield* JobStore.JobStore
      yield* own("oc", 16_776_960)
      const ids = yield* Suite.enqueueMany(3)
      yield* own("oc", 16_776_961)
      for (const records of [[known()], [known(), known()], [known(key)], [known(key), known(key)]]) {
        assert.include(yield* refusal(store.enqueue({ records })), "another prefix")
      }
      assert.deepStrictEqual((yield* Suite.claim("w", 9)).map(({ id }) => id), ids)
    })))
