/** `npm run check`: types, Effect's own diagnostics, lint and format. A step that fails shows its output. */
import { spawnSync } from "node:child_process"
import { readFileSync } from "node:fs"

const bin = (path: string, ...args: ReadonlyArray<string>): ReadonlyArray<string> => [`node_modules/${path}`, ...args]

const { references }: { references: ReadonlyArray<{ path: string }> } = JSON.parse(
  readFileSync("tsconfig.json", "utf8")
)
const projects = references.map(({ path }) => path.endsWith(".json") ? path : `${path}/tsconfig.json`)

// What is no error is a hint for the editor: it neither fails the check nor shows here.
const diagnostics = (project: string) =>
  bin(
    "@effect/tsgo/dist/effect-tsgo.cjs",
    "diagnostics",
    "--project",
    project,
    "--severity",
    "error",
    "--format",
    "text"
  )

const steps: ReadonlyArray<readonly [name: string, commands: ReadonlyArray<ReadonlyArray<string>>]> = [
  ["types", [bin("typescript/bin/tsc", "-b")]],
  ["effect", projects.map(diagnostics)],
  ["lint", [bin("oxlint/bin/oxlint", "--deny-warnings")]],
  ["format", [bin("dprint/bin.cjs", "check")]]
]

/** A project reports the sources that it reaches as well: a line that an earlier command printed is left out. */
const run = (commands: ReadonlyArray<ReadonlyArray<string>>): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const command of commands) {
    const { error, status, stderr, stdout } = spawnSync(process.execPath, command, {
      encoding: "utf8",
      maxBuffer: 64 * 1024 * 1024
    })
    if (status === 0) continue
    const output = `${stdout}${stderr}${error?.message ?? ""}`.trimEnd() || `${command.join(" ")} failed`
    const earlier = new Set(lines)
    lines.push(...output.split("\n").filter((line) => !earlier.has(line)))
  }
  return lines
}

for (const [name, commands] of steps) {
  const start = performance.now()
  const output = run(commands)
  const passed = output.length === 0
  console.log(`${passed ? "  ok" : "FAIL"}  ${name}  ${((performance.now() - start) / 1000).toFixed(1)} s`)
  for (const line of output) console.log(line)
  if (!passed) process.exitCode = 1
}
