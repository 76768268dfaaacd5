/**
 * A throwaway Postgres: its own cluster, trusted on 127.0.0.1, no Unix socket.
 *
 * Its settings are Postgres's own defaults, so durable, but for what `settings` says. The cluster is made by `initdb`, in
 * 0.85 s of the second that a start takes. Rejected: a copy of a cluster made before, which took 0.65 s for its 39 MB.
 */
import { appendFileSync, chownSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import type { Account } from "./account.ts"
import { findPostgres, type Places, type PostgresPrograms } from "./binaries.ts"
import { run } from "./guard.ts"
import { type Kind, type Server, startServer } from "./server.ts"

export interface PostgresOptions {
  /** The major version. @default the first that is found */
  readonly version?: number
  /** Lines of `postgresql.conf`, such as `{ synchronous_commit: "off", shared_buffers: "512MB" }`. @default {} */
  readonly settings?: Readonly<Record<string, string>>
  /**
   * A disk of its own, beside the one of `PGDATA`, of so many megabytes: `smallDisk` of the server is its folder. It is in
   * memory, seen by the server alone, and gone with its process. Linux, where an account may make namespaces of its own.
   */
  readonly smallDisk?: number
  /** Makes no cluster, but takes over the files of this one, which is halted: a standby that follows it when it runs again. */
  readonly standbyOf?: Postgres
  /** Where to look for the programs. @default everywhere */
  readonly places?: Places
  /** Answers a port to try; one in use is passed over. @default a random free one */
  readonly ports?: () => Promise<number>
}

export interface Postgres extends Server, PostgresPrograms {
  /** What `-D` and `PGDATA` name. */
  readonly dataFolder: string
  /** The folder of the small disk, where there is one. */
  readonly smallDisk: string
}

/**
 * For tests: a crash of the machine may lose all of it, a crash of Postgres nothing. Several files use it at once, and one of
 * them has twenty processes, each with a pool.
 */
export const fastPostgres = { fsync: "off", full_page_writes: "off", max_connections: "300" }

/** Starts one. Fails with `ServerMissing` where there is none to start. */
export const startPostgres = async (options: PostgresOptions = {}): Promise<Postgres> => {
  const programs = findPostgres(options.version, options.places)
  const server = await startServer(kind(programs, options), options.ports)
  return Object.assign(server, programs, {
    dataFolder: dataFolder(server.folder),
    smallDisk: smallDisk(server.folder)
  })
}

const dataFolder = (folder: string): string => join(folder, "data")
const smallDisk = (folder: string): string => join(folder, "small")
const settingsFile = (folder: string): string => join(folder, "settings.conf")

/** macOS has no such locale before version 15; C sorts alike, by bytes. */
const locale = process.platform === "darwin" ? "C" : "C.UTF-8"

/**
 * Mounts the small disk where nobody else sees it, and becomes the server, by the same process id: as root of a namespace,
 * which may mount, and then as nobody in particular, since Postgres refuses root.
 */
const onSmallDisk =
  `mount -t tmpfs -o size="$1" tmpfs "$0" && shift && exec unshare -U --map-user=1000 --map-group=1000 "$@"`

const kind = (
  { bin }: PostgresPrograms,
  { settings = {}, smallDisk: megabytes, standbyOf }: PostgresOptions
): Kind => ({
  name: "postgres",
  url: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
  command: megabytes === undefined ? join(bin, "postgres") : "unshare",
  args: (folder) => [
    ...megabytes === undefined
      ? []
      : ["-Urm", "sh", "-c", onSmallDisk, smallDisk(folder), `${megabytes}m`, join(bin, "postgres")],
    "-D",
    dataFolder(folder)
  ],
  initialize: async (folder, account) => {
    if (megabytes !== undefined) {
      mkdirSync(smallDisk(folder))
      if (account !== undefined) chownSync(smallDisk(folder), account.uid, account.gid)
    }
    const log = join(folder, "initdb.log")
    if (standbyOf !== undefined) {
      await copy(standbyOf.dataFolder, dataFolder(folder), folder, account, log)
      const file = join(dataFolder(folder), "postgresql.conf")
      writeFileSync(file, readFileSync(file, "utf8").replaceAll(settingsFile(standbyOf.folder), settingsFile(folder)))
      appendFileSync(
        join(dataFolder(folder), "postgresql.auto.conf"),
        `primary_conninfo = 'host=127.0.0.1 port=${standbyOf.port} user=postgres'\n`
      )
      writeFileSync(join(dataFolder(folder), "standby.signal"), "")
      return
    }
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

/** As the account that the files are to belong to. */
const copy = async (from: string, to: string, folder: string, account: Account | undefined, log: string) => {
  const cp = await run({ command: "cp", args: ["-a", from, to], folder, account, log, lastSignal: "SIGTERM" })
  const how = await cp.finished()
  if (how !== "code 0") throw new Error(`cp ended with ${how}:\n${readFileSync(log, "utf8")}`)
}

const readPidFile = (folder: string): string => {
  try {
    return readFileSync(join(dataFolder(folder), "postmaster.pid"), "utf8")
  } catch {
    return ""
  }
}
