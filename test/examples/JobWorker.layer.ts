// Written by `npm run docs`: the example of `layer` of capstan/JobWorker.
import { Billing, BillingLive } from "./setting.ts"
import { JobStore, JobWorker } from "capstan"
import { Layer } from "effect"

export const run = () => {
  const Main = JobWorker.layer(Billing, { concurrency: 50 }).pipe(
    Layer.provide(BillingLive),
    Layer.provide(JobStore.layerMemory())
  )
}
