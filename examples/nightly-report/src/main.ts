/**
 * One night of the report, without waiting for it: `node scripts/node.mjs examples/nightly-report/src/main.ts`.
 */
import { Console, Effect } from "effect"
import { Live, regions, startNight } from "./report.ts"

const program = Effect.gen(function*() {
  const flow = yield* startNight("2026-11-25")
  const { letter } = yield* flow.await
  const again = yield* startNight("2026-11-25")
  const { nodes } = yield* flow.status
  yield* Console.log(
    `${letter}, ${nodes.sums.dead} of ${regions.length} regions failed, second start: ${again.outcome}`
  )
})

await Effect.runPromise(Effect.provide(program, Live))
