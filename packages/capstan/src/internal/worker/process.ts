/**
 * What a worker says of where it runs. Core imports nothing of a platform: it asks the runtime, where that answers without a
 * question to the user.
 */
import type { WorkerProcess } from "../../JobStore.ts"
import { version as capstanVersion } from "../version.ts"

/** What Node and Bun have. */
interface Runtime {
  readonly pid?: number
  readonly getBuiltinModule?: (name: "node:os") => { readonly hostname: () => string } | undefined
}

const longestHost = 255
const longestVersion = 100

export const processOf = (
  { host, version }: { readonly host?: string | false | undefined; readonly version?: string | undefined }
): WorkerProcess => {
  const { pid } = runtime()
  return {
    host: host === false ? undefined : checked("host", host, longestHost) ?? hostname(),
    pid: typeof pid === "number" ? pid : undefined,
    capstanVersion,
    appVersion: checked("version", version, longestVersion)
  }
}

const runtime = (): Runtime => (globalThis as { readonly process?: Runtime }).process ?? {}

/** None in a browser and at an edge. Deno would ask whoever started it for a permission. */
const hostname = (): string | undefined => {
  if ("Deno" in globalThis) return undefined
  try {
    const name = runtime().getBuiltinModule?.("node:os")?.hostname()
    return name === undefined || name === "" ? undefined : name.slice(0, longestHost)
  } catch {
    return undefined
  }
}

const checked = (option: string, text: string | undefined, most: number): string | undefined => {
  if (text === undefined || (text.trim() !== "" && text.length <= most)) return text
  throw new Error(`worker: ${option} must have from 1 to ${most} characters, it has ${text.trim().length}`)
}
