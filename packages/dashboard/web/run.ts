/**
 * `npm run dashboard -- build` makes the page anew and puts it into the package; `-- test` tests it in a browser, `-- smoke`
 * the few tests of those that CI runs; `-- dev` serves the sources over an API that runs already (CAPSTAN_API), and
 * `-- tabs` measures what ten open pages take of a worker's throughput.
 *
 * Its packages are apart from the repository's own, with a lock file of their own, and are installed with the first use.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { digest } from "./digest.ts"

const folder = fileURLToPath(new URL("./", import.meta.url))
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
const install = () => {
  const lock = createHash("sha256").update(readFileSync(`${folder}package-lock.json`)).digest("hex")
  const stamp = `${folder}node_modules/.capstan-install`
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return
  run("npm", ["ci", "--ignore-scripts", "--loglevel=error"])
  writeFileSync(stamp, lock)
}

const node = (path: string, ...args: ReadonlyArray<string>) => run(process.execPath, [path, ...args])

const build = () => {
  node(`${root}node_modules/typescript/bin/tsc`, "-p", ".")
  node("node_modules/vite/bin/vite.js", "build", "--logLevel", "warn")
  writeFileSync(`${folder}../page/sources.sha256`, `${digest()}\n`)
}

const vitest = (...args: ReadonlyArray<string>) =>
  run(process.execPath, [
    "--conditions=@capstan/source",
    `${root}node_modules/vitest/vitest.mjs`,
    "run",
    "--config",
    `${folder}vitest.config.ts`,
    ...args
  ], { cwd: folder })

const [what, ...rest] = process.argv.slice(2)
install()
switch (what) {
  case "build":
    build()
    break
  case "test":
    node(`${root}node_modules/typescript/bin/tsc`, "-p", "tsconfig.node.json")
    vitest(...rest)
    break
  case "smoke":
    vitest("Smoke", ...rest)
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
