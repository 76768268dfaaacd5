/** What many records cost together: commands of a script, counted on the server. */
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { clock } from "../src/internal/lua/context.ts"
import * as Harness from "./harness.ts"

/** Counts its commands in a key of the namespace. */
const counting = `local count = call\ncall = function(...) count('INCR', P .. ':calls') return count(...) end\n${clock}`

const on = <A, E>(theme: string, run: (prefix: string) => Effect.Effect<A, E, JobStore.JobStore>) =>
  Effect.gen(function*() {
    const prefix = Harness.prefixOf(theme)
    yield* Harness.empty(prefix)
    yield* Effect.provideService(run(prefix), JobStore.JobStore, yield* Harness.open(prefix, counting))
    yield* Harness.empty(prefix)
  }).pipe(Effect.scoped, Effect.provide(Harness.client()))

/** How many commands scripts sent meanwhile. */
const commands = <A, E, R>(prefix: string, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    yield* Effect.provide(Harness.send("SET", `{${prefix}}:calls`, "0"), Harness.client())
    const answer = yield* effect
    const many = Number(yield* Effect.provide(Harness.send("GET", `{${prefix}}:calls`), Harness.client()))
    return [answer, many] as const
  })

describe("records that come back", () => {
  it.live("are claimed at once, in their place among the others", () =>
    on("back", (prefix) =>
      Effect.gen(function*() {
        const first = yield* Suite.enqueueMany(200)
        yield* Suite.enqueueMany(50, { priority: 5 })
        const claimed = yield* Suite.claim("w", 250)
        for (const attempt of claimed) yield* Suite.settle("w", attempt, { _tag: "Release" })
        const later = yield* Suite.enqueueMany(50)
        const [again, many] = yield* commands(prefix, Suite.claim("w", 500))
        assert.deepStrictEqual(again.slice(0, 50).map(({ priority }) => priority), new Array<number>(50).fill(5))
        assert.deepStrictEqual(again.slice(50).map(({ id }) => id), [...first, ...later])
        assert.deepStrictEqual([...new Set(again.slice(0, 250).map(({ attempt, fence }) => `${attempt} ${fence}`))], ["1 3"])
        assert.isBelow(many, 80)
        const [back] = again
        assert.strictEqual(yield* Suite.settle("w", back!, Suite.complete), "Done")
        assert.strictEqual((yield* Suite.statsOf()).counts.running, 299)
      })))
})
