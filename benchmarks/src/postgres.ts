/**
 * A throwaway Postgres for one run of the bench: on a free loopback port, in a folder of its own, ended by its process id.
 * As root it runs as the user `postgres`, since initdb refuses root.
 *
 * To be replaced by `startPostgres` of `scripts/servers`, which has the same shape.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { chownSync, closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { sleep } from "./system.ts"

export interface PostgresServer {
  readonly url: string
  readonly port: number
  readonly pid: number
  readonly folder: string
  readonly stop: () => Promise<void>
}

/** The newest that is installed: `PATH`, then Debian's folders. */
const findBinaries = (): string => {
  const versions = "/usr/lib/postgresql"
  const debian = existsSync(versions)
    ? readdirSync(versions).toSorted((a, b) => Number(b) - Number(a)).map((version) => `${versions}/${version}/bin`)
    : []
  const folders = [...(process.env.PATH ?? "").split(delimiter), ...debian]
  const folder = folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")))
  if (folder === undefined) throw new Error("no Postgres found: apt-get install postgresql, or give --url")
  return folder
}

/** Root's stand-in; anybody else runs the server himself. */
const owner = (): { readonly uid: number; readonly gid: number } | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const users = readFileSync("/etc/passwd", "utf8").split("\n").map((line) => line.split(":"))
  const user = users.find(([name]) => name === "postgres") ?? users.find(([name]) => name === "nobody")
  return { uid: Number(user![2]), gid: Number(user![3]) }
}

const freePort = (): Promise<number> =>
  new Promise((resolve, reject) => {
    const server = createServer().once("error", reject)
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0))
    })
  })

const exited = (child: ChildProcess): Promise<void> =>
  child.exitCode !== null || child.signalCode !== null
    ? Promise.resolve()
    : new Promise((resolve) => child.once("exit", () => resolve()))

export const startPostgres = async (options: {
  readonly settings: Readonly<Record<string, string>>
}): Promise<PostgresServer> => {
  const binaries = findBinaries()
  const folder = mkdtempSync(join(tmpdir(), "capstan-bench-pg-"))
  const as = owner()
  if (as !== undefined) chownSync(folder, as.uid, as.gid)
  const data = join(folder, "data")
  // Nothing of the caller's own servers may reach it.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("PG")))

  const init = spawnSync(
    join(binaries, "initdb"),
    ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
    { ...as, cwd: folder, encoding: "utf8", env }
  )
  if (init.status !== 0) throw new Error(`initdb: ${init.stderr}`)

  const port = await freePort()
  const settings = Object.entries({
    ...options.settings,
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: ""
  })
  const logFile = join(folder, "log")
  const log = openSync(logFile, "a")
  const server = spawn(
    join(binaries, "postgres"),
    ["-D", data, ...settings.flatMap(([name, value]) => ["-c", `${name}=${value}`])],
    // A group of its own: Ctrl-C is for the bench, which then ends the server.
    // Its log is a file: a pipe that nobody reads stops the checkpointer.
    { ...as, cwd: folder, detached: true, env, stdio: ["ignore", "ignore", log] }
  )
  /** It writes its last files while it ends. */
  const remove = () => {
    for (let attempt = 0; attempt < 40 && existsSync(folder); attempt++) {
      try {
        rmSync(folder, { recursive: true, force: true })
      } catch {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50)
      }
    }
  }
  const endNow = () => {
    if (server.exitCode === null) server.kill("SIGQUIT")
    remove()
  }
  process.once("exit", endNow)

  while (!readFileSync(logFile, "utf8").includes("ready to accept connections")) {
    if (server.exitCode !== null) throw new Error(`postgres ended: ${readFileSync(logFile, "utf8")}`)
    await sleep(20)
  }
  closeSync(log)

  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    port,
    pid: server.pid!,
    folder,
    stop: async () => {
      process.off("exit", endNow)
      server.kill("SIGINT")
      await exited(server)
      remove()
    }
  }
}
