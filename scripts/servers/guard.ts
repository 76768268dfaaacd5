/**
 * The guard: a process of its own that runs the servers for us, and ends them when we end, however we end.
 *
 * It is their parent, not we, so there is no instant at which a server runs and nobody knows its process id. The two talk
 * over a channel that the system closes with our process, SIGKILL included; then the guard ends what runs and removes
 * the folders. It has a session of its own: Ctrl-C reaches neither it nor the servers.
 *
 * Rejected: a guard that is told the ids of servers which we start. One of a process killed in between stays.
 */
import { type ChildProcess, fork } from "node:child_process"
import { tmpdir } from "node:os"
import { fileURLToPath } from "node:url"
import type { Account } from "./account.ts"
import type { Answer, Ask, Program } from "./guardProcess.ts"

/** A program that the guard runs. */
export interface Running {
  readonly pid: number
  /** How it has ended, "code 1" or "SIGKILL", and `undefined` while it runs. */
  readonly outcome: () => string | undefined
  /** Waits for its outcome. */
  readonly finished: () => Promise<string>
  readonly kill: (signal: NodeJS.Signals) => Promise<void>
}

/** A new empty folder under the system's temporary directory that `account` owns. */
export const makeFolder = async (name: string, account: Account | undefined): Promise<string> =>
  (await ask({ type: "makeFolder", name, account })).path!

/** Removes a folder that `makeFolder` made. */
export const removeFolder = async (path: string): Promise<void> => {
  await ask({ type: "removeFolder", path })
}

/** Runs a program until it ends by itself or we do. */
export const run = async (program: Program): Promise<Running> => {
  const id = nextId++
  let outcome: string | undefined
  const { promise, resolve } = Promise.withResolvers<string>()
  // Before it is asked for: a program that ends at once may be reported in one go with its start.
  const entry: Entry = {
    pid: undefined,
    end: (how) => {
      outcome = how
      resolve(how)
    }
  }
  running.set(id, entry)
  const { pid } = await ask({ type: "run", program }, id)
  entry.pid = pid
  return {
    pid: pid!,
    outcome: () => outcome,
    finished: () => hold(promise),
    kill: async (signal) => {
      await ask({ type: "kill", run: id, signal })
    }
  }
}

interface Entry {
  pid: number | undefined
  readonly end: (how: string) => void
}

/** One per process, made when it is first needed, and alive until the process ends. */
let guard: ChildProcess | undefined
let nextId = 0
const open = new Map<number, PromiseWithResolvers<Answer>>()
const running = new Map<number, Entry>()

const ask = (question: Ask, id: number = nextId++): Promise<Answer> => {
  guard ??= startGuard()
  const answer = Promise.withResolvers<Answer>()
  open.set(id, answer)
  guard.send({ ...question, id }, (error) => error && answer.reject(error))
  return hold(answer.promise)
}

let holds = 0

/** What we wait for keeps our process alive. A server that runs does not: it ends with the process. */
const hold = async <A>(promise: Promise<A>): Promise<A> => {
  holds++
  guard?.channel?.ref()
  try {
    return await promise
  } finally {
    holds--
    if (holds === 0) guard?.channel?.unref()
  }
}

const startGuard = (): ChildProcess => {
  const child = fork(fileURLToPath(new URL("guardProcess.ts", import.meta.url)), {
    detached: true,
    stdio: ["ignore", "ignore", "ignore", "ipc"],
    // What our own Node was started with, a debugger's port for one, is not for this one.
    execArgv: [],
    env: { TMPDIR: tmpdir() }
  })
  child.unref()
  child.on("message", (answer: Answer) => {
    if (answer.ended !== undefined) {
      running.get(answer.id)?.end(answer.ended)
      running.delete(answer.id)
      return
    }
    const question = open.get(answer.id)
    open.delete(answer.id)
    if (answer.error === undefined) question?.resolve(answer)
    else {
      running.delete(answer.id)
      question?.reject(new Error(answer.error))
    }
  })
  child.on("exit", (code, signal) => lose(new Error(`the guard of the servers ended by ${signal ?? `code ${code}`}`)))
  child.on("error", lose)
  return child
}

/** Only we know of its servers now. They end: the next guard could not see when they do. */
const lose = (error: Error) => {
  guard = undefined
  for (const { reject } of open.values()) reject(error)
  for (const { end, pid } of running.values()) {
    try {
      if (pid !== undefined) process.kill(pid, "SIGKILL")
    } catch {
      // It had ended already.
    }
    end(error.message)
  }
  open.clear()
  running.clear()
}
