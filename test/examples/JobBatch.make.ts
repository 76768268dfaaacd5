// Written by `npm run docs`: the example of `make` of capstan/JobBatch.
import { JobBatch } from "capstan"
import { Rejected } from "./setting.ts"
import { Schema } from "effect"

export const run = () => {
  class IndexDocument extends JobBatch.make("IndexDocument", {
    payload: { tenant: Schema.String, id: Schema.String },
    error: Rejected,
    queue: "search",
    batch: { size: 100, within: "2 seconds", key: ({ tenant }) => tenant }
  }) {}
}
