/**
 * GitHub, as far as the endpoint can tell: delivers the published examples, some with a wrong signature, some twice, and
 * keeps a ledger of what was answered.
 *
 * The payloads are those of the npm package `@octokit/webhooks-examples` (MIT).
 */
import { Effect } from "effect"
import { HttpClient, HttpClientRequest } from "effect/http"
import { createRequire } from "node:module"
import { chance, deliveryId } from "./random.ts"
import { sign } from "./signature.ts"

export interface Planned {
  readonly id: string
  readonly event: string
  readonly body: string
  readonly isForged: boolean
  readonly isRepeated: boolean
}

/** What was sent, and what the endpoint answered. */
export interface Sent {
  readonly id: string
  readonly event: string
  readonly isForged: boolean
  readonly isRepetition: boolean
  readonly status: number
}

interface Examples {
  readonly name: string
  readonly examples: ReadonlyArray<unknown>
}

export const plan = (seed: number): ReadonlyArray<Planned> => {
  const groups: ReadonlyArray<Examples> = createRequire(import.meta.url)(
    "@octokit/webhooks-examples/api.github.com/index.json"
  )
  const payloads = groups.flatMap(({ examples, name }) => examples.map((example) => ({ event: name, example })))
  return payloads.map(({ event, example }, n) => {
    const id = deliveryId(seed, n)
    const roll = chance(seed, "sender", id)
    return {
      id,
      event,
      body: JSON.stringify(example),
      isForged: roll < 0.02,
      isRepeated: roll > 0.95
    }
  })
}

const inFlight = 8

/** Delivers everything; tells each answer as it comes. */
export const deliver = (url: string, planned: ReadonlyArray<Planned>, tell: (sent: Sent) => void) =>
  Effect.gen(function*() {
    const client = yield* HttpClient.HttpClient
    const send = (delivery: Planned, isRepetition: boolean) =>
      client.execute(
        HttpClientRequest.post(`${url}/webhooks`).pipe(
          HttpClientRequest.setHeaders({
            "x-github-event": delivery.event,
            "x-github-delivery": delivery.id,
            "x-hub-signature-256": sign(delivery.body, delivery.isForged ? "a guess" : undefined)
          }),
          HttpClientRequest.bodyText(delivery.body, "application/json")
        )
      ).pipe(Effect.map(({ status }) =>
        tell({ id: delivery.id, event: delivery.event, isForged: delivery.isForged, isRepetition, status })
      ))
    yield* Effect.forEach(
      planned,
      (delivery) =>
        delivery.isRepeated ? Effect.andThen(send(delivery, false), send(delivery, true)) : send(delivery, false),
      { concurrency: inFlight, discard: true }
    )
  }).pipe(
    // Its spans are another program's: the trace begins with the request that comes in.
    Effect.withTracerEnabled(false)
  )
