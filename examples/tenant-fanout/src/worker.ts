/** What runs the jobs: this is the part of a program that needs the endpoints, and a network. */
import { JobContext, JobGroup, JobWorker } from "capstan"
import { Effect, Layer } from "effect"
import { Deliver, FanOut, Unreachable } from "./jobs.ts"

/** The endpoints of each tenant. Yours are rows of a table. */
export type Endpoints = Readonly<Record<string, ReadonlyArray<string>>>

const post = (url: string, body: unknown) =>
  Effect.tryPromise({
    try: async (signal) => {
      const response = await fetch(url, { method: "POST", body: JSON.stringify(body), signal })
      await response.arrayBuffer()
      return response
    },
    catch: () => new Unreachable({ status: 0 })
  })

const handlers = (endpoints: Endpoints) =>
  JobGroup.make(FanOut, Deliver).toLayer({
    // Its deliveries are children of its attempt. One that runs twice leaves each of them once, by its key.
    FanOut: (event) =>
      Effect.asVoid(Deliver.enqueueMany((endpoints[event.tenant] ?? []).map((url) => ({ ...event, url })), {
        idempotencyKey: ({ invoice, url }) => `${invoice} ${url}`
      })),

    Deliver: Effect.fnUntraced(function*({ invoice, tenant, url }) {
      const { limited } = yield* JobContext.JobContext
      const response = yield* post(url, { tenant, invoice })
      // They say when: nothing of this tenant starts until then, and the attempt is not charged.
      if (response.status === 429) {
        return yield* limited("key", `${Number(response.headers.get("retry-after"))} seconds`)
      }
      if (!response.ok) return yield* new Unreachable({ status: response.status })
    })
  })

export const workerLive = (endpoints: Endpoints) =>
  JobWorker.layer(JobGroup.make(FanOut, Deliver), { concurrency: 20 }).pipe(Layer.provide(handlers(endpoints)))
