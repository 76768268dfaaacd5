/**
 * `npm run test:compose`: checks `docker-compose.yaml`, and runs what its services run without Docker: Postgres 15, Redis 7 and
 * Prometheus from PATH or Debian's packages, the application by the steps of its Dockerfile. Grafana is not run.
 */
import { recipeIn } from "../run.ts"

const recipe = recipeIn(import.meta.url)
recipe.install()
recipe.runRecipe()
