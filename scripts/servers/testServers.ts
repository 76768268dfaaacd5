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

/** Starts what these files need. Variables in `given` that name a server are used as they are. */
export const startTestServers = async (
  files: ReadonlyArray<string>,
  given: Readonly<Record<string, string | undefined>>,
  where: Places = places()
): Promise<TestServers> => {
  const names = (of: (file: string) => ReadonlyArray<ServerName>) => [...new Set(files.flatMap(of))]
  const isGiven = (name: ServerName) => given[urlVariables[name]] !== undefined

  const absent = () => names(programsOf).flatMap((name) => isGiven(name) ? [] : whyMissing(name, where) ?? [])
  if (mayInstall()) install(absent())
  const missing = absent().map(({ message }) => message)

  const env: Record<string, string> = {}
  const running: Array<Server> = []
  await Promise.all(
    names(serversOf).filter((name) => !isGiven(name)).map(async (name) => {
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

/** The run goes on when it fails: what needs no server is tested all the same. */
const install = (absent: ReadonlyArray<ServerMissing>) => {
  if (absent.length === 0) return
  try {
    installServers(absent.map(({ server }) => server))
  } catch (error) {
    console.error(error instanceof Error ? error.message : error)
  }
}

const find: Record<ServerName, (where: Places) => unknown> = {
  postgres: (where) => findPostgres(undefined, where),
  redis: findRedis
}

const start: Record<ServerName, (where: Places) => Promise<Server>> = {
  postgres: (where) => startPostgres({ settings: fastPostgres, places: where }),
  redis: (where) => startRedis({ places: where })
}
