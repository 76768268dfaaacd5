/**
 * `npm run mutate -- --module memory [--sample 100] [--seed 1]`: breaks the sources in one small place at a time, and counts
 * what no test notices. What it finds is written to `docs/mutation.json`; `docs/mutation.md` says how to read it.
 *
 * `--facts` asks the facts of the suite alone, where a module has some, and not its test files, which take longer.
 * `--only heap.ts` takes the mutants of one file, and `--list` names them; neither writes. `--survivors` asks again for those
 * that are in the file. A sample that is smaller than the one that stands there is refused before anything is measured:
 * `--to look.json` writes it to another file. `--lanes 2` asks two judges at a time.
 */
import { execFileSync } from "node:child_process"
import { createHash } from "node:crypto"
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { fileURLToPath, pathToFileURL } from "node:url"
import { parseArgs } from "node:util"
import { inWords, keyOf, mutantsOf, placeOf, survivorOf, textOf } from "./mutation/all.ts"
import { Judge, type Verdict } from "./mutation/asked.ts"
import { type Module, modules, root } from "./mutation/modules.ts"
import { applied, type Mutant, sampled } from "./mutation/mutant.ts"
import { refusalOf, type Row, scoreOf, type Survivor } from "./mutation/published.ts"
import { startPostgres } from "./servers/postgres.ts"
import { startRedis } from "./servers/redis.ts"

const { values } = parseArgs({
  options: {
    module: { type: "string" },
    sample: { type: "string" },
    seed: { type: "string", default: "1" },
    only: { type: "string" },
    list: { type: "boolean", default: false },
    survivors: { type: "boolean", default: false },
    facts: { type: "boolean", default: false },
    to: { type: "string" },
    lanes: { type: "string", default: "1" },
    again: { type: "boolean", default: false }
  }
})

const rowsIn = (file: URL): ReadonlyArray<Row> => existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : []

const published = new URL("docs/mutation.json", root)
const rows = rowsIn(published)
/** Where the row goes. */
const target = values.to === undefined ? published : pathToFileURL(values.to)

/** The servers of a module, and how they are made anew when a mutant has them busy for ever. */
const startServer = async (kind: Module["facts"]) => {
  if (kind === "postgres") {
    const server = await startPostgres({})
    return { env: { CAPSTAN_TEST_PG_URL: server.url }, again: async () => {}, stop: server.stop }
  }
  if (kind === "redis") {
    const server = await startRedis({})
    const again = async () => {
      await server.crash()
      await server.restart()
    }
    return { env: { CAPSTAN_TEST_REDIS_URL: server.url }, again, stop: server.stop }
  }
  return { env: {}, again: async () => {}, stop: async () => {} }
}

const report = (mutant: Mutant, verdict: Verdict, i: number, of: number): void => {
  const how = "by" in verdict ? `: ${verdict.by}` : "why" in verdict ? `: ${verdict.why}` : ""
  console.log(`${i + 1}/${of} ${verdict._tag.toLowerCase()}  ${placeOf(mutant)}  ${inWords(mutant)}${how}`)
}

/**
 * Mutants that were killed before, of the same text: they stay so, whatever checks come. A run that was ended goes on where it
 * was, and a larger sample takes over a smaller one of the same seed. `--again` forgets them.
 */
const remembered = (name: string) => {
  const folder = new URL("node_modules/.cache/mutation/", root)
  const file = new URL(`${name}.jsonl`, folder)
  mkdirSync(folder, { recursive: true })
  const lines = existsSync(file) && !values.again ? readFileSync(file, "utf8").split("\n") : []
  const known = new Map(lines.filter((line) => line !== "").map((line) => JSON.parse(line) as [string, Verdict]))
  const keyFor = (mutant: Mutant) =>
    createHash("sha256").update(textOf(mutant.file)).update(keyOf(survivorOf(mutant))).digest("hex")
  return {
    of: (mutant: Mutant): Verdict | undefined => known.get(keyFor(mutant)),
    put: (mutant: Mutant, verdict: Verdict) => {
      if (verdict._tag !== "Survived") appendFileSync(file, `${JSON.stringify([keyFor(mutant), verdict])}\n`)
    }
  }
}

/** Judges that ask one after the other, and a server of their own. */
const startLane = async ({ facts, server: kind, tests }: Module) => {
  const server = await startServer(facts ?? kind)
  const shared = { env: server.env, afterKill: server.again }
  const judges = [
    ...(facts === undefined ? [] : [new Judge({ program: "facts.ts", args: [facts], patience: 60, ...shared })]),
    ...(values.facts ? [] : [new Judge({ program: "tests.ts", args: tests, patience: 90, ...shared })])
  ]
  return { server, judges }
}

/** Without a mutant all checks must pass. */
const passOriginal = async ({ files }: Module, judges: ReadonlyArray<Judge>): Promise<void> => {
  const file = files[0]!
  for (const judge of judges) {
    const began = performance.now()
    const verdict = await judge.ask({ file, text: textOf(file), isOriginal: true })
    console.log(`all pass in ${((performance.now() - began) / 1000).toFixed(1)} s`)
    if (verdict._tag !== "Survived") throw new Error(`without a mutant: ${JSON.stringify(verdict)}`)
  }
}

const judge = async (judges: ReadonlyArray<Judge>, mutant: Mutant): Promise<Verdict> => {
  const { file } = mutant
  for (const judge of judges) {
    const verdict = await judge.ask({ file, text: applied(textOf(file), mutant), isOriginal: false })
    if (verdict._tag !== "Survived") return verdict
  }
  return { _tag: "Survived" }
}

const measure = async (name: string, module: Module): Promise<void> => {
  const all = mutantsOf(module)
  const before = rows.find((row) => row.module === name)
  const known = new Map(before?.survived.map((survivor) => [keyOf(survivor), survivor]))
  const seed = Number(values.seed)
  const chosen = values.survivors
    ? all.filter((mutant) => known.has(keyOf(survivorOf(mutant))))
    : sampled(
      all.filter(({ file }) => values.only === undefined || file.includes(values.only)),
      Number(values.sample ?? all.length),
      seed
    )
  if (values.list) {
    for (const mutant of chosen) console.log(`${placeOf(mutant)}  ${inWords(mutant)}`)
    return
  }
  const refusal = values.survivors || values.only !== undefined || values.to !== undefined
    ? undefined
    : refusalOf(before, { sample: chosen.length, all: all.length })
  if (refusal !== undefined) throw new Error(refusal)
  if (values.survivors && chosen.length !== known.size) {
    throw new Error(`the sources of ${name} have changed since they were measured: run it without --survivors`)
  }
  const lanes = await Promise.all(Array.from({ length: Number(values.lanes) }, () => startLane(module)))
  process.once("SIGTERM", () => {
    for (const { judges } of lanes) for (const judge of judges) judge.stop()
    process.exit(1)
  })
  const memory = remembered(name)
  const judged: Array<readonly [Mutant, Verdict]> = []
  const left = [...chosen.entries()].toReversed()
  try {
    await Promise.all(lanes.map(async ({ judges }) => {
      await passOriginal(module, judges)
      for (let next = left.pop(); next !== undefined; next = left.pop()) {
        const [i, mutant] = next
        const known = memory.of(mutant)
        const verdict = known ?? await judge(judges, mutant)
        report(mutant, verdict, i, chosen.length)
        if (known === undefined) memory.put(mutant, verdict)
        judged[i] = [mutant, verdict]
      }
    }))
  } finally {
    for (const { judges } of lanes) for (const judge of judges) judge.stop()
    await Promise.all(lanes.map(({ server }) => server.stop()))
  }
  const count = (tag: Verdict["_tag"]) => judged.filter(([, verdict]) => verdict._tag === tag).length
  const survived = judged.filter(([, verdict]) => verdict._tag === "Survived").map(([mutant]): Survivor => {
    const survivor = survivorOf(mutant)
    return { ...survivor, because: known.get(keyOf(survivor))?.because ?? "" }
  })
  const earlier = values.survivors ? before : undefined
  const figures = {
    invalid: (earlier?.invalid ?? 0) + count("Invalid"),
    killed: (earlier?.killed ?? 0) + count("Killed"),
    timedOut: (earlier?.timedOut ?? 0) + count("TimedOut"),
    survived
  }
  const git = (...args: ReadonlyArray<string>) =>
    execFileSync("git", args, { cwd: fileURLToPath(root), encoding: "utf8" }).trim()
  const row: Row = {
    module: name,
    commit: git("log", "-1", "--format=%H", "--", ...module.files),
    date: new Date().toISOString().slice(0, 10),
    all: all.length,
    sample: earlier?.sample ?? chosen.length,
    seed: earlier?.seed ?? seed,
    ...figures,
    score: scoreOf(figures)
  }
  console.log(`\n${name}: ${JSON.stringify({ ...row, survived: survived.length })}`)
  if (values.only !== undefined) return
  const others = rowsIn(target).filter((row) => row.module !== name)
  const order = Object.keys(modules)
  const next = [...others, row].toSorted((a, b) => order.indexOf(a.module) - order.indexOf(b.module))
  writeFileSync(target, `${JSON.stringify(next, undefined, 2)}\n`)
}

const chosen = values.module === undefined ? Object.keys(modules) : [values.module]
for (const name of chosen) {
  const module = modules[name]
  if (module === undefined) throw new Error(`no module ${name}: there are ${Object.keys(modules).join(", ")}`)
  await measure(name, module)
}
