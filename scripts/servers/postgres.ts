/**
 * A throwaway Postgres: its own cluster, trusted on 127.0.0.1, no Unix socket.
 *
 * Its settings are Postgres's own defaults, so durable, but for what `settings` says. The cluster is made by `initdb`, in
 * 0.85 s of the second that a start takes. Rejected: a copy of a cluster made before, which took 0.65 s for its 39 MB.
 */
import { appendFileSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { findPostgres, type Places, type PostgresPrograms } from "./binaries.ts"
import { run } from "./guard.ts"
import { type Kind, type Server, startServer } from "./server.ts"

export interface PostgresOptions {
  /** The major version. @default the first that is found */
  readonly version?: number
  /** Lines of `postgresql.conf`, such as `{ synchronous_commit: "off", shared_buffers: "512MB" }`. @default {} */
  readonly settings?: Readonly<Record<string, string>>
  /** Where to look for the programs. @default everywhere */
  readonly places?: Places
  /** Answers a port to try; one in use is passed over. @default a random free one */
  readonly ports?: () => Promise<number>
}

export interface Postgres extends Server, PostgresPrograms {
  /** What `-D` and `PGDATA` name. */
  readonly dataFolder: string
}

/**
 * For tests: a crash of the machine may lose all of it, a crash of Postgres nothing. Several files use it at once, and one of
 * them has twenty processes, each with a pool.
 */
export const fastPostgres = { fsync: "off", full_page_writes: "off", max_connections: "300" }

/** Starts one. Fails with `ServerMissing` where there is none to start. */
export const startPostgres = async (options: PostgresOptions = {}): Promise<Postgres> => {
  const programs = findPostgres(options.version, options.places)
  const server = await startServer(kind(programs, options.settings ?? {}), options.ports)
  return Object.assign(server, programs, { dataFolder: dataFolder(server.folder) })
}

const dataFolder = (folder: string): string => join(folder, "data")
const settingsFile = (folder: string): string => join(folder, "settings.conf")

/** macOS has no such locale before version 15; C sorts alike, by bytes. */
const locale = process.platform === "darwin" ? "C" : "C.UTF-8"

const kind = ({ bin }: PostgresPrograms, settings: Readonly<Record<string, string>>): Kind => ({
  name: "postgres",
  url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
  command: join(bin, "postgres"),
  args: (folder) => ["-D", dataFolder(folder)],
  initialize: async (folder, account) => {
    const log = join(folder, "initdb.log")
    const initdb = await run({
      command: join(bin, "initdb"),
      args: [
        "-D",
        dataFolder(folder),
        "--username=postgres",
        "--auth=trust",
        `--locale=${locale}`,
        "--encoding=UTF8",
        // A cluster that is thrown away need not survive a crash of the machine while it is made.
        "--no-sync"
      ],
      folder,
      account,
      log,
      lastSignal: "SIGTERM"
    })
    const how = await initdb.finished()
    if (how !== "code 0") throw new Error(`initdb ended with ${how}:\n${readFileSync(log, "utf8")}`)
    writeFileSync(
      join(dataFolder(folder), "pg_hba.conf"),
      "host all all 127.0.0.1/32 trust\nhost replication all 127.0.0.1/32 trust\n"
    )
    appendFileSync(join(dataFolder(folder), "postgresql.conf"), `include '${settingsFile(folder)}'\n`)
  },
  configure: (folder, port) => {
    const all = { listen_addresses: "127.0.0.1", unix_socket_directories: "", ...settings, port: String(port) }
    const lines = Object.entries(all).map(([name, value]) => `${name} = '${value.replaceAll("'", "''")}'\n`)
    writeFileSync(settingsFile(folder), lines.join(""))
  },
  // The file that `pg_ctl` reads too: the process id on its first line, the status on its eighth.
  isReady: ({ folder, pid }) => {
    const lines = readPidFile(folder).split("\n")
    return Number(lines[0]) === pid && lines[7]?.trim() === "ready"
  },
  halt: "SIGINT",
  crash: "SIGQUIT"
})

const readPidFile = (folder: string): string => {
  try {
    return readFileSync(join(dataFolder(folder), "postmaster.pid"), "utf8")
  } catch {
    return ""
  }
}
