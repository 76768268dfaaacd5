// Written by `npm run docs`: the example of `layer` of capstan/JobSchedule.
import { JobSchedule } from "capstan"
import { SendReport } from "./setting.ts"

export const run = () => {
  const Nightly = JobSchedule.layer(SendReport, {
    cron: "0 3 * * *",
    timeZone: "Europe/Berlin",
    payload: ({ at }) => ({ day: at })
  })
}
