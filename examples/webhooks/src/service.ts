/**
 * The service that the handlers call. It fails on purpose, as the seed says, and keeps a ledger of what it did.
 */
import { Effect, Layer, Schema } from "effect"
import { HttpRouter, HttpServerRequest, HttpServerResponse } from "effect/http"
import { chance } from "./random.ts"

/** What it was asked to do, as it came in. */
const Request = Schema.Struct({ delivery: Schema.String, job: Schema.String, what: Schema.String })

/** What the service does with one call. */
type Fault = "none" | "500" | "500 after it was done" | "429" | "no answer after it was done" | "422"

export interface Service {
  readonly routes: Layer.Layer<never, never, HttpRouter.HttpRouter>
  /** Deliveries whose effect was applied, in order: one entry per effect. */
  readonly effects: ReadonlyArray<string>
  /** Calls by how they ended. */
  readonly calls: ReadonlyMap<Fault, number>
  /** Takes from now on what it rejected. */
  readonly mend: Effect.Effect<void>
}

export const makeService = (seed: number, rejects: string): Service => {
  const effects: Array<string> = []
  const applied = new Set<string>()
  const calls = new Map<Fault, number>()
  const tries = new Map<string, number>()
  let isMended = false

  const faultOf = (delivery: string): Fault => {
    const n = (tries.get(delivery) ?? 0) + 1
    tries.set(delivery, n)
    if (delivery === rejects) return isMended ? "none" : "422"
    const roll = chance(seed, "fault", delivery, n)
    if (roll < 0.1) return "500"
    if (roll < 0.15) return "500 after it was done"
    if (roll < 0.2) return "429"
    return roll < 0.22 ? "no answer after it was done" : "none"
  }

  /** The same key is the same effect, however often it is asked for. */
  const apply = (delivery: string, key: string) => {
    if (applied.has(key)) return
    applied.add(key)
    effects.push(delivery)
  }

  const answer = (delivery: string, key: string): Effect.Effect<HttpServerResponse.HttpServerResponse> => {
    const fault = faultOf(delivery)
    calls.set(fault, (calls.get(fault) ?? 0) + 1)
    if (fault === "none" || fault.endsWith("done")) apply(delivery, key)
    switch (fault) {
      case "none":
        return Effect.succeed(HttpServerResponse.empty({ status: 204 }))
      case "500":
      case "500 after it was done":
        return Effect.succeed(HttpServerResponse.empty({ status: 500 }))
      case "429":
        return Effect.succeed(HttpServerResponse.empty({ status: 429, headers: { "retry-after": "1" } }))
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
      const { delivery } = yield* HttpServerRequest.schemaBodyJson(Request)
      const { headers } = yield* HttpServerRequest.HttpServerRequest
      return yield* answer(delivery, headers["idempotency-key"] ?? "")
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
