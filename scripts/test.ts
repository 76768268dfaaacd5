/**
 * `npm test`: the tests, then the type tests. The last line is the count of both.
 *
 * Arguments go to vitest. A path filters the type tests too, and `-t`, which names a test, leaves them out.
 */
import { parseCLI, startVitest } from "vitest/node"
import { type Counts, makeReporter } from "./reporter.ts"
import { runTypeTests } from "./typeTests.ts"

const { filter, options } = parseCLI(["vitest", "run", ...process.argv.slice(2)])
const counts: Counts = { passed: 0, failed: 0 }

const vitest = await startVitest(filter, {
  ...options,
  config: "vitest.workspace.ts",
  watch: false,
  // A filter may match type tests alone; that nothing ran is told from the counts.
  passWithNoTests: true,
  reporters: [makeReporter(counts)]
})
await vitest.close()

if (options.testNamePattern === undefined) await runTypeTests(filter, counts)

if (counts.failed > 0 || counts.passed === 0) process.exitCode = 1
console.log(`\n${counts.passed} passed, ${counts.failed} failed`)
