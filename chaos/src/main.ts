/**
 * `npm run chaos -- --store pg|redis [--seed n] [--fault F1,F4] [--seconds n] [--quick] [--keep]`: real worker and producer
 * processes on a real server, which this program starts, and faults that strike them; then an audit of what each was told
 * and did. Ends non-zero when a pass line is missed, and when a control that must fail does not. A run of all faults at
 * full length is kept in `results/<store>.json`.
 */
import { execFileSync } from "node:child_process"
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { bundle } from "./child.ts"
import { common, type Control, type Fault, type Run } from "./fault.ts"
import { faults } from "./faults/index.ts"
import { figuresOf, print, type Row } from "./report.ts"
import { loadStore, stores } from "./store.ts"
import { attempt, type Place } from "./trial.ts"

const { values } = parseArgs({
  options: {
    store: { type: "string", default: "pg" },
    seed: { type: "string" },
    fault: { type: "string" },
    seconds: { type: "string" },
    quick: { type: "boolean", default: false },
    keep: { type: "boolean", default: false }
  }
})

const refuse = (message: string): never => {
  console.error(message)
  process.exit(1)
}

if (!stores.includes(values.store as never)) refuse(`no store "${values.store}": ${stores.join(", ")}`)
const ids = values.fault?.split(",")
for (const id of ids ?? []) {
  if (!faults.some((fault) => fault.id === id)) {
    refuse(`no fault "${id}": ${faults.map((fault) => fault.id).join(", ")}`)
  }
}
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000))
const seconds = Number(values.seconds ?? (values.quick ? 4 : 60))
if (!Number.isInteger(seed) || !(seconds > 0)) refuse("--seed takes an integer, --seconds a number above 0")

const toRow = (fault: Fault, run: Run, control?: Control): Row => {
  const lines = control === undefined ? [...common(run), ...fault.judge(run)] : [control.red(run)]
  return {
    fault: fault.id,
    title: fault.title,
    ...control === undefined ? {} : { without: control.without },
    figures: figuresOf(run),
    lines,
    pass: lines.every(({ holds }) => holds)
  }
}

/** A control runs beside what it controls: on the same machine, in the same minute. */
const perform = async (fault: Fault, place: Place): Promise<ReadonlyArray<Row>> => {
  const { control } = fault
  if (control === undefined || control.isApart && values.quick) return [toRow(fault, await attempt(fault, place))]
  const beside = () => attempt(fault, place, control.without)
  const [run, red] = control.isApart
    ? [await attempt(fault, place), await beside()]
    : await Promise.all([attempt(fault, place), beside()])
  return [toRow(fault, run), toRow(fault, red, control)]
}

const store = await loadStore(values.store)
const folder = mkdtempSync(join(tmpdir(), "capstan-chaos-"))
// The server ends with this process, the children with their channel to it.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1))
process.once("exit", () => {
  if (!values.keep && process.exitCode === 0) rmSync(folder, { recursive: true, force: true })
  else console.log(`the ledgers are in ${folder}`)
})

process.exitCode = 1
const programs = join(folder, "programs")
await bundle(programs)
const server = await store.start()
const chosen = faults.filter(({ id, isLong, needs, special }) =>
  (ids === undefined ? !values.quick || !isLong : ids.includes(id)) &&
  (needs === undefined || server[needs] !== undefined) &&
  (special === undefined || store.special.includes(special))
)
console.log(`${server.described}; seed ${seed}, ${seconds} s a fault\n`)
const rows: Array<Row> = []
const place = { storeName: values.store, store, server, folder, programs, seed, seconds }
const calm = values.quick ? chosen.filter(({ isCalm }) => isCalm) : []
const groups = [...chosen.filter((fault) => !calm.includes(fault)).map((fault) => [fault]), calm]
for (const group of groups) {
  for (const row of (await Promise.all(group.map((fault) => perform(fault, place)))).flat()) {
    rows.push(row)
    print(row)
  }
}
await server.stop()
if (ids === undefined && values.seconds === undefined && !values.quick) {
  const commit = execFileSync("git", ["describe", "--always", "--dirty"], { encoding: "utf8" }).trim()
  const kept = { commit, date: new Date().toISOString(), server: server.described, seed, seconds, rows }
  const results = fileURLToPath(new URL("../results/", import.meta.url))
  mkdirSync(results, { recursive: true })
  writeFileSync(`${results}${values.store}.json`, `${JSON.stringify(kept, undefined, 2)}\n`)
}

const missed = rows.filter(({ pass }) => !pass)
console.log(
  missed.length === 0
    ? `${rows.length} runs, every line holds`
    : `missed in ${
      missed.map(({ fault, without }) => without === undefined ? fault : `${fault} without ${without}`).join(", ")
    }`
)
process.exit(missed.length === 0 ? 0 : 1)
