import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup } from "capstan"
import { Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { recordOf, storeWith, withOnly } from "./harness.ts"

class Task extends Job.make("Task", { timeout: "infinite", maxAttempts: 1 }) {}
const group = JobGroup.make(Task)

describe("a worker that closes", () => {
  it.effect("starts nothing that a late reply brings, and gives it back before it leaves (P9)", () => {
    const starts: Array<string> = []
    const leaves: Array<number> = []
    const late = storeWith((store) => ({
      notifications: "hint",
      exchange: (request) => Effect.tap(store.exchange(request), Effect.sleep(100)),
      renew: (request) =>
        Effect.tap(store.renew(request), ({ reconciled }) => {
          if (request.lease === 0) leaves.push(reconciled)
          return Effect.sleep(100)
        })
    }))
    const worker = withOnly(
      group,
      Task.toLayer(() => Effect.andThen(Effect.sync(() => starts.push("start")), Effect.never)),
      { shutdownGrace: "1 second" }
    )
    return Effect.gen(function*() {
      const scope = yield* Scope.make()
      yield* Layer.buildWithScope(worker, scope)
      yield* TestClock.adjust("1 second")
      const { id } = yield* Task.enqueue()
      yield* TestClock.adjust(20)
      assert.strictEqual((yield* recordOf(id)).state, "running")
      const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(closing)
      const record = yield* recordOf(id)
      assert.deepStrictEqual([record.state, record.attempt], ["ready", 0])
      assert.deepStrictEqual([starts, leaves], [[], [0]])
    }).pipe(Effect.provide(late))
  })
})
