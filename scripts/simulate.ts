/**
 * `npm run simulate [-- --seeds 1000] [--from 1] [--seed 7] [--no-kills]`: many seeds, or one again.
 */
import { Simulation } from "@capstan/testing"
import { Effect } from "effect"
import { parseArgs } from "node:util"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "500" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    "no-kills": { type: "boolean", default: false }
  }
})
const from = Number(values.seed ?? values.from)
const count = values.seed === undefined ? Number(values.seeds) : 1
const kills = !values["no-kills"]

const started = performance.now()
const seeds = Array.from({ length: count }, (_, i) => from + i)
const { failed, faults, runs, steps, transitions } = await Effect.runPromise(Simulation.explore(seeds, { kills }))

const print = (title: string, counts: ReadonlyMap<string, number>) => {
  console.log(`\n${title}`)
  for (const [name, times] of [...counts].toSorted()) console.log(`  ${name.padEnd(26)} ${times}`)
}
print("transitions", transitions)
print("faults", faults)
const seconds = (performance.now() - started) / 1000
console.log(
  `\n${runs} seeds, ${steps} steps of the store, ${seconds.toFixed(1)} s, ${(runs / seconds).toFixed(1)} seeds a second`
)
if (failed !== undefined) {
  console.log(`\n${Simulation.describeFailure(failed, kills)}`)
  process.exitCode = 1
}
