/** Takes the steps of a Dockerfile in a folder, as far as `COPY`, `RUN` and `CMD` go. */
import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, readFileSync } from "node:fs"
import { basename, join, relative } from "node:path"

const known = new Set(["FROM", "WORKDIR", "COPY", "RUN", "USER", "CMD"])

/** What the file says, a pair for each line. */
export const stepsOf = (path: string): ReadonlyArray<readonly [name: string, rest: string]> =>
  readFileSync(path, "utf8").split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [name = ""] = line.split(" ", 1)
      if (!known.has(name)) throw new Error(`${path} has a step that is not taken here: ${line}`)
      return [name, line.slice(name.length + 1)]
    })

/** Builds it in `folder` from the files of `context`; answers the command that it starts with. */
export const take = (path: string, context: string, folder: string): ReadonlyArray<string> => {
  let command: ReadonlyArray<string> = []
  for (const [name, rest] of stepsOf(path)) {
    if (name === "COPY") {
      const paths = rest.split(" ")
      const to = join(folder, paths.at(-1)!)
      for (const from of paths.slice(0, -1)) {
        const target = paths.at(-1)!.endsWith("/") ? join(to, basename(from)) : to
        mkdirSync(join(target, ".."), { recursive: true })
        cpSync(join(context, from), target, {
          recursive: true,
          // Of the packages' own packages, as the ignore file has it.
          filter: (source) => !/(^|\/)(node_modules|dist)(\/|$)/.test(relative(context, source))
        })
      }
    } else if (name === "RUN") {
      const { error, status } = spawnSync("sh", ["-c", rest], { cwd: folder, stdio: "inherit" })
      if (status !== 0) throw new Error(`${rest} failed: ${error?.message ?? status}`)
    } else if (name === "CMD") command = JSON.parse(rest)
  }
  return command
}
