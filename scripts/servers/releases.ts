/** The releases that are kept, installed as a user has them, and processes of theirs and of today's code. */
import type { JobStore } from "capstan"
import { Deferred, Effect, type Scope } from "effect"
import { type ChildProcess, fork, spawnSync } from "node:child_process"
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { dirname } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../../", import.meta.url))

/** A program that can be run, and on what. */
export interface Release {
  readonly name: string
  readonly program: string
  readonly execArgv: ReadonlyArray<string>
}

/** The code of today, in such a program. */
export const presentOf = (program: URL): Release => ({
  name: "this one",
  program: fileURLToPath(program),
  execArgv: ["--conditions=@capstan/source"]
})

/** The folders of the releases that are kept. */
export const kept: ReadonlyArray<string> = readdirSync(`${root}fixtures/releases`)

interface Manifest {
  readonly name: string
  readonly peerDependencies?: Readonly<Record<string, string>>
}

/**
 * Unpacks a release's archives as an installation would, without a registry: what they need beside each other is linked
 * from what is installed here. `program` is the one that was kept with it.
 */
export const install = (version: string, program: string): Effect.Effect<Release, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const from = `${root}fixtures/releases/${version}`
      const folder = mkdtempSync(`${tmpdir()}/capstan-${version}-`)
      const manifests = readdirSync(from).filter((file) => file.endsWith(".tgz")).map((file) =>
        unpack(`${from}/${file}`, folder)
      )
      const own = new Set(manifests.map(({ name }) => name))
      const peers = manifests.flatMap(({ peerDependencies = {} }) => Object.keys(peerDependencies))
      for (const peer of new Set(peers)) {
        if (own.has(peer)) continue
        mkdirSync(dirname(`${folder}/node_modules/${peer}`), { recursive: true })
        symlinkSync(`${root}node_modules/${peer}`, `${folder}/node_modules/${peer}`)
      }
      writeFileSync(`${folder}/package.json`, JSON.stringify({ private: true, type: "module" }))
      copyFileSync(`${from}/${program}`, `${folder}/program.ts`)
      return { folder, release: { name: version, program: `${folder}/program.ts`, execArgv: [] } }
    }),
    ({ folder }) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  ).pipe(Effect.map(({ release }) => release))

/** Moves what is in the archive to where its package's name is resolved. */
const unpack = (archive: string, folder: string): Manifest => {
  const temporary = mkdtempSync(`${folder}/package-`)
  const tar = spawnSync("tar", ["-xzf", archive, "--strip-components=1", "-C", temporary], { encoding: "utf8" })
  if (tar.status !== 0) throw new Error(`cannot unpack ${archive}: ${tar.stderr}${tar.error?.message ?? ""}`)
  const manifest: Manifest = JSON.parse(readFileSync(`${temporary}/package.json`, "utf8"))
  const place = `${folder}/node_modules/${manifest.name}`
  mkdirSync(dirname(place), { recursive: true })
  renameSync(temporary, place)
  return manifest
}

/** What a handler has said of its attempt. */
export interface Told {
  readonly event: "began" | "done"
  readonly id: string
  readonly attempt: number
  readonly fence: number
}

/** A running process. */
export interface Process {
  readonly release: Release
  /** What its handlers have said, in their order. */
  readonly told: ReadonlyArray<Told>
  /** Fails with what the process answered. */
  readonly tell: <A>(command: string, argument?: unknown) => Effect.Effect<A, string>
  readonly kill: Effect.Effect<void>
}

/** Starts a process on a place in a store. It has opened no store yet. */
export const start = (release: Release, url: string, place: string): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.acquireRelease(launch(release, url, place), ({ kill }) => kill)

/** The store of a process, as far as its verbs are asked for one at a time. */
export const storeOf = ({ tell }: Process): JobStore.Shape => {
  const verb = (verb: keyof JobStore.Shape) => (...args: ReadonlyArray<unknown>) => tell("store", { verb, args })
  const effects = new Set<PropertyKey>(["describe", "stats", "maintain"])
  return new Proxy({} as JobStore.Shape, {
    get: (_, name) => effects.has(name) ? verb(name as never)() : verb(name as never)
  })
}

const launch = (release: Release, url: string, place: string): Effect.Effect<Process> =>
  Effect.gen(function*() {
    const child = fork(release.program, [url, place], {
      execArgv: [...release.execArgv],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "inherit", "ipc"]
    })
    const ended = endOf(child)
    const ready = yield* Deferred.make<void, string>()
    const told: Array<Told> = []
    const open = new Map<number, (answer: Effect.Effect<never, string> | Effect.Effect<unknown>) => void>()
    let asked = 0
    let gone: Effect.Effect<never, string> | undefined
    child.on("message", (message: Message) => {
      if ("answers" in message) {
        const { answer, answers, failure } = message
        open.get(answers)?.(failure === undefined ? Effect.succeed(answer) : Effect.fail(failure))
        open.delete(answers)
      } else if (message.event === "ready") Deferred.doneUnsafe(ready, Effect.void)
      else told.push(message)
    })
    child.once("exit", (code, signal) => {
      gone = Effect.fail(`the process of ${release.name} ended by ${signal ?? `code ${code}`}`)
      Deferred.doneUnsafe(ready, gone)
      for (const resume of open.values()) resume(gone)
    })
    yield* Effect.orDie(Deferred.await(ready))
    return {
      release,
      told,
      tell: <A>(name: string, argument?: unknown) =>
        Effect.callback<A, string>((resume) => {
          if (gone !== undefined) return resume(gone)
          open.set(++asked, resume as never)
          child.send({ id: asked, name, argument })
        }),
      kill: Effect.andThen(Effect.sync(() => child.kill("SIGKILL")), ended)
    }
  })

type Message =
  | { readonly answers: number; readonly answer?: unknown; readonly failure?: string }
  | { readonly event: "ready" }
  | Told

const endOf = (child: ChildProcess): Effect.Effect<void> => {
  const end = new Promise<void>((resolve) => child.once("exit", () => resolve()))
  return Effect.promise(() => end)
}
