/** Which test files need a server, and the variable that hands its URL to them. */
import type { ServerName } from "./missing.ts"

/** Names of our own: what others point to must not be touched. */
export const urlVariables: Record<ServerName, string> = {
  postgres: "CAPSTAN_TEST_PG_URL",
  redis: "CAPSTAN_TEST_REDIS_URL"
}

/**
 * Variables that point to somebody's database. Tests do not see them: drivers read some by themselves, PGPASSWORD or
 * PGSSLMODE where the URL says nothing of it.
 */
export const isForeignVariable = (name: string): boolean => /^(PG.*|DATABASE_URL|REDIS_URL)$/.test(name)

/** Where the reason is said when there is no URL. */
export const reasonVariables: Record<ServerName, string> = {
  postgres: "CAPSTAN_TEST_PG_MISSING",
  redis: "CAPSTAN_TEST_REDIS_MISSING"
}

/** Paths from the root of the repository. */
const files: Record<ServerName, RegExp> = {
  postgres:
    /^(packages\/pg\/|test\/fuzzPostgres\.|packages\/http\/test\/Postgres\.|packages\/(alerts\/test\/Stores|cli\/test\/Servers)\.|examples\/test\/(postgres|outbox)\.|examples\/webhooks\/test\/stores\.)/,
  redis:
    /^(packages\/redis\/|test\/fuzzRedis\.|packages\/http\/test\/Redis\.|packages\/(alerts\/test\/Stores|cli\/test\/Servers)\.|examples\/test\/(redis|outbox)\.|examples\/webhooks\/test\/redis\.)/
}

/** It starts its own servers: it needs the programs alone. */
const programsOnly = /^test\/servers\.test\.ts$/

/** The servers that a test file expects to run. */
export const serversOf = (file: string): ReadonlyArray<ServerName> =>
  serverNames.filter((name) => files[name].test(file))

/** The servers whose programs a test file expects to be installed. */
export const programsOf = (file: string): ReadonlyArray<ServerName> =>
  programsOnly.test(file) ? serverNames : serversOf(file)

const serverNames: ReadonlyArray<ServerName> = ["postgres", "redis"]

/** Why this test file cannot run with these variables, and `undefined` if it can. */
export const whyUnserved = (
  file: string,
  env: Readonly<Record<string, string | undefined>>
): string | undefined => {
  const absent = serversOf(file).find((name) => env[urlVariables[name]] === undefined)
  if (absent === undefined) return undefined
  return env[reasonVariables[absent]] ?? `${urlVariables[absent]} is not set. \`npm test\` sets it.`
}
