import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

const conditions = ["@capstan/source", "node", "module-sync", "default"]

export default defineConfig({
  root: fileURLToPath(new URL("./", import.meta.url)),
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["test/**/*.test.ts"],
    // One browser at a time, and each file its own.
    fileParallelism: false,
    // Longer than one step of a page may take, which says what it waited for.
    testTimeout: 90_000,
    hookTimeout: 60_000
  }
})
