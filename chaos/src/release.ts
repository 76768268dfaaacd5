/**
 * The release before: its archives, kept in `fixtures/releases`. Until there is a second release it is a copy of the first as it was
 * packed earlier. The processes of the runs are bundled with it as they are with the code of today, so that they are the same text
 * and write the same ledger.
 */
import type { Plugin } from "esbuild"
import { spawnSync } from "node:child_process"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync } from "node:fs"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"

const kept = fileURLToPath(new URL("../../fixtures/releases/", import.meta.url))

/** The newest that is kept. */
export const releaseBefore = (): string =>
  readdirSync(kept).toSorted((a, b) => a.localeCompare(b, "en", { numeric: true })).at(-1)!

/** Unpacks the archives of a release into a folder, to where the names of their packages are resolved. */
export const unpack = (version: string, folder: string): void => {
  mkdirSync(folder, { recursive: true })
  for (const archive of readdirSync(join(kept, version)).filter((file) => file.endsWith(".tgz"))) {
    const temporary = mkdtempSync(join(folder, "package-"))
    const { error, status, stderr } = spawnSync(
      "tar",
      ["-xzf", join(kept, version, archive), "--strip-components=1", "-C", temporary],
      { encoding: "utf8" }
    )
    if (status !== 0) throw new Error(`cannot unpack ${archive}: ${stderr}${error?.message ?? ""}`)
    const { name }: { readonly name: string } = JSON.parse(readFileSync(join(temporary, "package.json"), "utf8"))
    const place = join(folder, "node_modules", name)
    mkdirSync(dirname(place), { recursive: true })
    renameSync(temporary, place)
  }
}

const ours = /^(capstan|@capstan\/[^/]+)(\/.*)?$/

/** Resolves the names of our packages in the folder, whoever imports them. */
export const packagesIn = (folder: string): Plugin => ({
  name: "release",
  setup: (build) => {
    build.onResolve(
      { filter: ours },
      ({ kind, path, pluginData }) =>
        pluginData === "release" ? undefined : build.resolve(path, { kind, resolveDir: folder, pluginData: "release" })
    )
  }
})

/**
 * What the release before would say if nobody had seen to it that the present one understands it: functions of Postgres by
 * names that are gone, states in Redis by other numbers.
 */
const words: ReadonlyArray<readonly [file: RegExp, text: string, instead: string]> = [
  [/pg\/dist\/internal\/store\.js$/, ".enqueue_", ".enqueued_"],
  [/redis\/dist\/internal\/lua\/context\.js$/, "local READY, RUNNING,", "local RUNNING, READY,"]
]

export const otherWords: Plugin = {
  name: "other words",
  setup: (build) => {
    for (const [filter, text, instead] of words) {
      build.onLoad({ filter }, ({ path }) => {
        const contents = readFileSync(path, "utf8")
        if (!contents.includes(text)) throw new Error(`${path} does not say "${text}": nothing to change`)
        return { contents: contents.replaceAll(text, () => instead), loader: "js" }
      })
    }
  }
}
