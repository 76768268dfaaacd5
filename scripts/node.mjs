/**
 * Runs its arguments on Node 24 with the packages' sources in place of their builds.
 *
 * It runs the user's own Node when that is new enough to strip types, else the one that the `node` package brings. It
 * ends as the program ended: with its exit code, or by the signal that ended it.
 */
import { spawn } from "node:child_process"
import { realpathSync } from "node:fs"
import { constants } from "node:os"
import { fileURLToPath } from "node:url"

/** The lowest version that Effect's platform packages run on. */
export const ownNodeServes = () => {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number)
  return major > 22 || (major === 22 && minor >= 19)
}

const main = () => {
  const node = ownNodeServes()
    ? process.execPath
    : fileURLToPath(new URL("../node_modules/node/bin/node", import.meta.url))
  const child = spawn(node, ["--conditions=@capstan/source", ...process.argv.slice(2)], { stdio: "inherit" })

  const forward = (signal) => child.kill(signal)
  process.on("SIGINT", forward)
  process.on("SIGTERM", forward)

  child.on("error", (error) => {
    console.error(`cannot run ${node}: ${error.message}`)
    process.exit(1)
  })
  child.on("exit", (code, signal) => {
    if (signal === null) process.exit(code)
    process.off("SIGINT", forward)
    process.off("SIGTERM", forward)
    process.kill(process.pid, signal)
    // Reached only where the signal is ignored, as under nohup.
    process.exitCode = 128 + constants.signals[signal]
  })
}

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main()
