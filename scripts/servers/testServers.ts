/**
 * The servers of one run of the tests: those that its files need, by their own variables, and else started.
 *
 * A server that cannot be had fails the files that need it (`required.ts`), and no others.
 */
import { findPostgres, findRedis, type Places, places } from "./binaries.ts"
import { installServers, mayInstall } from "./install.ts"
import { ServerMissing, type ServerName } from "./missing.ts"
import { programsOf, reasonVariables, serversOf, urlVariables } from "./needs.ts"
import { fastPostgres, startPostgres } from "./postgres.ts"
import { startRedis } from "./redis.ts"
import type { Server } from "./server.ts"

/** What runs for the tests. */
export interface TestServers {
  /** Variables for the test files. */
  readonly env: Readonly<Record<string, string>>
  /** Why servers are missing, and what to type; empty if none is. */
  readonly missing: ReadonlyArray<string>
  readonly stop: () => Promise<void>
}

export interface TestServersOptions {
  /** Variables that may name a server, which is then used as it is. */
  readonly given: Readonly<Record<string, string | undefined>>
  /** Where to look for the programs. @default everywhere */
  readonly places?: Places
  /** Installs servers whose programs are missing. @default Debian's packages in CI, else nothing */
  readonly install?: (servers: ReadonlyArray<ServerName>) => void
}

/** Starts what these files need. */
export const startTestServers = async (
  files: ReadonlyArray<string>,
  {
    given,
    install = mayInstall() ? installServers : () => {},
    places: where = places()
  }: TestServersOptions
): Promise<TestServers> => {
  const needed = (of: (file: string) => ReadonlyArray<ServerName>) =>
    [...new Set(files.flatMap(of))].filter((name) => given[urlVariables[name]] === undefined)

  const missing = afterInstall(needed(programsOf), where, install).map(({ message }) => message)
  const env: Record<string, string> = {}
  const running: Array<Server> = []
  await Promise.all(
    needed(serversOf).map(async (name) => {
      try {
        const server = await start[name](where)
        running.push(server)
        env[urlVariables[name]] = server.url
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        if (!missing.includes(reason)) missing.push(reason)
        env[reasonVariables[name]] = reason
      }
    })
  )
  return {
    env,
    missing,
    stop: async () => {
      await Promise.all(running.map((server) => server.stop()))
    }
  }
}

const whyMissing = (name: ServerName, where: Places): ServerMissing | undefined => {
  try {
    find[name](where)
    return undefined
  } catch (error) {
    if (error instanceof ServerMissing) return error
    throw error
  }
}

/** What is missing after the attempt to install it. One that fails is shown, and the tests that need no server run. */
const afterInstall = (
  names: ReadonlyArray<ServerName>,
  where: Places,
  install: (servers: ReadonlyArray<ServerName>) => void
): ReadonlyArray<ServerMissing> => {
  const missing = () => names.flatMap((name) => whyMissing(name, where) ?? [])
  const before = missing()
  if (before.length === 0) return before
  try {
    install(before.map(({ server }) => server))
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
  }
  return missing()
}

const find: Record<ServerName, (where: Places) => unknown> = {
  postgres: (where) => findPostgres(undefined, where),
  redis: findRedis
}

const start: Record<ServerName, (where: Places) => Promise<Server>> = {
  postgres: (where) => startPostgres({ settings: fastPostgres, places: where }),
  redis: (where) => startRedis({ places: where })
}
