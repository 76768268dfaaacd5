/**
 * The handlers: each does its one thing at the service, and turns its answers into the errors that the jobs declare.
 */
import { JobContext } from "capstan"
import { Context, Effect, Layer } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { type Delivery, NoAnswer, RateLimited, Rejected, ServiceDown, Webhooks } from "./jobs.ts"

/** What a careless client does, for the ledgers to find. */
export const carelessness = [
  /** Gives every attempt a key of its own: what was done without an answer is done twice. */
  "idempotency",
  /** Says that it was done, and does not ask for it. */
  "loss",
  /** Asks for what nobody sent. */
  "invention"
] as const

/** Where the service is, and whether its callers behave. */
export class ServiceAddress extends Context.Service<ServiceAddress, {
  readonly url: string
  readonly careless: typeof carelessness[number] | undefined
}>()("webhooks/ServiceAddress") {}

/** Far beyond what an answer takes on loopback, also on a busy machine: else the seed would not say how it went. */
const patienceMillis = 3000

export const HandlersLive = Webhooks.toLayer(Effect.gen(function*() {
  const { careless, url } = yield* ServiceAddress
  const client = yield* HttpClient.HttpClient

  const ask = Effect.fnUntraced(function*(delivery: typeof Delivery.Type, what: string) {
    const { attempt, idempotencyKey, job, log } = yield* JobContext.JobContext
    if (careless === "loss" && delivery.event === "push") return
    const asksFor = careless === "invention" && delivery.event === "push" ? `${delivery.delivery}-0` : delivery.delivery
    const request = HttpClientRequest.post(`${url}/effects`).pipe(
      HttpClientRequest.setHeader(
        "idempotency-key",
        careless === "idempotency" ? `${idempotencyKey}/${attempt}` : idempotencyKey
      ),
      HttpClientRequest.bodyJsonUnsafe({ delivery: asksFor, job, what })
    )
    const { headers, status, text } = yield* client.execute(request).pipe(
      Effect.timeoutOrElse({
        duration: patienceMillis,
        orElse: () => Effect.fail(new NoAnswer({ millis: patienceMillis }))
      }),
      Effect.catchTag("HttpClientError", () => Effect.fail(new ServiceDown({ status: 503 })))
    )
    yield* log(`${what}: ${status}`)
    if (status === 429) return yield* new RateLimited({ seconds: Number(headers["retry-after"] ?? 1) })
    if (status === 422) return yield* new Rejected({ why: yield* Effect.orElseSucceed(text, () => "no reason given") })
    if (status >= 400) return yield* new ServiceDown({ status })
  })

  return Webhooks.of({
    TriageIssue: (delivery) => ask(delivery, `triage ${delivery.subject ?? delivery.event}`),
    ReviewPullRequest: (delivery) => ask(delivery, `assign a reviewer to ${delivery.subject ?? "a pull request"}`),
    TrackCode: (delivery) => ask(delivery, `index ${delivery.repository ?? "a repository"}`),
    WatchBuild: (delivery) => ask(delivery, `note the build of ${delivery.repository ?? "a repository"}`),
    RecordChange: (delivery) => ask(delivery, `record ${delivery.event} by ${delivery.actor ?? "somebody"}`)
  })
})) satisfies Layer.Any
