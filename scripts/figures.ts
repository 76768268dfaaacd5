/**
 * `npm run figures`: draws and writes `docs/figures` from `benchmarks/results`, `chaos/results` and what the simulation kept, and
 * fills the tables of the guides with what was measured.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { choosing } from "./figures/choosing.ts"
import { figures } from "./figures/read.ts"
import { tables } from "./figures/tables.ts"

const root = fileURLToPath(new URL("../", import.meta.url))
const target = `${root}docs/figures`

mkdirSync(target, { recursive: true })
for (const name of readdirSync(target)) if (/\.svg$|^chaos-/.test(name)) rmSync(`${target}/${name}`)
for (const [name, svg] of figures(root)) {
  writeFileSync(`${target}/${name}`, svg)
  console.log(`docs/figures/${name}`)
}
for (const [path, page] of [...tables(root), ["docs/choosing.md", choosing(root).page] as const]) {
  writeFileSync(root + path, page)
  console.log(path)
}
