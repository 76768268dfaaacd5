/** The short run of `npm run fuzz` on Postgres: what memory takes or refuses is no failure of the server either. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { describe as show, run, targets } from "./fuzz/index.ts"
import { stores } from "./fuzz/stores.ts"

describe("what comes from outside, on Postgres", { timeout: 240_000 }, () => {
  it.live("makes typed errors and nothing else", () =>
    Effect.gen(function*() {
      const url = process.env.CAPSTAN_TEST_PG_URL
      if (url === undefined) return assert.fail("CAPSTAN_TEST_PG_URL is not set: run the tests by `npm test`")
      const rounds = 10
      const { findings } = yield* run(11, (calls) => calls < rounds * targets.length, stores.pg!(url))
      assert.deepStrictEqual(findings.map(show), [])
    }))
})
