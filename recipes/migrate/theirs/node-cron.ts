/** A line of node-cron that is to be left. */
import { cron } from "../client/index.ts"

export const task = cron.schedule("0 3 * * *", () => console.log("the report"), {
  timezone: "Europe/Berlin",
  noOverlap: true
})
