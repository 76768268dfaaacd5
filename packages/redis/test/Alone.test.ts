/** What an enqueue costs that comes alone: commands of its script, counted on the server. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { commands, on } from "./counted.ts"
import * as Harness from "./harness.ts"

describe("an enqueue that comes alone", () => {
  it.live("takes six commands, also of a kind that has a lane and a chunk of its own", () =>
    on("alone", (prefix) =>
      Effect.gen(function*() {
        for (const given of [{}, { tag: "Other", queue: "other", priority: 5 }]) {
          yield* Suite.enqueue(given)
          // The lane has one record more than none when the next one comes.
          assert.strictEqual((yield* commands(prefix, Suite.enqueue(given)))[1], 6)
        }
        assert.deepStrictEqual((yield* Suite.claim("w", 10)).length, 2)
        assert.deepStrictEqual((yield* Suite.claim("w", 10, "other")).map(({ priority }) => priority), [5, 5])
      })))

  it.live("publishes where somebody sleeps or reads events, and else nothing", () =>
    on(
      "published",
      (prefix) =>
        Effect.gen(function*() {
          const published = Effect.map(commands(prefix, Suite.enqueue()), ([, many]) => many)
          const all = Effect.map(
            commands(
              prefix,
              Effect.gen(function*() {
                const [attempt] = yield* Suite.claim("w")
                yield* Suite.settle("w", attempt!, Suite.complete)
                yield* Suite.enqueueMany(200)
              })
            ),
            ([, many]) => many
          )
          // One is left by the claim that follows: the worker does not sleep.
          assert.deepStrictEqual([yield* published, yield* published, yield* all], [0, 0, 0])
          // A worker that finds nothing more sleeps: it is told once.
          yield* Suite.claim("w", 500)
          assert.deepStrictEqual([yield* published, yield* published], [1, 0])
          // Until when somebody reads events.
          yield* Effect.provide(
            Harness.send("HSET", `{${prefix}}`, "lu", "9999999999999"),
            Harness.client()
          )
          assert.deepStrictEqual([yield* published, yield* published], [1, 1])
        }),
      Harness.frozenClock,
      "PUBLISH"
    ))
})
