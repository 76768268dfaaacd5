/**
 * `npm run test:migrate`: installs BullMQ, pg-boss, graphile-worker and node-cron (35 MB) and moves jobs of theirs on throwaway
 * servers.
 */
import { fastPostgres, startPostgres, startRedis } from "../../scripts/servers/index.ts"
import { recipeIn } from "../run.ts"

const recipe = recipeIn(import.meta.url)
recipe.install()
const [postgres, redis] = await Promise.all([startPostgres({ settings: fastPostgres }), startRedis()])
try {
  recipe.runRecipe({ CAPSTAN_TEST_PG_URL: postgres.url, CAPSTAN_TEST_REDIS_URL: redis.url })
} finally {
  await Promise.all([postgres.stop(), redis.stop()])
}
