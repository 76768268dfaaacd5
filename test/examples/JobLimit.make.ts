// Written by `npm run docs`: the example of `make` of capstan/JobLimit.
import { Job, JobLimit } from "capstan"
import { Schema } from "effect"

export const run = () => {
  const Api = JobLimit.make("api", { concurrency: 4, rate: { limit: 100, per: "1 minute", burst: 10 } })

  class Fetch extends Job.make("Fetch", {
    payload: { account: Schema.String },
    limit: { by: Api, key: ({ account }) => account }
  }) {}
}
