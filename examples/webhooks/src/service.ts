/**
 * The service that the handlers call. It fails on purpose, as the seed says, and keeps a ledger of what it did.
 */
import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { chance } from "./random.ts"

/** What it was asked to do, as it came in. */
const Request = Schema.Struct({ delivery: Schema.String, job: Schema.String, what: Schema.String })

/** How the service answers one call: as it should, late, or with a fault. */
type Answer = "204" | "204 late" | "500" | "500 after it was done" | "429" | "no answer after it was done" | "422"

/** One call that it received. */
export interface Call {
  readonly delivery: string
  readonly job: string
  readonly answer: Answer
}

/** A late answer is one that its callers still wait for. */
const lateMillis = 300

export interface Service {
  readonly routes: Layer.Layer<never, never, HttpRouter.HttpRouter>
  /** Deliveries whose effect was applied, in order: one entry per effect. */
  readonly effects: ReadonlyArray<string>
  /** Calls, in order: one entry per call. */
  readonly calls: ReadonlyArray<Call>
  /** Takes from now on what it rejected. */
  readonly mend: Effect.Effect<void>
}

export const makeService = (seed: number, rejects: string): Service => {
  const effects: Array<string> = []
  const applied = new Set<string>()
  const calls: Array<Call> = []
  const tries = new Map<string, number>()
  let isMended = false

  const answerTo = (delivery: string): Answer => {
    const n = (tries.get(delivery) ?? 0) + 1
    tries.set(delivery, n)
    if (delivery === rejects) return isMended ? "204" : "422"
    const roll = chance(seed, "fault", delivery, n)
    if (roll < 0.1) return "500"
    if (roll < 0.15) return "500 after it was done"
    if (roll < 0.2) return "429"
    if (roll < 0.22) return "no answer after it was done"
    return roll < 0.26 ? "204 late" : "204"
  }

  /** The same key is the same effect, however often it is asked for. */
  const apply = (delivery: string, key: string) => {
    if (applied.has(key)) return
    applied.add(key)
    effects.push(delivery)
  }

  const respond = (
    delivery: string,
    job: string,
    key: string
  ): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
    const answer = answerTo(delivery)
    calls.push({ delivery, job, answer })
    if (answer.startsWith("204") || answer.endsWith("done")) apply(delivery, key)
    const empty = (status: number, headers?: Record<string, string>) =>
      Effect.succeed(HttpServerResponse.empty({ status, ...(headers === undefined ? {} : { headers }) }))
    switch (answer) {
      case "204":
        return empty(204)
      case "204 late":
        return Effect.delay(empty(204), lateMillis)
      case "500":
      case "500 after it was done":
        return empty(500)
      case "429":
        return empty(429, { "retry-after": "1" })
      case "no answer after it was done":
        return Effect.never
      case "422":
        return Effect.succeed(HttpServerResponse.text("the archive is read-only", { status: 422 }))
    }
  }

  const routes = HttpRouter.add(
    "POST",
    "/effects",
    Effect.gen(function*() {
      const { delivery, job } = yield* HttpServerRequest.schemaBodyJson(Request)
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      return yield* respond(delivery, job, headers["idempotency-key"] ?? "")
    }).pipe(Effect.catchCause((cause) => Effect.as(Effect.logError(cause), HttpServerResponse.empty({ status: 400 }))))
  )
  return {
    routes,
    effects,
    calls,
    mend: Effect.sync(() => {
      isMended = true
    })
  }
}
