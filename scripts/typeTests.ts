/**
 * Runs the type tests, `dtslint` in each package, on TypeScript 6: TypeScript 7 has no compiler API for tstyche to use.
 */
import { relative } from "node:path"
import { type Counts, fileLine } from "./reporter.ts"

/**
 * Runs the files whose path holds a filter, or all of them, and prints their lines. What counts are their assertions, and the
 * errors that they expect by `@ts-expect-error`, whose text must be that of the error.
 */
export const runTypeTests = async (filters: ReadonlyArray<string>, counts: Counts): Promise<void> => {
  // Read when tstyche loads. Without it tstyche downloads a TypeScript of its own.
  process.env.TSTYCHE_TYPESCRIPT_MODULE = "typescript-6"
  const { Config, diagnosticText, EventEmitter, OutputService, Runner, Select } = await import("tstyche/api")

  const { configFileOptions } = await Config.parseConfigFile()
  const config = Config.resolve({ configFileOptions, pathMatch: [...filters] })
  const files = await Select.selectFiles(config)
  if (files.length === 0) return

  const failures: Array<Parameters<typeof diagnosticText>[0]> = []
  let file = { passed: 0, failed: 0, skipped: 0 }
  let start = performance.now()

  new EventEmitter().addHandler({
    on([event, payload]) {
      if ("diagnostics" in payload) {
        failures.push(...payload.diagnostics)
        file.failed++
        counts.failed++
      } else if (event === "expect:pass" || event === "suppressed:match") {
        file.passed++
        counts.passed++
      } else if (event === "expect:skip") {
        file.skipped++
      } else if (event === "file:end") {
        console.log(fileLine(relative(process.cwd(), payload.result.file.path), file, performance.now() - start))
        file = { passed: 0, failed: 0, skipped: 0 }
        start = performance.now()
      }
    }
  })
  await new Runner(config).run(files)

  for (const failure of failures) OutputService.writeError(diagnosticText(failure))
}
