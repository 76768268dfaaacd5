/**
 * `npm run dashboard -- build` makes the page anew and puts it into the package; `-- test` tests it in a browser, `-- smoke`
 * opens every page as it is committed, which is what CI runs; `-- dev` serves the sources over an API that runs already (CAPSTAN_API), and
 * `-- tabs` measures what ten open pages take of a worker's throughput.
 *
 * Its packages are apart from the repository's own, with lock files of their own, and are installed with the first use. The two that
 * drive a browser are apart once more: `smoke` builds nothing and needs no others.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { findChromium } from "../browser/find.ts"
import { digest } from "./digest.ts"

const folder = fileURLToPath(new URL("./", import.meta.url))
/** Tests in a browser, with the few packages that drive it. */
const browser = fileURLToPath(new URL("../browser/", import.meta.url))
const root = fileURLToPath(new URL("../../../", import.meta.url))

const run = (
  command: string,
  args: ReadonlyArray<string>,
  options: { readonly cwd?: string; readonly env?: object } = {}
) => {
  const { error, status } = spawnSync(command, args, {
    cwd: options.cwd ?? folder,
    stdio: "inherit",
    env: { ...process.env, ...options.env },
    shell: process.platform === "win32" && command === "npm"
  })
  if (status === 0) return
  console.error(`failed: ${command} ${args.join(" ")}${error === undefined ? "" : `: ${error.message}`}`)
  process.exit(status ?? 1)
}

/** Once for each lock file; the stamp is written last. */
const install = (cwd: string) => {
  const lock = createHash("sha256").update(readFileSync(`${cwd}package-lock.json`)).digest("hex")
  const stamp = `${cwd}node_modules/.capstan-install`
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return
  run("npm", ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], { cwd })
  writeFileSync(stamp, lock)
}

/** Said before anything is run: without one no test can pass. */
const needChromium = () => {
  try {
    findChromium()
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error))
    process.exit(1)
  }
}

const node = (path: string, ...args: ReadonlyArray<string>) => run(process.execPath, [path, ...args])

const build = () => {
  node(`${root}node_modules/typescript/bin/tsc`, "-p", ".")
  node("node_modules/vite/bin/vite.js", "build", "--logLevel", "warn")
  writeFileSync(`${folder}../page/sources.sha256`, `${digest()}\n`)
}

const vitest = (cwd: string, ...args: ReadonlyArray<string>) =>
  run(process.execPath, [
    "--conditions=@capstan/source",
    `${root}node_modules/vitest/vitest.mjs`,
    "run",
    "--config",
    `${cwd}vitest.config.ts`,
    ...args
  ], { cwd })

const [what, ...rest] = process.argv.slice(2)
if (what !== "smoke") install(folder)
if (what === "smoke" || what === "test") {
  needChromium()
  install(browser)
}
switch (what) {
  case "build":
    build()
    break
  case "test":
    node(`${root}node_modules/typescript/bin/tsc`, "-p", "tsconfig.node.json")
    vitest(folder, ...rest)
    if (rest.length === 0) vitest(browser)
    break
  case "smoke":
    vitest(browser, ...rest)
    break
  case "dev":
    node("node_modules/vite/bin/vite.js", ...rest)
    break
  case "tabs":
    run(process.execPath, ["--conditions=@capstan/source", "measure/tabs.ts", ...rest])
    break
  default:
    console.error("say what: build, test, smoke, dev or tabs")
    process.exit(2)
}
