/**
 * Completes the lock file: `node scripts/lock.mjs` after dependencies have changed; `--check` only says what is missing.
 *
 * A package that comes as one program per platform names them all as optional dependencies. `npm install` leaves those out
 * of the lock file that its registry does not carry, and `npm ci` then refuses the lock file as incomplete, on every
 * platform. What it asks for is an entry with the version, and the platform that it is for: on another one it is passed
 * over. A registry that has it gives its hash when it is installed.
 */
import { readFileSync, realpathSync, writeFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

const systems = new Set(["aix", "android", "darwin", "freebsd", "linux", "netbsd", "openbsd", "sunos", "win32"])
const processors = new Set(["arm", "arm64", "ia32", "loong64", "mips64el", "ppc64", "riscv64", "s390x", "x64"])
const libraries = { glibc: "glibc", gnu: "glibc", musl: "musl" }

/** The platform that the name of a package says. */
const platformOf = (name) => {
  const words = name.split(/[-/]/)
  const os = words.find((word) => systems.has(word))
  const cpu = words.find((word) => processors.has(word))
  if (os === undefined || cpu === undefined) {
    throw new Error(`${name}: its name says no platform, write its entry by hand`)
  }
  const libc = libraries[words.at(-1)]
  return { os: [os], cpu: [cpu], ...libc === undefined ? {} : { libc: [libc] } }
}

/** Where a package at `path` finds the dependency: in its own folder, then in those around it. */
const isFound = (packages, path, name) => {
  for (let at = path;; at = at.slice(0, Math.max(0, at.lastIndexOf("node_modules/") - 1))) {
    if (`${at === "" ? "" : `${at}/`}node_modules/${name}` in packages) return true
    if (at === "") return false
  }
}

/** The entries that a lock file lacks, by path. */
export const missing = ({ packages }) => {
  const found = {}
  for (const [path, { dev, optionalDependencies = {} }] of Object.entries(packages)) {
    for (const [name, version] of Object.entries(optionalDependencies)) {
      if (isFound(packages, path, name)) continue
      const { cpu, libc, os } = platformOf(name)
      found[`node_modules/${name}`] = {
        version,
        cpu,
        ...dev ? { dev } : {},
        ...libc === undefined ? {} : { libc },
        optional: true,
        os
      }
    }
  }
  return found
}

/** The lock file with all of them, in npm's order. */
export const complete = (lock) => ({
  ...lock,
  packages: Object.fromEntries(
    Object.entries({ ...lock.packages, ...missing(lock) }).toSorted(([a], [b]) => a.localeCompare(b, "en"))
  )
})

const main = () => {
  const path = fileURLToPath(new URL("../package-lock.json", import.meta.url))
  const lock = JSON.parse(readFileSync(path, "utf8"))
  const names = Object.keys(missing(lock))
  if (process.argv[2] === "--check") {
    for (const name of names) console.log(`missing in the lock file: ${name}`)
    process.exitCode = names.length === 0 ? 0 : 1
  } else if (names.length > 0) {
    writeFileSync(path, `${JSON.stringify(complete(lock), null, 2)}\n`)
    console.log(`${names.length} packages of other platforms added to the lock file`)
  }
}

if (realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) main()
