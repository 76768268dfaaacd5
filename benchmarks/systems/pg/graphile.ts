/** graphile-worker with its defaults: each of its workers fetches and completes one job at a time. */
import { makeGraphile } from "./graphileWorker.ts"

export const make = makeGraphile({})
