// Written by `npm run docs`: the example of `instants` of capstan/JobSchedule.
import { JobSchedule } from "capstan"
import { Nightly } from "./setting.ts"

export const run = () => {
  const [next] = JobSchedule.instants(Nightly, { after: "2026-03-28T12:00:00Z", count: 3 })
}
