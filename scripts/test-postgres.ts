/**
 * `npm run test:postgres -- 13 18`: the tests of the Postgres store on these major versions, one after the other. What is
 * not a number goes to the tests, as `npm run test:postgres -- 13 18 Locks`.
 *
 * A version that is not found is brought by npm into `node_modules/.cache`; nothing of the system is touched.
 */
import { spawnSync } from "node:child_process"
import { fastPostgres, findPostgres, ServerMissing, startPostgres } from "./servers/index.ts"
import { npmInstall } from "./servers/npm.ts"

const given = process.argv.slice(2)
const versions = given.filter((argument) => /^\d+$/.test(argument)).map(Number)
const others = given.filter((argument) => !/^\d+$/.test(argument))

if (versions.length === 0) {
  console.error("which versions? For example: npm run test:postgres -- 13 18")
  process.exit(1)
}

const isFound = (version: number): boolean => {
  try {
    findPostgres(version)
    return true
  } catch (error) {
    if (error instanceof ServerMissing) return false
    throw error
  }
}

const test = async (version: number) => {
  if (!isFound(version)) spawnSync(npmInstall(version), { shell: true, stdio: "inherit" })
  const server = await startPostgres({ version, settings: fastPostgres })
  console.log(`\nPostgres ${version}: ${server.bin}\n`)
  const filter = others.some((argument) => !argument.startsWith("-")) ? others : ["packages/pg", ...others]
  const { status } = spawnSync(process.execPath, [...process.execArgv, "scripts/test.ts", ...filter], {
    stdio: "inherit",
    env: { ...process.env, CAPSTAN_TEST_PG_URL: server.url }
  })
  await server.stop()
  if (status !== 0) process.exitCode = 1
}

await versions.reduce((before, version) => before.then(() => test(version)), Promise.resolve())
