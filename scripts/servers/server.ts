/**
 * The life of one server, whichever it is: start, crash, restart, stop.
 *
 * It listens on 127.0.0.1 alone and keeps its port over a restart. `stop` removes its folder; until then its files stay,
 * also over a crash. When our process ends first, the guard does both.
 */
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type Account, serverAccount } from "./account.ts"
import { makeFolder, removeFolder, run, type Running } from "./guard.ts"
import type { ServerName } from "./missing.ts"
import { freePort } from "./port.ts"
import { until } from "./until.ts"

/** A server that we started. */
export interface Server {
  readonly url: string
  readonly port: number
  /** Of the process that runs, or ran last: another one after a restart. */
  readonly pid: number
  /** Its own folder under the system's temporary directory. */
  readonly folder: string
  /** What it logged so far. */
  readonly log: () => string
  /** Ends it as an operator would, and keeps its files for `restart`. */
  readonly halt: () => Promise<void>
  /** Ends it at once, with nothing put in order: Postgres as by `pg_ctl stop -m immediate`, Redis by SIGKILL. */
  readonly crash: () => Promise<void>
  /** Starts it on its files and its port. One that runs is halted first. */
  readonly restart: () => Promise<void>
  /** Ends it and removes its folder. Safe to call twice. */
  readonly stop: () => Promise<void>
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/** What the kinds of servers differ in. */
export interface Kind {
  readonly name: ServerName
  readonly url: (port: number) => string
  readonly command: string
  readonly args: (folder: string) => ReadonlyArray<string>
  /** Makes what lasts, once. */
  readonly initialize: (folder: string, account: Account | undefined) => Promise<void>
  /** Writes the settings, before the server is started on a port. */
  readonly configure: (folder: string, port: number) => void
  readonly isReady: (started: Started) => boolean
  readonly halt: NodeJS.Signals
  readonly crash: NodeJS.Signals
}

/** A process that may not be ready yet. */
export interface Started {
  readonly folder: string
  readonly pid: number
  /** What this process logged. */
  readonly log: string
}

/** Starts a server of this kind. `ports` answers a port to try; one in use is passed over. */
export const startServer = async (kind: Kind, ports: () => Promise<number> = freePort): Promise<Server> => {
  const account = serverAccount()
  const home: Home = { kind, account, folder: await makeFolder(kind.name, account) }
  try {
    await kind.initialize(home.folder, account)
    return makeServer(home, await startOnSomePort(home, ports, tries))
  } catch (error) {
    await removeFolder(home.folder)
    throw error
  }
}

/** Ports that are tried. */
const tries = 10

/** Seconds in which a server is ready, or has ended after it was told to. */
const patience = 60

interface Home {
  readonly kind: Kind
  readonly folder: string
  readonly account: Account | undefined
}

interface Up {
  readonly port: number
  readonly running: Running
}

const startOnSomePort = async (home: Home, ports: () => Promise<number>, left: number): Promise<Up> => {
  const port = await ports()
  try {
    return { port, running: await startOnPort(home, port) }
  } catch (error) {
    if (!(error instanceof StartFailed && error.portInUse) || left === 1) throw error
    return startOnSomePort(home, ports, left - 1)
  }
}

const startOnPort = async (home: Home, port: number): Promise<Running> => {
  const { account, folder, kind } = home
  kind.configure(folder, port)
  const earlier = readLog(folder).length
  const logged = () => readLog(folder).slice(earlier)
  const running = await run({
    command: kind.command,
    args: kind.args(folder),
    folder,
    account,
    log: logFile(folder),
    lastSignal: kind.crash
  })
  try {
    const outcome = await until(
      `${kind.name} is ready`,
      () => running.outcome() ?? kind.isReady({ folder, pid: running.pid, log: logged() }),
      patience
    )
    if (outcome !== true) throw new StartFailed(kind, outcome, logged())
    return running
  } catch (error) {
    await end(kind, running, "SIGKILL")
    throw error
  }
}

const logFile = (folder: string): string => join(folder, "server.log")

const readLog = (folder: string): string => {
  const file = logFile(folder)
  return existsSync(file) ? readFileSync(file, "utf8") : ""
}

/** A server that ended instead of starting. */
class StartFailed extends Error {
  readonly portInUse: boolean

  constructor(kind: Kind, how: string, log: string) {
    super(`${kind.name} did not start (${how}):\n${log.trimEnd().split("\n").slice(-20).join("\n")}`)
    this.portInUse = log.includes("Address already in use")
  }
}

const end = async (kind: Kind, running: Running, signal: NodeJS.Signals): Promise<void> => {
  await running.kill(signal)
  await until(`${kind.name} has ended after ${signal}`, running.outcome, patience)
}

const makeServer = (home: Home, first: Up): Server => {
  const { folder, kind } = home
  const { port } = first
  let { running } = first
  let stopped: Promise<void> | undefined

  const server: Server = {
    url: kind.url(port),
    port,
    get pid() {
      return running.pid
    },
    folder,
    log: () => readLog(folder),
    halt: () => end(kind, running, kind.halt),
    crash: () => end(kind, running, kind.crash),
    restart: async () => {
      await server.halt()
      running = await startOnPort(home, port)
    },
    stop: () => stopped ??= end(kind, running, kind.crash).then(() => removeFolder(folder)),
    [Symbol.asyncDispose]: () => server.stop()
  }
  return server
}
