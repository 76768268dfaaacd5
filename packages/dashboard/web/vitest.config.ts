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
    testTimeout: 30_000,
    hookTimeout: 60_000
  }
})
