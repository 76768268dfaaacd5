/** A throwaway Redis: memory only unless `appendonly` is on, protected, on 127.0.0.1. */
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { findRedis, type Places } from "./binaries.ts"
import { type Kind, type Server, startServer } from "./server.ts"

export interface RedisOptions {
  /** Lines of `redis.conf`, such as `{ appendonly: "yes", appendfsync: "always" }`. @default {} */
  readonly settings?: Readonly<Record<string, string>>
  /** Where to look for the program. @default everywhere */
  readonly places?: Places
  /** Answers a port to try; one in use is passed over. @default a random free one */
  readonly ports?: () => Promise<number>
}

export interface Redis extends Server {}

/** Starts one. Fails with `ServerMissing` where there is none to start. */
export const startRedis = (options: RedisOptions = {}): Promise<Redis> =>
  startServer(kind(findRedis(options.places), options.settings ?? {}), options.ports)

const settingsFile = (folder: string): string => join(folder, "redis.conf")

const kind = (command: string, settings: Readonly<Record<string, string>>): Kind => ({
  name: "redis",
  url: (port) => `redis://127.0.0.1:${port}`,
  command,
  args: (folder) => [settingsFile(folder)],
  initialize: async () => {},
  configure: (folder, port) => {
    const all = { bind: "127.0.0.1", "protected-mode": "yes", save: "\"\"", dir: folder, ...settings, port }
    const lines = Object.entries(all).map(([name, value]) => `${name} ${value}\n`)
    writeFileSync(settingsFile(folder), lines.join(""))
  },
  isReady: ({ log }) => log.includes("Ready to accept connections"),
  halt: "SIGTERM",
  crash: "SIGKILL"
})
