// Written by `npm run docs`: the example of @capstan/pg/PgJobStore.
import { PgClient } from "@effect/sql-pg"
import { PgJobStore } from "@capstan/pg"
import { Layer } from "effect"
import { url } from "./setting.ts"

export const run = () => {
  const StoreLive = PgJobStore.layer().pipe(Layer.provide(PgClient.layer({ url })))
}
