/** The files of the page, which ship with the package. They are read when the dashboard is mounted, and compressed once. */
import type { Page } from "@capstan/http"
import { readdirSync, readFileSync } from "node:fs"
import { extname } from "node:path"
import { gzipSync } from "node:zlib"

/** From the sources as from what they are compiled to. */
const folder = new URL("../../page/", import.meta.url)

const types: Readonly<Record<string, string>> = {
  ".js": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".svg": "image/svg+xml"
}

const read = (path: string): Page.File => {
  const body = readFileSync(new URL(path, folder))
  return {
    type: types[extname(path)] ?? "application/octet-stream",
    body,
    gzip: gzipSync(body),
    // The build puts a hash of the content into these names.
    isImmutable: path.startsWith("assets/")
  }
}

export const files = (): ReadonlyMap<string, Page.File> =>
  new Map(
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .map((path) => path.replaceAll("\\", "/"))
      .filter((path) => extname(path) in types)
      .map((path) => [path, read(path)])
  )

export const index = (): string => readFileSync(new URL("index.html", folder), "utf8")
