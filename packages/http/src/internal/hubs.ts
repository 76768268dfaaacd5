/** The hub of one API, which everybody who hears the store shares; it stays a while for who comes back. */
import { Jobs } from "capstan"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as RcRef from "effect/RcRef"
import * as Hub from "./hub.ts"

const linger = "30 seconds"

export class Hubs extends Context.Service<Hubs, RcRef.RcRef<Hub.Hub>>()("@capstan/http/internal/Hubs") {}

export const layer: Layer.Layer<Hubs, never, Jobs.Jobs> = Layer.effect(
  Hubs,
  Effect.flatMap(
    Jobs.Jobs,
    (jobs) => RcRef.make({ acquire: Hub.make(jobs, Hub.usualSettings), idleTimeToLive: linger })
  )
)
