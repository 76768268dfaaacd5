/**
 * Readings of thousands of records for one answer: so many at a time, and so many that wait for their turn. Who comes beyond that is
 * told at once, and when to come again, so that neither the store nor this process has more of them than it can carry.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HttpEffect from "effect/http/HttpEffect"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as HttpServerResponse from "effect/http/HttpServerResponse"
import * as Layer from "effect/Layer"
import * as Semaphore from "effect/Semaphore"
import { TooBusy } from "../ApiError.ts"

/** A reading is some hundred calls of the store, one or few at a time: these leave its pool to those who work. */
const atOnce = 4
const waiting = 16
/** In seconds: in that time some of them are done. */
const retryAfter = 2

const detail = `${atOnce} readings of many records are under way and ${waiting} wait for their turn: ` +
  `ask again in ${retryAfter} seconds`

const again = HttpEffect.appendPreResponseHandler((_, response) =>
  Effect.succeed(HttpServerResponse.setHeader(response, "retry-after", String(retryAfter)))
)

type Read = <A, E, R>(
  reading: Effect.Effect<A, E, R>
) => Effect.Effect<A, E | TooBusy, R | HttpServerRequest.HttpServerRequest>

export class Bounded extends Context.Service<Bounded, { readonly read: Read }>()("@capstan/http/Bounded") {}

export const layer: Layer.Layer<Bounded> = Layer.effect(
  Bounded,
  Effect.map(Semaphore.make(atOnce), (turns) => {
    let inside = 0
    const enter = Effect.suspend(() => {
      if (inside === atOnce + waiting) return Effect.andThen(again, Effect.fail(new TooBusy({ detail })))
      inside++
      return Effect.void
    })
    const leave = Effect.sync(() => void inside--)
    const read: Read = (reading) => Effect.acquireUseRelease(enter, () => turns.withPermits(1)(reading), () => leave)
    return Bounded.of({ read })
  })
)
