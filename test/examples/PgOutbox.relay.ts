// Written by `npm run docs`: the example of `relay` of @capstan/pg/PgOutbox.
import { Layer } from "effect"
import { PgLive, RedisStoreLive } from "./setting.ts"
import { PgOutbox } from "@capstan/pg"

export const run = () => {
  const RelayLive = PgOutbox.relay({ relay: "redis" }).pipe(Layer.provide(RedisStoreLive), Layer.provide(PgLive))
}
