/**
 * `npm run simulate [-- --seeds 1000] [--from 1] [--seed 7] [--no-kills]`: many seeds, or one again.
 *
 * Fails when an invariant breaks, and when a hundred seeds or more have not reached all that they can.
 *
 * `npm run simulate -- --workers 1,10,100,1000 [--store pg|redis]`: what so many workers on one store ask of it, and how
 * often it wakes them: see `crowd.ts`.
 */
import { Simulation } from "@capstan/testing"
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { showCrowd } from "./crowd.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "500" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    "no-kills": { type: "boolean", default: false },
    workers: { type: "string" },
    store: { type: "string", default: "memory" }
  }
})
if (values.workers !== undefined) {
  await showCrowd({
    workers: values.workers.split(",").map(Number),
    store: values.store,
    seed: Number(values.seed ?? 1)
  })
  process.exit()
}
const from = Number(values.seed ?? values.from)
const count = values.seed === undefined ? Number(values.seeds) : 1
const kills = !values["no-kills"]
/** Fewer may miss what is rare. */
const enough = 100

const started = performance.now()
const seeds = Array.from({ length: count }, (_, i) => from + i)
const exploration = await Effect.runPromise(Simulation.explore(seeds, { kills }))
const { events, failed, faults, features, runs, steps, transitions } = exploration

const print = (title: string, counts: ReadonlyMap<string, number>) => {
  console.log(`\n${title}`)
  for (const [name, times] of [...counts].toSorted()) console.log(`  ${name.padEnd(26)} ${times}`)
}
print("events", events)
print("transitions", transitions)
print("features", features)
print("faults", faults)
const seconds = (performance.now() - started) / 1000
console.log(
  `\n${runs} seeds, ${steps} steps of the store, ${seconds.toFixed(1)} s, ${(runs / seconds).toFixed(1)} seeds a second`
)
if (failed !== undefined) {
  console.log(`\n${Simulation.describeFailure(failed, kills)}`)
  process.exitCode = 1
} else if (runs >= enough) {
  const missing = Simulation.unreached(exploration, { kills })
  if (missing.length > 0) {
    console.log(`\nnot reached, though it can be: ${missing.join(", ")}`)
    process.exitCode = 1
  }
}
