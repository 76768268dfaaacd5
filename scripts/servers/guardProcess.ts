/**
 * The program of the guard (`guard.ts` says why it exists).
 *
 * It ends when the channel to its parent closes or when it is asked to by a signal: each program first gets the signal
 * that ends it fast, then SIGKILL; then the folders go.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { chownSync, closeSync, mkdtempSync, openSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import type { Account } from "./account.ts"

/** What to run, and how to end it when nobody is left who could ask. */
export interface Program {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly folder: string
  readonly account: Account | undefined
  /** The file that its output is appended to. */
  readonly log: string
  readonly lastSignal: NodeJS.Signals
}

export type Ask =
  | { readonly type: "makeFolder"; readonly name: string; readonly account: Account | undefined }
  | { readonly type: "removeFolder"; readonly path: string }
  | { readonly type: "run"; readonly program: Program }
  | { readonly type: "kill"; readonly run: number; readonly signal: NodeJS.Signals }

/** To the question of the same id, once; and with `ended`, later, to one that ran a program. */
export interface Answer {
  readonly id: number
  readonly error?: string
  readonly path?: string
  readonly pid?: number
  readonly ended?: string
}

/** Milliseconds that a program has to end by its own signal. */
const patience = 5000

const running = new Map<number, { readonly child: ChildProcess; readonly lastSignal: NodeJS.Signals }>()
const folders = new Set<string>()

const answer = (answer: Answer) => {
  if (process.connected) process.send!(answer)
}

/** Nothing of the caller's environment: PGPORT, PGDATA and their like would change what the servers do. */
const env = { PATH: "/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" }

const run = (id: number, { account, args, command, folder, lastSignal, log }: Program) => {
  const output = openSync(log, "a")
  const child = spawn(command, args, {
    cwd: folder,
    env,
    stdio: ["ignore", output, output],
    ...(account === undefined ? {} : { uid: account.uid, gid: account.gid })
  })
  closeSync(output)
  running.set(id, { child, lastSignal })
  child.once("spawn", () => answer({ id, pid: child.pid! }))
  child.once("error", (error) => {
    running.delete(id)
    answer({ id, error: `cannot run ${command}: ${error.message}` })
    endIfDone()
  })
  child.once("exit", (code, signal) => {
    running.delete(id)
    answer({ id, ended: signal ?? `code ${code}` })
    endIfDone()
  })
}

const makeFolder = (name: string, account: Account | undefined): string => {
  const path = mkdtempSync(`${tmpdir()}/capstan-${name}-`)
  folders.add(path)
  if (account !== undefined) chownSync(path, account.uid, account.gid)
  return path
}

/** A process that is ending may still write into its folder: the removal is tried again. */
const removeFolder = (path: string) => {
  rmSync(path, { recursive: true, force: true, maxRetries: 20 })
  folders.delete(path)
}

const handle = (question: Ask & { readonly id: number }) => {
  const { id } = question
  switch (question.type) {
    case "makeFolder":
      return answer({ id, path: makeFolder(question.name, question.account) })
    case "removeFolder":
      removeFolder(question.path)
      return answer({ id })
    case "run":
      return run(id, question.program)
    case "kill":
      running.get(question.run)?.child.kill(question.signal)
      return answer({ id })
  }
}

let ending = false

const end = () => {
  if (ending) return
  ending = true
  for (const { child, lastSignal } of running.values()) child.kill(lastSignal)
  setTimeout(() => {
    for (const { child } of running.values()) child.kill("SIGKILL")
  }, patience).unref()
  endIfDone()
}

const endIfDone = () => {
  if (!ending || running.size > 0) return
  for (const folder of folders) {
    try {
      removeFolder(folder)
    } catch {
      // Nobody is left who could be told, and the other folders are to go as well.
    }
  }
  process.exit()
}

process.on("message", (question: Ask & { readonly id: number }) => {
  try {
    handle(question)
  } catch (error) {
    answer({ id: question.id, error: String(error) })
  }
})
process.on("disconnect", end)
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, end)
