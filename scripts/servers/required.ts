/** Set-up of the test files that need a server: without it they fail, and say what to do. Skipped would look like passed. */
import { relative } from "node:path"
import { fileURLToPath } from "node:url"
import { expect } from "vitest"
import { whyUnserved } from "./needs.ts"

const root = fileURLToPath(new URL("../../", import.meta.url))

const reason = whyUnserved(relative(root, expect.getState().testPath!), process.env)
if (reason !== undefined) throw new Error(reason)
