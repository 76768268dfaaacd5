/** `npm run docs`: writes `docs/api` from the comments of the public modules, or says what is missing there. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { missing } from "./docs/complete.ts"
import { pages } from "./docs/page.ts"
import { readAll } from "./docs/read.ts"

const root = fileURLToPath(new URL("../", import.meta.url))

const modules = readAll(root)
const target = join(root, "docs/api")
rmSync(target, { recursive: true, force: true })
for (const [path, text] of pages(modules)) {
  mkdirSync(dirname(join(target, path)), { recursive: true })
  writeFileSync(join(target, path), text)
}

const issues = missing(modules)
for (const issue of issues) console.log(issue)
console.log(`${modules.length} modules, ${issues.length} missing`)
if (issues.length > 0) process.exitCode = 1
