/**
 * `npm test`: the tests, then the type tests. The last line is the count of both.
 *
 * Arguments go to vitest. A path filters the type tests too, and `-t`, which names a test, leaves them out. Postgres and
 * Redis run only when a test file that needs them does.
 */
import { relative } from "node:path"
import { parseCLI, type Reporter, startVitest } from "vitest/node"
import { type Counts, makeReporter } from "./reporter.ts"
import { isForeignVariable } from "./servers/needs.ts"
import { startTestServers, type TestServers } from "./servers/testServers.ts"
import { runTypeTests } from "./typeTests.ts"

const { filter, options } = parseCLI(["vitest", "run", ...process.argv.slice(2)])
const counts: Counts = { passed: 0, failed: 0 }

let servers: TestServers | undefined

/** The first to know which files are selected, and the tests wait for it. Their processes inherit the variables. */
const starter: Reporter = {
  async onTestRunStart(specifications) {
    const files = specifications.map(({ moduleId }) => relative(process.cwd(), moduleId))
    servers = await startTestServers(files, { given: process.env })
    Object.assign(process.env, servers.env)
  }
}

for (const name of Object.keys(process.env).filter(isForeignVariable)) delete process.env[name]

const vitest = await startVitest(filter, {
  ...options,
  config: "vitest.workspace.ts",
  watch: false,
  // A filter may match type tests alone; that nothing ran is told from the counts.
  passWithNoTests: true,
  reporters: [starter, makeReporter(counts)]
})
await vitest.close()
await servers?.stop()

if (options.testNamePattern === undefined) await runTypeTests(filter, counts)

if (counts.failed > 0 || counts.passed === 0) process.exitCode = 1
for (const reason of servers?.missing ?? []) console.log(`\n${reason}`)
console.log(`\n${counts.passed} passed, ${counts.failed} failed`)
