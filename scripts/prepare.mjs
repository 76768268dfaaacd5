/**
 * Installs what the lock file names, once per lock file.
 *
 * No package's install script runs but that of `node`, which brings Node 24 to a machine whose own Node is older. The
 * stamp is written last, so an install that was interrupted starts over.
 */
import { spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { ownNodeServes } from "./node.mjs"

const root = new URL("../", import.meta.url)
const path = (relative) => fileURLToPath(new URL(relative, root))

const stamp = path("node_modules/.capstan-install")
const lock = createHash("sha256").update(readFileSync(path("package-lock.json"))).digest("hex")

const run = (command, args, options) => {
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
    ...options
  })
  if (status === 0) return
  process.stdout.write(`\n${stdout ?? ""}${stderr ?? ""}${error ? `${error.message}\n` : ""}`)
  process.stdout.write(`failed: ${[command, ...args].join(" ")}\n`)
  process.exit(1)
}

const installPackages = () =>
  run("npm", ["ci", "--ignore-scripts", "--loglevel=error"], {
    cwd: fileURLToPath(root),
    shell: process.platform === "win32"
  })

/** The script runs `npm install` of the package that holds the binary, which must not run scripts of its own. */
const installNode = () =>
  run(process.execPath, ["installArchSpecificPackage.js"], {
    cwd: path("node_modules/node"),
    env: { ...process.env, npm_config_ignore_scripts: "true", npm_config_loglevel: "error" }
  })

const isPrepared = () =>
  existsSync(stamp) && readFileSync(stamp, "utf8") === lock &&
  (ownNodeServes() || existsSync(path("node_modules/node/bin/node")))

if (!isPrepared()) {
  const start = performance.now()
  process.stdout.write("installing dependencies (once per lock file) ...")
  installPackages()
  if (!ownNodeServes()) installNode()
  writeFileSync(stamp, lock)
  process.stdout.write(` ${((performance.now() - start) / 1000).toFixed(1)} s\n`)
}
