/**
 * The comments of the public modules say what a reader asks for, `docs/api` is what they say, and their examples run. That
 * they compile is what `npm run check` says of `test/examples`.
 */
import { TestJobs } from "@capstan/testing"
import { assert, it } from "@effect/vitest"
import { Job, JobGroup, JobStore } from "capstan"
import { Effect } from "effect"
import { readdirSync, readFileSync } from "node:fs"
import { posix } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, vi } from "vitest"
import { missing } from "../scripts/docs/complete.ts"
import { examples } from "../scripts/docs/examples.ts"
import { pages } from "../scripts/docs/page.ts"
import { packages, readAll, readText } from "../scripts/docs/read.ts"
import { Charge, Unpaid } from "./examples/setting.ts"

const root = fileURLToPath(new URL("../", import.meta.url))
const modules = readAll(root)
const settingText = readFileSync(`${root}test/examples/setting.ts`, "utf8")
const programs = examples(modules, settingText)

/** What a folder holds, by path. */
const filesIn = (folder: string): ReadonlyMap<string, string> =>
  new Map(
    readdirSync(root + folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name, parentPath }) => `${parentPath}/${name}`)
      .map((path) => [path.slice(root.length + folder.length + 1), readFileSync(path, "utf8")])
  )

/** The paths of the files that are not as they should be, or should not be. */
const stale = (wanted: ReadonlyMap<string, string>, found: ReadonlyMap<string, string>): ReadonlyArray<string> =>
  [...new Set([...wanted.keys(), ...found.keys()])].filter((path) => wanted.get(path) !== found.get(path))

/** As GitHub names them: the second one of a name has a number. */
const headingsOf = (page: string): ReadonlySet<string> => {
  const found = new Set<string>()
  for (const [, heading] of page.replaceAll(/```[^]*?```/g, "").matchAll(/^#+ (.+)$/gm)) {
    const slug = heading!.toLowerCase().replaceAll(" ", "-")
    let name = slug
    for (let i = 1; found.has(name); i++) name = `${slug}-${i}`
    found.add(name)
  }
  return found
}

describe("the comments of the public modules", () => {
  it("are those of every package", () => {
    expect(packages.toSorted()).toEqual(readdirSync(`${root}packages`).toSorted())
  })

  it("describe every export, every option with its default, and everything that can be called", () => {
    expect(missing(modules)).toEqual([])
  })

  it("are what docs/api says (npm run docs)", () => {
    expect(stale(pages(modules), filesIn("docs/api"))).toEqual([])
  })

  it("lead from page to page, to headings that are there", () => {
    const all = pages(modules)
    const broken = [...all].flatMap(([path, page]) =>
      [...page.matchAll(/\]\(([^)#\s]*)#([^)]+)\)/g)].filter(([, to, heading]) =>
        !headingsOf(all.get(to === "" ? path : posix.join(posix.dirname(path), to!)) ?? "").has(heading!)
      ).map(([link]) => `${path}: ${link}`)
    )
    expect(broken).toEqual([])
  })

  it("have the examples that test/examples runs (npm run docs)", () => {
    const found = new Map(
      [...filesIn("test/examples")].filter(([path]) => !/^(setting\.ts|tsconfig\.json)$/.test(path))
    )
    expect(stale(programs, found)).toEqual([])
  })
})

/** What a page that nobody has described is told of. */
describe("what is missing", () => {
  const inModule = (text: string) => missing([readText("capstan", "packages/capstan/src/Some.ts", text)])
  const header = "/** What it is of. */\nimport type {} from \"effect\"\n"

  it.each([
    ["a module without a description", "export const a = 1", ["has no description", "has no description"]],
    ["an export without a description", `${header}export const a = 1`, ["a has no description"]],
    ["one that says its name", `${header}/** The lease time. */\nexport const leaseTime = 1`, ["says its name only"]],
    [
      "an option without a default",
      `${header}/** How it is done. */\nexport interface Options {\n  /** What it takes. */\n  readonly a?: string\n}`,
      ["Options.a has no @default"]
    ],
    [
      "an option without a description",
      `${header}/** How it is done. */\nexport interface Options {\n  /** @default 1 */\n  readonly a?: string\n}`,
      ["Options.a has no description"]
    ],
    [
      "an option in a signature",
      `${header}/** Does it. */\nexport const run = (options: { readonly a?: string }): void => {}`,
      ["run.a has no description", "run.a has no @default"]
    ],
    [
      "a number without a meaning",
      `${header}/** What is known. */\nexport interface Known {\n  readonly age: number\n  readonly name: string\n}`,
      ["Known.age has no description"]
    ],
    [
      "a call without a description",
      `${header}/** What is done. */\nexport interface Shape {\n  readonly run: () => Effect.Effect<void, Error>\n}`,
      ["Shape.run has no description"]
    ]
  ])("is %s", (_, text, issues) => {
    const found = inModule(text)
    expect(found.length).toBe(issues.length)
    for (const [i, issue] of issues.entries()) expect(found[i]).toContain(issue)
  })

  it("is nothing where all is said, nor in what is internal", () => {
    const text = `${header}/** How it is done. */\nexport interface Options {\n` +
      "  /**\n   * What it takes.\n   *\n   * @default none\n   */\n  readonly a?: string\n}\n" +
      "/** @internal */\nexport const b = 1"
    expect(inModule(text)).toEqual([])
  })
})

describe("the examples", () => {
  const load = (name: string): Promise<{ readonly run: unknown }> => import(`./examples/${name.replace(".ts", "")}.ts`)

  const elsewhere: Readonly<Record<string, string>> = {
    "Cli.make.ts": "it would take the arguments of this process",
    "JobStoreSuite.ts": "packages/capstan/test runs the suite on the memory store",
    "PgOutbox.layer.ts": "it needs a server: packages/pg/test/PgOutbox.test.ts does it"
  }
  const inHandler = ["Step.invoke.ts", "Step.run.ts", "Step.withCompensation.ts"]
  const test = "TestJobs.layer.ts"
  const names = [...programs.keys()].filter((name) => name !== test && elsewhere[name] === undefined)

  beforeAll(() => void vi.stubEnv("CRON_SECRET", "a secret of at least sixteen characters"))
  afterAll(() => void vi.unstubAllEnvs())

  it("that do not run here are still there", () => {
    expect([test, ...inHandler, ...Object.keys(elsewhere)].filter((name) => !programs.has(name))).toEqual([])
  })

  it.effect.each(names.filter((name) => !inHandler.includes(name)))("%s runs", (name) =>
    Effect.gen(function*() {
      const { run } = yield* Effect.promise(() => load(name))
      if (typeof run === "function") yield* Effect.promise(async () => run())
      else yield* run as Effect.Effect<unknown, unknown, JobStore.JobStore>
    }).pipe(Effect.provide(JobStore.layerMemory())))

  class Runs extends Job.make("Runs", { error: Unpaid }) {}

  it.effect.each(inHandler)("%s runs in a handler", (name) =>
    Effect.gen(function*() {
      const { run } = yield* Effect.promise(() => load(name))
      const group = JobGroup.make(Runs, Charge)
      const handlers = group.toLayer({
        Runs: () => run as Effect.Effect<void>,
        Charge: () => Effect.succeed({ receipt: "r" })
      })
      yield* Effect.gen(function*() {
        const handle = yield* Runs.enqueue()
        yield* (yield* TestJobs.TestJobs).advanceUntilIdle
        assert.strictEqual(yield* handle.await, undefined)
      }).pipe(Effect.provide(TestJobs.layer(group, handlers)))
    }))

  // What it has for a reader is a test of theirs, and here one of ours.
  describe(test, async () => {
    const { run } = await load(test)
    ;(run as () => void)()
  })
})
