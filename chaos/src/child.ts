/** A process of ours: forked, told what to do, killed and frozen by its own id. */
import { build, type BuildOptions } from "esbuild"
import { type ChildProcess, fork } from "node:child_process"
import { openSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { freeze } from "./freeze.ts"
import type { Ask, Tell } from "./processes.ts"
import { otherWords, packagesIn, releaseBefore, unpack } from "./release.ts"

export type Program = "worker" | "producer"

/** Milliseconds between two requests to end. */
const again = 100

const path = (program: Program): string => fileURLToPath(new URL(`${program}.ts`, import.meta.url))

/**
 * Puts each program into one file, in a folder. They are started again and again, on the cores that everything else runs
 * on: a start takes 0.1 s of a core so, and 0.5 s from the sources.
 */
export const bundle = async (folder: string): Promise<void> => {
  await build({ ...common, outdir: folder, conditions: ["@capstan/source"] })
}

/** The same programs with the packages of the release before; `isIncompatible` with a part of it that the present one lacks. */
export const bundleBefore = async (folder: string, isIncompatible: boolean): Promise<void> => {
  const packages = join(folder, "packages")
  unpack(releaseBefore(), packages)
  await build({
    ...common,
    outdir: folder,
    conditions: [],
    // What its packages need beside each other is what is installed here.
    nodePaths: [fileURLToPath(new URL("../../node_modules", import.meta.url))],
    plugins: [packagesIn(packages), ...isIncompatible ? [otherWords] : []]
  })
}

const common = {
  entryPoints: [path("worker"), path("producer")],
  outExtension: { ".js": ".mjs" },
  bundle: true,
  splitting: true,
  platform: "node",
  format: "esm",
  // A client that is CommonJS asks for Node's own modules by `require`.
  banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  logLevel: "warning"
} satisfies BuildOptions

export class Child {
  readonly name: string
  private readonly process: ChildProcess
  private readonly told = new Map<Tell["_tag"], PromiseWithResolvers<void>>()
  /** Resolves when it is gone: with the signal or the code that ended it. */
  readonly ended: Promise<string>
  isGone = false
  isFrozen = false
  /** By us. */
  isKilled = false

  /** `programs` is where `bundle` put them. */
  constructor(
    program: Program,
    { folder, name, programs, store }: Readonly<Record<"folder" | "name" | "programs" | "store", string>>
  ) {
    this.name = name
    const log = openSync(join(folder, `${name}.log`), "a")
    this.process = fork(join(programs, `${program}.mjs`), [store], {
      execArgv: [],
      stdio: ["ignore", log, log, "ipc"],
      env: { ...process.env, NODE_COMPILE_CACHE: join(programs, "compiled") }
    })
    this.process.on("message", ({ _tag }: Tell) => this.when(_tag).resolve())
    this.ended = new Promise((resolve) => {
      this.process.once("exit", (code, signal) => {
        this.isGone = true
        resolve(signal ?? `code ${code}`)
      })
    })
  }

  private when(tag: Tell["_tag"]): PromiseWithResolvers<void> {
    let waiting = this.told.get(tag)
    if (waiting === undefined) this.told.set(tag, waiting = Promise.withResolvers())
    return waiting
  }

  /** Resolves when it says so, and when it ends. */
  async hears(tag: Tell["_tag"]): Promise<boolean> {
    return Promise.race([this.when(tag).promise.then(() => true), this.ended.then(() => false)])
  }

  ask(ask: Ask): void {
    // It may die before it hears of it, which is what the run is about; without a callback that would end the runner.
    if (this.process.connected) this.process.send(ask, () => {})
  }

  async kill(): Promise<void> {
    this.isKilled = true
    this.process.kill("SIGKILL")
    await this.ended
  }

  /** Asks it to end, and once more a moment later, as impatient supervisors do. */
  async terminate(): Promise<void> {
    this.isKilled = true
    this.process.kill("SIGTERM")
    await Promise.race([this.ended, sleep(again)])
    this.process.kill("SIGTERM")
    await this.ended
  }

  /** Resolves when it goes on. */
  freeze(seconds: number): Promise<void> {
    this.isFrozen = true
    const freezer = freeze(this.process.pid!, seconds)
    return new Promise((resolve) => {
      freezer.once("exit", () => {
        this.isFrozen = false
        resolve()
      })
    })
  }
}
