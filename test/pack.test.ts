/**
 * Used by import: what `npm pack` makes of the packages, in an empty project outside the repository.
 */
import { build } from "esbuild"
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

const root = fileURLToPath(new URL("../", import.meta.url))
const project = mkdtempSync(`${tmpdir()}/capstan-pack-`)

const run = (command: string, args: ReadonlyArray<string>, cwd: string): string => {
  const { status, stderr, stdout } = spawnSync(command, args, { cwd, encoding: "utf8" })
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} answered ${status}\n${stdout}\n${stderr}`)
  return stdout
}

/** The first program of the README, as a reader would copy it. */
const program = /```ts\n([^]*?)```/.exec(readFileSync(`${root}README.md`, "utf8"))![1]!

const tsconfig = {
  compilerOptions: {
    target: "es2022",
    module: "nodenext",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
    lib: ["es2024", "esnext.disposable", "dom"],
    types: []
  },
  files: ["main.ts"]
}

/** Node of this version: ours, or the npm package that holds its binary. */
const nodeOf = (version: string): string => {
  if (process.versions.node.startsWith(`${version}.`)) return process.execPath
  const name = `node-${process.platform === "win32" ? "win" : process.platform}-${process.arch}`
  const folder = `${project}/node-${version}`
  mkdirSync(folder)
  writeFileSync(`${folder}/package.json`, "{}")
  install(folder, `${name}@${version}`)
  return `${folder}/node_modules/${name}/bin/node`
}

const install = (folder: string, ...packages: ReadonlyArray<string>) =>
  run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline", ...packages], folder)

beforeAll(() => {
  run(process.execPath, [`${root}node_modules/typescript/bin/tsc`, "-b", "tsconfig.build.json"], root)
  writeFileSync(`${project}/package.json`, JSON.stringify({ name: "app", private: true, type: "module" }))
  const tarballs = ["capstan", "testing"].map((name) => {
    const [{ filename }] = JSON.parse(
      run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], `${root}packages/${name}`)
    )
    return `./${filename}`
  })
  const effect = JSON.parse(readFileSync(`${root}node_modules/effect/package.json`, "utf8"))
  install(project, ...tarballs, `effect@${effect.version}`)
  writeFileSync(`${project}/tsconfig.json`, JSON.stringify(tsconfig))
  writeFileSync(`${project}/main.ts`, program)
}, 120_000)

afterAll(() => rmSync(project, { recursive: true, force: true }))

describe("the packages", { timeout: 120_000 }, () => {
  it.each(["capstan", "@capstan/testing"])("%s brings what its exports name, and nothing of its tests", (name) => {
    const folder = `${project}/node_modules/${name}`
    const { exports } = JSON.parse(readFileSync(`${folder}/package.json`, "utf8"))
    expect(existsSync(`${folder}/${exports["."].default}`)).toBe(true)
    expect(existsSync(`${folder}/${exports["."].types}`)).toBe(true)
    expect(readdirSync(folder).toSorted()).toEqual(["LICENSE", "README.md", "dist", "package.json", "src"])
  })

  it.each(["typescript", "typescript-6"])(
    "the README's first program compiles with %s, libraries checked too",
    (compiler) => {
      run(process.execPath, [`${root}node_modules/${compiler}/bin/tsc`, "-p", project], project)
    }
  )

  // The lowest version that Effect's platform packages run on, and the one that the scripts bring.
  it.each(["22.19.0", "24"])("the README's first program runs from the published files on Node %s", (version) => {
    const stdout = run(nodeOf(version), ["main.ts"], project)
    expect(stdout).toBe("Hello, world!\n")
  })

  it("a program that only enqueues bundles no worker", async () => {
    writeFileSync(
      `${project}/enqueue.ts`,
      `import { Job, JobStore } from "capstan"
import { Effect, Schema } from "effect"
class Greet extends Job.make("Greet", { payload: { name: Schema.String } }) {}
export const main = (store: JobStore.Shape) =>
  Effect.provideService(Greet.enqueue({ name: "world" }), JobStore.JobStore, store)
`
    )
    const bundle = async (entry: string) => {
      const { metafile } = await build({
        entryPoints: [entry],
        absWorkingDir: project,
        bundle: true,
        write: false,
        metafile: true,
        format: "esm",
        logLevel: "silent"
      })
      const [output] = Object.values(metafile.outputs)
      return Object.entries(output!.inputs).flatMap(([file, { bytesInOutput }]) =>
        bytesInOutput > 0 && file.includes("capstan/dist") ? [file.split("capstan/dist/")[1]!] : []
      )
    }
    const runtime = /^JobWorker|^internal\/worker\//
    const enqueueOnly = await bundle("enqueue.ts")
    expect(enqueueOnly).toContain("Job.js")
    expect(enqueueOnly.filter((file) => runtime.test(file))).toEqual([])
    expect((await bundle("main.ts")).some((file) => runtime.test(file))).toBe(true)
  })
})
