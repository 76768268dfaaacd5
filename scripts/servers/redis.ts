/** A throwaway Redis: memory only unless `appendonly` is on, protected, on 127.0.0.1. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { findRedis, type Places } from "./binaries.ts"
import { command, type Reply } from "./resp.ts"
import { type Kind, type Server, startServer } from "./server.ts"

/** Lines of `redis.conf`; a few are to be known only when the port is. */
export type RedisSettings = Readonly<Record<string, string>> | ((port: number) => Readonly<Record<string, string>>)

export interface RedisOptions {
  /** Such as `durableRedis`, or `{ maxmemory: "64mb" }`. @default {} */
  readonly settings?: RedisSettings
  /** Where to look for the program. @default everywhere */
  readonly places?: Places
  /** Answers a port to try; one in use is passed over. @default a random free one */
  readonly ports?: () => Promise<number>
}

export interface Redis extends Server {
  /** As an operator, on a connection of its own: `command("CLIENT", "PAUSE", 500)`. */
  readonly command: (...args: ReadonlyArray<string | number>) => Promise<Reply>
}

/** What was acknowledged is on the disk, at the latest after a second; `appendfsync: "always"` before the answer. */
export const durableRedis = (appendfsync: "everysec" | "always" = "everysec") => ({ appendonly: "yes", appendfsync })

/** Starts one. Fails with `ServerMissing` where there is none to start. */
export const startRedis = async (options: RedisOptions = {}): Promise<Redis> => {
  const server = await startServer(kind(findRedis(options.places), options.settings ?? {}), options.ports)
  const extra: Pick<Redis, "command"> = { command: (...args) => command(server.port, ...args) }
  // Not spread: the process id is another one after a restart.
  return Object.assign(server, extra)
}

const settingsFile = (folder: string): string => join(folder, "redis.conf")

const kind = (program: string, settings: RedisSettings): Kind => ({
  name: "redis",
  url: (port) => `redis://127.0.0.1:${port}`,
  command: program,
  args: (folder) => [settingsFile(folder)],
  initialize: async () => {},
  configure: (folder, port) => {
    const own = typeof settings === "function" ? settings(port) : settings
    const all = { bind: "127.0.0.1", "protected-mode": "yes", save: "\"\"", dir: folder, ...own, port }
    const lines = Object.entries(all).map(([name, value]) => `${name} ${value}\n`)
    writeFileSync(settingsFile(folder), lines.join(""))
  },
  isReady: ({ log }) => log.includes("Ready to accept connections"),
  halt: "SIGTERM",
  crash: "SIGKILL"
})
