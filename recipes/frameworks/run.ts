/**
 * `npm run test:frameworks`: installs Express, Fastify, Hono and Next.js (250 MB) and runs the recipes on loopback. An
 * application of Next.js is built first.
 */
import { recipeIn } from "../run.ts"

const recipe = recipeIn(import.meta.url)
recipe.install()
recipe.runRecipe()
