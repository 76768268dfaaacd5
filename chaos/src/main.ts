/**
 * `npm run chaos -- --store pg|redis [--quick | --long] [--seed n] [--seconds n] [--soak n] [--fault F1,F4]
 * [--system capstan,bullmq] [--keep]`: real worker and producer processes on a real server, which this program starts, and
 * faults that strike them; then an audit of what each was told and did. Ends non-zero when a pass line of ours is missed, and
 * when a control that must fail does not. `--long` keeps what it finds in `results/<store>.json`: all of it, or in place of the
 * rows of the faults and systems that it is told.
 */
import { execFileSync, spawnSync } from "node:child_process"
import { createHash } from "node:crypto"
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import { bundle } from "./child.ts"
import { common, type Control, type Fault, type Run } from "./fault.ts"
import { faults, faultsOf, isQuick } from "./faults/index.ts"
import { peerFaults, peers } from "./peer.ts"
import { attemptPeer } from "./peerTrial.ts"
import { figuresOf, format, type Found, print, type Results, type Row } from "./report.ts"
import { loadStore, stores } from "./store.ts"
import { attempt, type Place } from "./trial.ts"

const { values } = parseArgs({
  options: {
    store: { type: "string", default: "pg" },
    seed: { type: "string" },
    fault: { type: "string" },
    system: { type: "string" },
    seconds: { type: "string" },
    soak: { type: "string" },
    quick: { type: "boolean", default: false },
    long: { type: "boolean", default: false },
    keep: { type: "boolean", default: false }
  }
})

const refuse = (message: string): never => {
  console.error(message)
  process.exit(1)
}

if (!stores.includes(values.store as never)) refuse(`no store "${values.store}": ${stores.join(", ")}`)
if (values.quick && values.long) refuse("--quick or --long, not both: a quick run is not kept")
const ids = values.fault?.split(",")
for (const id of ids ?? []) {
  if (!faults.some((fault) => fault.id === id)) {
    refuse(`no fault "${id}": ${faults.map((fault) => fault.id).join(", ")}`)
  }
}
const known = ["capstan", ...peers[values.store]!]
const systems = values.system?.split(",") ?? (values.long ? known : ["capstan"])
for (const system of systems) {
  if (!known.includes(system)) refuse(`no system "${system}" on ${values.store}: ${known.join(", ")}`)
}
const seed = Number(values.seed ?? Math.floor(Math.random() * 1_000_000))
const seconds = Number(values.seconds ?? (values.quick ? 4 : 60))
/** Of the soak. Others take one of these times each. */
const soak = values.soak === undefined ? undefined : Number(values.soak)
if (!Number.isInteger(seed) || !(seconds > 0) || !((soak ?? 1) > 0)) {
  refuse("--seed takes an integer, --seconds and --soak a number above 0")
}
const secondsOf = ({ span }: Fault): number => span === undefined ? seconds : soak ?? seconds * span

const git = (...args: ReadonlyArray<string>) => execFileSync("git", args, { encoding: "utf8" }).trim()
/** What an earlier part of the run has kept makes nothing dirty. */
const isDirty =
  git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)chaos/results") !== ""
const commit = `${git("describe", "--always")}${isDirty ? "-dirty" : ""}`
const stamped = (row: Found, seconds: number): Row => ({
  ...row,
  seed,
  seconds,
  commit,
  date: new Date().toISOString()
})

const toRow = (fault: Fault, run: Run, seconds: number, control?: Control): Row => {
  const lines = control === undefined ? [...common(run), ...fault.judge(run)] : [control.red(run)]
  return stamped({
    fault: fault.id,
    system: "capstan",
    title: fault.title,
    ...control === undefined ? {} : { without: control.without },
    figures: figuresOf(run),
    lines,
    pass: lines.every(({ holds }) => holds)
  }, seconds)
}

/** A control runs beside what it controls: on the same machine, in the same minute. */
const performOurs = async (fault: Fault, place: Place): Promise<ReadonlyArray<Row>> => {
  const { control } = fault
  const { seconds } = place
  if (control === undefined || control.isApart && values.quick) {
    return [toRow(fault, await attempt(fault, place), seconds)]
  }
  const part = seconds * (control.share ?? 1)
  const beside = () => attempt(fault, { ...place, seconds: part }, control.without)
  const [run, red] = control.isApart
    ? [await attempt(fault, place), await beside()]
    : await Promise.all([attempt(fault, place), beside()])
  return [toRow(fault, run, seconds), toRow(fault, red, part, control)]
}

/** The others come after ours, one by one, each with the machine for itself. */
const perform = async (fault: Fault, common: Place): Promise<ReadonlyArray<Row>> => {
  const place = { ...common, seconds: secondsOf(fault) }
  const rows = systems.includes("capstan") ? [...await performOurs(fault, place)] : []
  for (const system of systems.filter((name) => name !== "capstan" && peerFaults.has(fault.id))) {
    rows.push(stamped(await attemptPeer(fault, system, place), place.seconds))
  }
  return rows
}

/** What the benchmarks measure, where they have it. */
const installPeers = (): void => {
  const home = fileURLToPath(new URL("../../benchmarks/", import.meta.url))
  const stamp = `${home}node_modules/.capstan-install`
  const lock = createHash("sha256").update(readFileSync(`${home}package-lock.json`)).digest("hex")
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === lock) return
  console.log("installing the other systems")
  const { status, stderr } = spawnSync("npm", ["ci", "--ignore-scripts", "--loglevel=error"], {
    cwd: home,
    encoding: "utf8"
  })
  if (status !== 0) throw new Error(stderr)
  writeFileSync(stamp, lock)
}

if (systems.some((system) => system !== "capstan")) installPeers()
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
const chosen = faultsOf(store).filter((fault) =>
  (ids === undefined ? !values.quick || isQuick(fault, values.store) : ids.includes(fault.id)) &&
  (systems.includes("capstan") || peerFaults.has(fault.id))
)
console.log(`${server.described}; seed ${seed}, ${seconds} s a fault\n`)

/** After each fault: what is found stays found when the run ends early. */
const keep = (rows: ReadonlyArray<Row>): void => {
  const results = fileURLToPath(new URL("../results/", import.meta.url))
  const file = `${results}${values.store}.json`
  const before: Results | undefined = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : undefined
  const isNew = (row: Row) => rows.some(({ fault, system }) => fault === row.fault && system === row.system)
  const place = (row: Row) => faults.findIndex(({ id }) => id === row.fault) * known.length + known.indexOf(row.system)
  // Rows of an older format do not say what they are of.
  const old = before?.format === format ? before.rows.filter((row) => !isNew(row) && place(row) >= 0) : []
  const kept: Results = {
    format,
    server: server.described,
    rows: [...old, ...rows].toSorted((a, b) => place(a) - place(b))
  }
  mkdirSync(results, { recursive: true })
  writeFileSync(file, `${JSON.stringify(kept, undefined, 2)}\n`)
}

const rows: Array<Row> = []
const place = { storeName: values.store, store, server, folder, programs, seed, seconds, isQuick: values.quick }
const calm = values.quick ? chosen.filter(({ isCalm }) => isCalm) : []
const groups = [...chosen.filter((fault) => !calm.includes(fault)).map((fault) => [fault]), calm]
for (const group of groups) {
  for (const row of (await Promise.all(group.map((fault) => perform(fault, place)))).flat()) {
    rows.push(row)
    print(row)
  }
  if (values.long) keep(rows)
}
await server.stop()

// What others do is a figure, not a failure.
const missed = rows.filter(({ pass, system }) => !pass && system === "capstan")
console.log(
  missed.length === 0
    ? `${rows.length} runs, every line of ours holds`
    : `missed in ${
      missed.map(({ fault, without }) => without === undefined ? fault : `${fault} without ${without}`).join(", ")
    }`
)
process.exit(missed.length === 0 ? 0 : 1)
