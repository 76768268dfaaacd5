/** What a flow of many records costs: commands of a script, counted on the server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { clock } from "../src/internal/lua/context.ts"
import * as Harness from "./harness.ts"

const counting = `local count = call\ncall = function(...) count('INCR', P .. ':calls') return count(...) end\n${clock}`

const flowOf = (leaves: number) => {
  const flowId = Suite.newId()
  const records = Array.from({ length: leaves }, () => Suite.record({ flowId, tags: ["Flow/leaf"], queue: "leaves" }))
  const dependencies = records.map(({ id }) => ({ name: "leaf", id }))
  return [...records, Suite.record({ id: flowId, flowId, tags: ["Flow/sink"], queue: "sink", dependencies })]
}

describe("a flow of ten thousand", () => {
  it.live("is stored in one call, of a few commands a record", () =>
    Effect.gen(function*() {
      const prefix = Harness.prefixOf("big")
      yield* Harness.empty(prefix)
      const store = yield* Harness.open(prefix, counting)
      const commands = (leaves: number) =>
        Effect.gen(function*() {
          const records = flowOf(leaves)
          yield* Harness.send("SET", `{${prefix}}:calls`, "0")
          const answers = yield* store.enqueue({ records, whole: records.at(-1)!.id })
          assert.deepStrictEqual(new Set(answers.map(({ outcome }) => outcome)), new Set(["Inserted"]))
          return Number(yield* Harness.send("GET", `{${prefix}}:calls`)) / leaves
        })
      // A push to the log, and one to who is waited for.
      assert.isBelow(yield* commands(100), 3)
      assert.isBelow(yield* commands(10_000), 2.1)
      const { queues } = yield* store.stats
      assert.deepStrictEqual(
        queues.map(({ counts, queue }) => [queue, counts.ready, counts.blocked]).toSorted(),
        [["leaves", 10_100, 0], ["sink", 0, 2]]
      )
      yield* Harness.empty(prefix)
    }).pipe(Effect.scoped, Effect.provide(Harness.client())))
})
