/**
 * One scenario on one system: `child.ts <system> <scenario>` prints its figures as JSON.
 *
 * A process that has just started runs code that is not compiled yet: what a server does for its first tenth of a second.
 * So a scenario is passed several times, each on a fresh system, and the figure is the median of the last three passes;
 * that of the first is printed beside it, as `cold`.
 */
import { type Figure, scenarios } from "./scenarios.ts"
import type { MakeSystem } from "./system.ts"

const [system, name] = process.argv.slice(2)
const { make }: { readonly make: MakeSystem } = await import(`./systems/${system}.ts`)
const { measure, passes } = scenarios[name!]!

const figures: Array<Figure> = []
for (let pass = 0; pass < passes; pass++) {
  const figure = await measure(make)
  if (figure === undefined) break
  figures.push(figure)
}

const last = figures.slice(-3).toSorted((a, b) => a.value - b.value)
const warm = last[Math.floor(last.length / 2)]
console.log(JSON.stringify(warm === undefined ? null : { warm, cold: passes > 1 ? figures[0] : undefined }))
process.exit(0)
