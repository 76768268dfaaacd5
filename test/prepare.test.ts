/**
 * What every npm script runs first: on a copy of the scripts beside a lock file, with an npm and a Node that only tell
 * what they were asked for.
 */
import { spawnSync } from "node:child_process"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { delimiter } from "node:path"
import { fileURLToPath } from "node:url"
import { afterEach, beforeEach, describe, expect, it } from "vitest"

const scripts = fileURLToPath(new URL("../scripts/", import.meta.url))

let root: string

const executable = (path: string, source: string) => {
  writeFileSync(path, `#!${process.execPath}\n${source}`)
  chmodSync(path, 0o755)
}

const note = (what: string) =>
  `require("node:fs").appendFileSync(${JSON.stringify(`${root}/calls`)}, ${what} + "\\n")\n`

/** Installs two packages with install scripts, and says so. */
const npm = () => {
  const package_ = (name: string, script: string, body: string) =>
    `fs.mkdirSync("node_modules/${name}", { recursive: true })
fs.writeFileSync("node_modules/${name}/package.json", '{"scripts":{"preinstall":"node ${script}"}}')
fs.writeFileSync("node_modules/${name}/${script}", ${JSON.stringify(body)})\n`
  return `const fs = require("node:fs")
if (fs.existsSync(${JSON.stringify(`${root}/npm-fails`)})) { console.log("npm's own words"); process.exit(1) }
${note("\"npm \" + process.argv.slice(2).join(\" \")")}
${
    package_(
      "node",
      "installArchSpecificPackage.js",
      note("\"the install script of node, other scripts ignored: \" + process.env.npm_config_ignore_scripts") +
        "require(\"node:fs\").mkdirSync(\"bin\")\nrequire(\"node:fs\").writeFileSync(\"bin/node\", \"\")"
    )
  }
${package_("other", "install.js", note("\"the install script of other\""))}`
}

beforeEach(() => {
  root = mkdtempSync(`${tmpdir()}/capstan-prepare-`)
  mkdirSync(`${root}/scripts`)
  mkdirSync(`${root}/bin`)
  for (const name of ["prepare.mjs", "node.mjs"]) copyFileSync(`${scripts}${name}`, `${root}/scripts/${name}`)
  writeFileSync(`${root}/package-lock.json`, "{}")
  executable(`${root}/bin/npm`, npm())
})

afterEach(() => rmSync(root, { recursive: true, force: true }))

/** Runs a file as a Node of this version would, as far as it asks for its version. */
const runOn = (version: string, file: string, ...args: ReadonlyArray<string>) => {
  const pretend =
    `data:text/javascript,Object.defineProperty(process,"versions",{value:{...process.versions,node:"${version}"}})`
  const { status, stderr, stdout } = spawnSync(process.execPath, ["--import", pretend, `${root}/${file}`, ...args], {
    encoding: "utf8",
    env: { ...process.env, PATH: `${root}/bin${delimiter}${process.env["PATH"]}` }
  })
  return { status, stdout, stderr }
}

const prepare = (version = "24.1.0") => runOn(version, "scripts/prepare.mjs")
const calls = () => existsSync(`${root}/calls`) ? readFileSync(`${root}/calls`, "utf8").trim().split("\n") : []

const install = "npm ci --ignore-scripts --loglevel=error"
const nodeScript = "the install script of node, other scripts ignored: true"

describe("the pre-script", () => {
  it("installs with one line that says what and how long", () => {
    const { status, stderr, stdout } = prepare()
    expect([status, stderr]).toEqual([0, ""])
    expect(stdout).toMatch(/^installing dependencies \(once per lock file\) \.\.\. \d+\.\d s\n$/)
    expect(calls()).toEqual([install])
  })

  it("does nothing, and says nothing, when the lock file's hash is installed", () => {
    prepare()
    expect(prepare()).toEqual({ status: 0, stdout: "", stderr: "" })
    expect(calls()).toEqual([install])
  })

  it("installs again when the lock file has changed, and when what it installed is gone", () => {
    prepare()
    writeFileSync(`${root}/package-lock.json`, "{ }")
    prepare()
    rmSync(`${root}/node_modules`, { recursive: true })
    prepare()
    expect(calls()).toEqual([install, install, install])
  })

  it("shows what npm says when it fails, and starts over the next time", () => {
    writeFileSync(`${root}/npm-fails`, "")
    const { status, stdout } = prepare()
    expect(status).toBe(1)
    expect(stdout).toContain("npm's own words")
    expect(stdout).toContain(`failed: ${install}`)
    rmSync(`${root}/npm-fails`)
    expect(prepare().status).toBe(0)
    expect(calls()).toEqual([install])
  })

  it("approves the install script of node alone, and needs it on an older Node alone", () => {
    expect(prepare("20.1.0").status).toBe(0)
    expect(calls()).toEqual([install, nodeScript])
    // What the newer Node installed lacks the binary that the older one needs.
    rmSync(`${root}/node_modules`, { recursive: true })
    prepare("24.1.0")
    prepare("20.1.0")
    expect(calls()).toEqual([install, nodeScript, install, install, nodeScript])
  })
})

describe("a script runs on", () => {
  it.each([
    ["20.20.2", "the Node that the node package brings"],
    ["22.18.0", "the Node that the node package brings"],
    ["22.19.0", "the user's own"],
    ["23.0.0", "the user's own"],
    ["24.21.0", "the user's own"]
  ])("Node %s: %s", (version, which) => {
    prepare(version)
    mkdirSync(`${root}/node_modules/node/bin`, { recursive: true })
    executable(`${root}/node_modules/node/bin/node`, "console.log(\"the Node that the node package brings\")")
    writeFileSync(`${root}/program.mjs`, "console.log(\"the user's own\")")
    expect(runOn(version, "scripts/node.mjs", `${root}/program.mjs`)).toEqual({
      status: 0,
      stdout: `${which}\n`,
      stderr: ""
    })
  })

  it("sources in place of builds, and ends as the program ended", () => {
    writeFileSync(`${root}/program.mjs`, "console.log(process.execArgv.join()); process.exitCode = 7")
    const { status, stdout } = runOn("24.1.0", "scripts/node.mjs", `${root}/program.mjs`)
    expect([status, stdout]).toEqual([7, "--conditions=@capstan/source\n"])
  })
})
