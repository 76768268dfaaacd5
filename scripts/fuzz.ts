/**
 * `npm run fuzz [-- --seconds 60] [--seed 1]`: calls with what comes from outside, and nothing but typed errors may come of it:
 * see `test/fuzz`. Says how often each was answered and refused: one that refuses all has looked at nothing.
 */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { describe, run } from "../test/fuzz/index.ts"

const { values } = parseArgs({
  options: { seconds: { type: "string", default: "60" }, seed: { type: "string", default: "1" } }
})
const seconds = Number(values.seconds)
const seed = Number(values.seed)
if (!(seconds > 0) || !Number.isInteger(seed)) throw new Error("--seconds: above 0; --seed: a whole number")

const until = performance.now() + seconds * 1000
const { calls, findings, tallies } = await Effect.runPromise(run(seed, () => performance.now() < until))
console.log("what                                       answered   refused")
for (const [name, { answered, refused }] of tallies) {
  console.log(name.padEnd(40) + String(answered).padStart(11) + String(refused).padStart(10))
}
console.log(`\n${calls} calls, ${findings.length} findings, seed ${seed}`)
for (const finding of findings) console.log(`\n${describe(finding)}`)
process.exit(findings.length > 0 ? 1 : 0)
