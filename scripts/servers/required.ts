/** Set-up of the test files that need a server: without it they fail, and say what to do. Skipped would look like passed. */
import { relative } from "node:path"
import { fileURLToPath } from "node:url"
import { expect } from "vitest"
import { reasonVariables, serversOf, urlVariables } from "./needs.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

for (const server of serversOf(relative(root, expect.getState().testPath!))) {
  if (process.env[urlVariables[server]] !== undefined) continue
  throw new Error(process.env[reasonVariables[server]] ?? `${urlVariables[server]} is not set: \`npm test\` sets it`)
}
