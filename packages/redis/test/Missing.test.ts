/** Who removed a record: the store tells of the last 10,000 that are gone. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobStore } from "capstan"
import { Effect, Schema } from "effect"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { on } from "./counted.ts"

class Task extends Job.make("Task", { payload: Schema.Number, retention: { completed: { count: 1 } } }) {}

const keep = { age: Infinity, count: Infinity }

const removerOf = (...ids: ReadonlyArray<JobStore.Claimed["id"]>) =>
  Effect.gen(function*() {
    const answers = yield* (yield* JobStore.JobStore).results(ids)
    return answers.map((answer) => answer._tag === "NotFound" ? answer.by ?? "nobody known" : answer._tag)
  })

describe("a record that is gone", () => {
  it.live("was removed by an operator, by its age, by how many there are of its job, or was never here", () =>
    on("removers", () =>
      Effect.gen(function*() {
        const waiting = yield* Suite.enqueue()
        const old = yield* Suite.enqueue({
          queue: "a",
          retention: { completed: { age: 10, count: 9 }, cancelled: keep, dead: keep }
        })
        yield* Suite.settle("w", yield* Suite.claimOne("w", "a"), Suite.complete)
        const many = yield* Suite.enqueueMany(3, {
          queue: "b",
          retention: { completed: keep, cancelled: keep, dead: { age: Infinity, count: 1 } }
        })
        for (const attempt of yield* Suite.claim("w", 3, "b")) yield* Suite.settle("w", attempt, Suite.dead)
        const cancelled = yield* Suite.enqueue()
        yield* Suite.control({ _tag: "Cancel", reason: "r" }, cancelled.id)
        yield* Suite.control({ _tag: "Delete" }, waiting.id, cancelled.id)
        yield* Suite.advance(1000)
        yield* Suite.maintain
        assert.deepStrictEqual(yield* removerOf(waiting.id, cancelled.id, old.id, ...many, Suite.newId()), [
          "Operator",
          "Operator",
          "Retention",
          "Retention",
          "Retention",
          "Dead",
          "nobody known"
        ])
      })))

  it.live("fails who awaits it with what removed it", () =>
    on("awaited", () =>
      Effect.gen(function*() {
        const [deleted, swept] = [yield* Task.enqueue(1, { delay: 1e6 }), yield* Task.enqueue(2)]
        yield* Suite.control({ _tag: "Delete" }, deleted.id)
        yield* Task.enqueue(3)
        for (const attempt of yield* Suite.claim("w", 2)) yield* Suite.settle("w", attempt, Suite.complete)
        yield* Suite.maintain
        const reasons = yield* Effect.forEach([deleted, swept], (handle) => Effect.flip(handle.await))
        assert.deepStrictEqual(reasons.map((error) => error._tag === "JobGone" && error.reason), ["Deleted", "Swept"])
      })))

  it.live("is known of while it is among the last 10,000", () =>
    on("forgotten", () =>
      Effect.gen(function*() {
        const first = yield* Suite.enqueueMany(2)
        yield* Suite.control({ _tag: "Delete" }, first[0]!)
        yield* Suite.control({ _tag: "Delete" }, first[1]!)
        const others = yield* Suite.enqueueMany(9999)
        yield* Suite.control({ _tag: "Delete" }, ...others)
        assert.deepStrictEqual(yield* removerOf(...first, others[0]!), ["nobody known", "Operator", "Operator"])
      })), 60_000)
})
