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

interface Manifest {
  readonly name: string
  readonly private?: boolean
  readonly exports: Readonly<Record<string, Readonly<Record<string, string>> | null>>
  readonly peerDependencies?: Readonly<Record<string, string>>
}

const manifest = (folder: string): Manifest => JSON.parse(readFileSync(`${folder}/package.json`, "utf8"))

/** Whatever is published from here. */
const packages = readdirSync(`${root}packages`).map((folder) => ({ folder, ...manifest(`${root}packages/${folder}`) }))
  .filter((one) => one.private !== true)
const names = packages.map(({ name }) => name)

/** What a package brings beside its code. */
const ownFolders: Readonly<Record<string, ReadonlyArray<string>>> = { "@capstan/dashboard": ["page"] }

/** What they are used with: of what is installed here that version, so that a machine without a network has it at hand. */
const peers = [...new Map(packages.flatMap(({ peerDependencies = {} }) => Object.entries(peerDependencies)))]
  .filter(([name]) => !names.includes(name))
  .map(([name, range]) => {
    const here = `${root}node_modules/${name}/package.json`
    return `${name}@${existsSync(here) ? JSON.parse(readFileSync(here, "utf8")).version : range}`
  })

/** What a user can import: the entry, and each module of its own. */
const modulesOf = (name: string): ReadonlyArray<string> =>
  readdirSync(`${project}/node_modules/${name}/dist`).flatMap((file) =>
    !file.endsWith(".d.ts") ? [] : [file === "index.d.ts" ? name : `${name}/${file.slice(0, -".d.ts".length)}`]
  )

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
  const tarballs = packages.map(({ folder }) => {
    const [{ filename }] = JSON.parse(
      run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", project], `${root}packages/${folder}`)
    )
    return `./${filename}`
  })
  install(project, ...tarballs, ...peers)
  writeFileSync(`${project}/tsconfig.json`, JSON.stringify(tsconfig))
  writeFileSync(`${project}/main.ts`, program)
}, 240_000)

afterAll(() => rmSync(project, { recursive: true, force: true }))

describe("the packages", { timeout: 120_000 }, () => {
  it("are all of them", () => {
    expect(names).toEqual(expect.arrayContaining(["capstan", "@capstan/testing"]))
  })

  it.each(names)("%s brings what its exports name, and nothing of its tests", (name) => {
    const folder = `${project}/node_modules/${name}`
    const { exports } = manifest(folder)
    expect(existsSync(`${folder}/${exports["."]?.["default"]}`)).toBe(true)
    expect(existsSync(`${folder}/${exports["."]?.["types"]}`)).toBe(true)
    const own = ownFolders[name] ?? []
    expect(readdirSync(folder).toSorted()).toEqual(["LICENSE", "README.md", "dist", "package.json", ...own, "src"])
  })

  it.each(names)("%s and each of its modules can be imported on Node", (name) => {
    const modules = modulesOf(name)
    expect(modules).toContain(name)
    writeFileSync(`${project}/import.js`, modules.map((name) => `import ${JSON.stringify(name)}\n`).join(""))
    run(process.execPath, ["import.js"], project)
  })

  it.each(names)("%s keeps its internal modules to itself", (name) => {
    writeFileSync(`${project}/import.js`, `await import("${name}/internal/any")`)
    expect(() => run(process.execPath, ["import.js"], project)).toThrow("ERR_PACKAGE_PATH_NOT_EXPORTED")
  })

  it.each(["typescript", "typescript-6"])(
    "their declarations and the README's first program compile with %s, libraries checked too",
    (compiler) => {
      const modules = names.flatMap(modulesOf)
      writeFileSync(
        `${project}/all.ts`,
        // The first line shows that errors are seen.
        `export const wrong: string = 1\n${
          modules.map((name, i) => `export * as module${i} from "${name}"\n`).join("")
        }`
      )
      writeFileSync(
        `${project}/tsconfig.all.json`,
        JSON.stringify({ extends: "./tsconfig.json", files: ["all.ts", "main.ts"] })
      )
      const { stdout } = spawnSync(
        process.execPath,
        [`${root}node_modules/${compiler}/bin/tsc`, "-p", "tsconfig.all.json", "--pretty", "false"],
        { cwd: project, encoding: "utf8" }
      )
      // What others publish is theirs to mend.
      const ours = stdout.split("\n").filter((line) =>
        line.includes("error TS") &&
        (!line.startsWith("node_modules/") || names.some((name) => line.startsWith(`node_modules/${name}/`)))
      )
      expect(ours).toEqual([expect.stringMatching(/^all\.ts\(1,14\): error TS2322/)])
    }
  )

  // The lowest version that Effect's platform packages run on, and the one that the scripts bring.
  it.each(["22.19.0", "24"])("the README's first program runs from the published files on Node %s", (version) => {
    const stdout = run(nodeOf(version), ["main.ts"], project)
    expect(stdout).toBe("Hello, world!\n")
  })

  describe("a bundle", () => {
    /** Modules of ours that a bundle of the program has. */
    const bundle = async (program: string): Promise<ReadonlyArray<string>> => {
      writeFileSync(`${project}/bundled.ts`, program)
      const { metafile } = await build({
        entryPoints: ["bundled.ts"],
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
    const enqueues = (imports: string) =>
      `${imports}
import { Effect, Schema } from "effect"
class Greet extends Job.make("Greet", { payload: { name: Schema.String } }) {}
export const main = (store: JobStore.Shape) =>
  Effect.provideService(Greet.enqueue({ name: "world" }), JobStore.JobStore, store)
`
    const worker = /^JobWorker|^internal\/worker\//
    const memory = /^internal\/memory\//

    it("of a program that only enqueues has no worker", async () => {
      const files = await bundle(enqueues("import { Job, JobStore } from \"capstan\""))
      expect(files).toContain("Job.js")
      expect(files.filter((file) => worker.test(file))).toEqual([])
    })

    // A bundler may keep all of a module that it gets through the package's entry.
    it("of one that imports the store by its path has no memory store either", async () => {
      const files = await bundle(
        enqueues("import { Job } from \"capstan\"\nimport * as JobStore from \"capstan/JobStore\"")
      )
      expect(files).toContain("Job.js")
      expect(files.filter((file) => worker.test(file) || memory.test(file))).toEqual([])
    })

    it("of a program that works has both", async () => {
      const files = await bundle(program)
      for (const runtime of [worker, memory]) expect(files.some((file) => runtime.test(file))).toBe(true)
    })
  })
})
