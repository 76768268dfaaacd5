/**
 * `npm run docs`: writes `docs/api` from the comments of the public modules, and their examples as programs to
 * `test/examples`; says what is missing there. `test/api.test.ts` fails while something is, or while it is not up to date.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import { missing } from "./docs/complete.ts"
import { examples } from "./docs/examples.ts"
import { pages } from "./docs/page.ts"
import { readAll } from "./docs/read.ts"

const root = fileURLToPath(new URL("../", import.meta.url))

const write = (folder: string, files: ReadonlyMap<string, string>): void => {
  for (const [path, text] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, path), text)
  }
}

const modules = readAll(root)

const pagesFolder = join(root, "docs/api")
rmSync(pagesFolder, { recursive: true, force: true })
write(pagesFolder, pages(modules))

const examplesFolder = join(root, "test/examples")
for (const name of readdirSync(examplesFolder)) {
  if (name.endsWith(".ts") && name !== "setting.ts") rmSync(join(examplesFolder, name))
}
write(examplesFolder, examples(modules, readFileSync(join(examplesFolder, "setting.ts"), "utf8")))

const issues = missing(modules)
for (const issue of issues) console.log(issue)
console.log(`${modules.length} modules, ${issues.length} missing`)
if (issues.length > 0) process.exitCode = 1
