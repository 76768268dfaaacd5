/**
 * `npm run test:prisma`: installs Prisma into `client/`, apart from the repository's own packages (300 MB), makes its
 * client, and runs the recipe on a throwaway Postgres.
 */
import { spawnSync } from "node:child_process"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { fastPostgres, startPostgres } from "../../scripts/servers/index.ts"

const folder = fileURLToPath(new URL(".", import.meta.url))

const run = (
  where: string,
  command: string,
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {}
): void => {
  const { error, status } = spawnSync(command, args, {
    cwd: `${folder}${where}`,
    stdio: "inherit",
    env: { ...process.env, ...env }
  })
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${error?.message ?? status}`)
}

run("client", "npm", [
  "install",
  "--no-package-lock",
  "--ignore-scripts",
  "--no-audit",
  "--no-fund",
  "--loglevel=error"
])
run("client", process.execPath, ["node_modules/prisma/build/index.js", "generate"], {
  // Prisma fetches an engine for migrations from a server of its own, also where nothing is migrated, unless one is named.
  PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
  PRISMA_HIDE_UPDATE_MESSAGE: "1",
  CHECKPOINT_DISABLE: "1"
})
const server = await startPostgres({ settings: fastPostgres })
try {
  run("", process.execPath, ["--conditions=@capstan/source", "recipe.ts"], { CAPSTAN_TEST_PG_URL: server.url })
} finally {
  await server.stop()
}
