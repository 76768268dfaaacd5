/** Where the system's Chromium is. In CI, as root, it is installed where it is missing; elsewhere it is said what to type. */
import { spawnSync } from "node:child_process"
import { existsSync } from "node:fs"
import process from "node:process"
import { mayInstall } from "../../../scripts/servers/install.ts"

const places = [
  process.env["CAPSTAN_CHROMIUM"],
  "/usr/bin/chromium",
  "/usr/bin/chromium-browser",
  "/usr/bin/google-chrome",
  "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome"
]

const find = (): string | undefined => places.find((path) => path !== undefined && existsSync(path))

const run = (...args: ReadonlyArray<string>) => {
  const { status, stderr } = spawnSync("apt-get", args, {
    encoding: "utf8",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
  })
  if (status !== 0) throw new Error(`apt-get ${args.join(" ")} failed\n${stderr}`)
}

/** The path of its program. */
export const findChromium = (): string => {
  const found = find()
  if (found !== undefined) return found
  if (mayInstall()) {
    console.log("installing chromium")
    run("update", "-qq")
    run("install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-dejavu-core")
    const now = find()
    if (now !== undefined) return now
  }
  throw new Error(
    "Chromium was not found. Type: sudo apt-get install chromium, or name it with CAPSTAN_CHROMIUM=/path/to/chromium"
  )
}
