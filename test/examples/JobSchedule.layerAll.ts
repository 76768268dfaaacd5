// Written by `npm run docs`: the example of `layerAll` of capstan/JobSchedule.
import { Hourly, Nightly } from "./setting.ts"
import { JobSchedule } from "capstan"

export const run = () => {
  const Schedules = JobSchedule.layerAll(Nightly, Hourly)
}
