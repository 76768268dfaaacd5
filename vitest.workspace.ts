import { readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { LongestFirst, workers } from "./scripts/sequencer.ts"

const root = fileURLToPath(new URL(".", import.meta.url))

/**
 * Packages resolve to their sources, as the types do, so that no build stands between an edit and its test. Else as Node,
 * which gets these too: "import" is not among them, for what is required must not be given what is to be imported.
 */
const conditions = ["@capstan/source", "node", "module-sync", "default"]

/** What takes longer hangs, also on a machine that has other things to do. */
const patience = { testTimeout: 30_000, hookTimeout: 30_000 }

/**
 * The files of a project share what they import, where each would else read effect anew: `packages/http` takes 12 s of CPU in
 * place of 23. They keep nothing from one file to the next, in whatever order.
 */
const isolate = false

const project = (name: string, folder: string, include: string) => ({
  root: root + folder,
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    name,
    maxWorkers: workers,
    ...patience,
    isolate,
    include: [include],
    // Each file is asked whether its server is there; most need none.
    setupFiles: [`${root}scripts/servers/required.ts`]
  }
})

export default defineConfig({
  test: {
    maxWorkers: workers,
    sequence: { sequencer: LongestFirst },
    projects: [
      ...readdirSync(`${root}packages`).map((name) => project(name, `packages/${name}`, "test/**/*.test.ts")),
      project("examples", "examples", "**/test/**/*.test.ts"),
      project("repository", "", "test/**/*.test.ts")
    ]
  }
})
