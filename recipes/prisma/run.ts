/**
 * `npm run test:prisma`: installs Prisma (300 MB), makes its client, and runs the recipe on a throwaway Postgres.
 */
import process from "node:process"
import { fastPostgres, startPostgres } from "../../scripts/servers/index.ts"
import { recipeIn } from "../run.ts"

const recipe = recipeIn(import.meta.url)
recipe.install()
recipe.runScript("prisma/build/index.js", ["generate"], {
  // Prisma fetches an engine for migrations from a server of its own, also where nothing is migrated, unless one is named.
  PRISMA_SCHEMA_ENGINE_BINARY: process.execPath,
  PRISMA_HIDE_UPDATE_MESSAGE: "1",
  CHECKPOINT_DISABLE: "1"
})
const server = await startPostgres({ settings: fastPostgres })
try {
  recipe.runRecipe({ CAPSTAN_TEST_PG_URL: server.url })
} finally {
  await server.stop()
}
