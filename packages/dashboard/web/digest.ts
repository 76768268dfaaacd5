/** What the page is built of, as one hash: the build keeps it beside the page, so that anybody can tell whether it is of now. */
import { createHash } from "node:crypto"
import { readdirSync, readFileSync, statSync } from "node:fs"

const folder = new URL("./", import.meta.url)

const files = (): ReadonlyArray<string> =>
  ["src", "public"].flatMap((name) =>
    readdirSync(new URL(name, folder), { recursive: true, encoding: "utf8" })
      .map((path) => `${name}/${path.replaceAll("\\", "/")}`)
      .filter((path) => statSync(new URL(path, folder)).isFile())
  ).concat("index.html", "package.json", "package-lock.json", "vite.config.ts").toSorted()

export const digest = (): string => {
  const hash = createHash("sha256")
  for (const path of files()) hash.update(`${path}\n`).update(readFileSync(new URL(path, folder))).update("\n")
  return hash.digest("hex")
}
