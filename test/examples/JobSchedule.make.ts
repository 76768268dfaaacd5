// Written by `npm run docs`: the example of `make` of capstan/JobSchedule.
import { JobSchedule } from "capstan"
import { SendReport } from "./setting.ts"

export const run = () => {
  const Nightly = JobSchedule.make("nightly-report", SendReport, {
    cron: "0 3 * * *",
    timeZone: "Europe/Berlin",
    overlap: "skip",
    payload: ({ at }) => ({ day: at })
  })
}
