/** `npm run figures`: draws `docs/figures` from `benchmarks/results` and `chaos/results`. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { figures } from "./figures/read.ts"

const root = fileURLToPath(new URL("../", import.meta.url))
const target = `${root}docs/figures`

rmSync(target, { recursive: true, force: true })
mkdirSync(target, { recursive: true })
for (const [name, svg] of figures(root)) {
  writeFileSync(`${target}/${name}`, svg)
  console.log(`docs/figures/${name}`)
}
