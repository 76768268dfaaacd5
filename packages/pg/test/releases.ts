/** The releases that are kept and today's code, on Postgres. */
import { readFileSync } from "node:fs"
import * as Releases from "../../../scripts/servers/releases.ts"
import { url } from "./server.ts"

export { kept, type Process, storeOf, type Told } from "../../../scripts/servers/releases.ts"

/** The code of today. */
export const present = Releases.presentOf(new URL("programs/release.ts", import.meta.url))

/** The dump of a release's schema. */
export const schemaOf = (version: string): string =>
  readFileSync(new URL(`../../../fixtures/releases/${version}/pg-schema.sql`, import.meta.url), "utf8")

export const install = (version: string) => Releases.install(version, "pg-program.ts")

/** Starts a process on a schema. */
export const start = (release: Releases.Release, schema: string) => Releases.start(release, url(), schema)
