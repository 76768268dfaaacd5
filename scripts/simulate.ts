/**
 * `npm run simulate [-- --seeds 1000] [--from 1] [--seed 7] [--no-kills] [--threads 4] [--json file]`: many seeds, or one again.
 *
 * Seeds are shared out among threads, one for each processor unless told; what is printed does not depend on their number.
 * Fails when an invariant breaks, and when a hundred seeds or more have not reached all that they can. A failed seed is shrunk to what
 * it takes to fail, and printed as a timeline. `--json` keeps what was reached.
 *
 * `npm run simulate -- --workers 1,10,100,1000 [--store pg|redis]`: what so many workers on one store ask of it, and how
 * often it wakes them: see `crowd.ts`.
 */
import { Simulation } from "@capstan/testing"
import { Effect } from "effect"
import { execFileSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { showCrowd } from "./crowd.ts"
import { exploreInThreads } from "./simulation/threads.ts"

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "500" },
    from: { type: "string", default: "1" },
    seed: { type: "string" },
    "no-kills": { type: "boolean", default: false },
    json: { type: "string" },
    threads: { type: "string", default: String(availableParallelism()) },
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
const exploration = await exploreInThreads({ from, count, kills, threads: Number(values.threads) }, (explored) => {
  const seconds = (performance.now() - started) / 1000
  console.error(`${explored} of ${count} seeds, ${seconds.toFixed(0)} s`)
})
const { events, failed, faultPairs, faults, features, runs, steps, transitions } = exploration

const print = (title: string, counts: ReadonlyMap<string, number>) => {
  console.log(`\n${title}`)
  for (const [name, times] of [...counts].toSorted()) console.log(`  ${name.padEnd(26)} ${times}`)
}
print("events", events)
print("transitions", transitions)
print("features", features)
print("faults", faults)
/** How often the fault of the column came within a lease after the fault of the row. */
const table = () => {
  const names = [...faults.keys()].toSorted()
  console.log("\nfault pairs: how often the one of the column came within six seconds after the one of the row")
  names.forEach((name, i) => console.log(`  ${String(i + 1).padStart(2)} ${name}`))
  console.log(`     ${names.map((_, i) => String(i + 1).padStart(8)).join("")}`)
  names.forEach((before, i) => {
    const counts = names.map((after) => String(faultPairs.get(`${before}, ${after}`) ?? 0).padStart(8))
    console.log(`  ${String(i + 1).padStart(2)} ${counts.join("")}`)
  })
}
table()
if (values.json !== undefined) {
  const sorted = (counts: ReadonlyMap<string, number>) => Object.fromEntries([...counts].toSorted())
  const commit = execFileSync("git", ["rev-parse", "HEAD"], { encoding: "utf8" }).trim()
  const reached = {
    commit,
    date: new Date().toISOString().slice(0, 10),
    seeds: { from, runs },
    kills,
    steps,
    failed: failed === undefined ? null : { seed: failed.seed, violations: failed.violations },
    events: sorted(events),
    transitions: sorted(transitions),
    features: sorted(features),
    faults: sorted(faults),
    faultPairs: sorted(faultPairs)
  }
  writeFileSync(values.json, `${JSON.stringify(reached, undefined, 2)}\n`)
}
const seconds = (performance.now() - started) / 1000
console.log(
  `\n${runs} seeds, ${steps} steps of the store, ${seconds.toFixed(1)} s, ${(runs / seconds).toFixed(1)} seeds a second`
)
if (failed !== undefined) {
  console.log(`\n${Simulation.describeFailure(failed, kills)}`)
  const shortest = await Effect.runPromise(Simulation.shrink(failed, { kills }))
  console.log(`\nof ${failed.story.length} things that happened it takes ${shortest.story.length}:\n`)
  console.log(Simulation.timeline(shortest))
  process.exitCode = 1
} else if (runs >= enough) {
  const missing = Simulation.unreached(exploration, { kills })
  if (missing.length > 0) {
    console.log(`\nnot reached, though it can be: ${missing.join(", ")}`)
    process.exitCode = 1
  }
}
