/** Arguments of the SQL function `enqueue`, by which other languages store records: it refuses, and names what is wrong. */
import { PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted } from "effect"
import { Client } from "pg"
import type { Arbitrary } from "./arbitrary.ts"
import type { Target } from "./fuzz.ts"

export class Connection extends Context.Service<Connection, Client>()("fuzz/Connection") {}

export const layer = (url: string): Layer.Layer<Connection> =>
  Layer.effect(
    Connection,
    Effect.andThen(
      PgJobStore.migrate().pipe(Effect.provide(PgClient.layer({ url: Redacted.make(url) })), Effect.orDie),
      Effect.acquireRelease(
        Effect.promise(async () => {
          const client = new Client({ connectionString: url })
          await client.connect()
          return client
        }),
        (client) => Effect.promise(() => client.end())
      )
    )
  )

/** What the function raises, and what Postgres does before it is called, for what is no text or no JSON of its own. */
const refusals: ReadonlySet<string> = new Set([
  "22004", // null_value_not_allowed
  "22021", // character_not_in_repertoire
  "22023", // invalid_parameter_value
  "22P02", // invalid_text_representation: no JSON
  "22P05", // untranslatable_character: "\u0000" in JSON
  "54000" // program_limit_exceeded
])

const options = (a: Arbitrary): unknown =>
  a.chance(0.1) ? a.json() : a.options({
    queue: () => a.text(),
    version: () => a.number(),
    priority: () => a.pick<unknown>(["high", a.number(), a.text()]),
    delay: () => a.pick<unknown>(["5 minutes", a.number(), a.text()]),
    runAt: () => a.pick<unknown>(["2026-11-26T00:00:00Z", a.number(), a.text()]),
    startBefore: () => a.pick<unknown>(["1 day", a.number(), a.text()]),
    idempotencyKey: () => a.text(),
    uniqueKey: () => a.text(),
    uniqueUntil: () => a.text(),
    onConflict: () => a.pick(["keep", "replace", a.text()]),
    concurrencyKey: () => a.text(),
    concurrencyLimit: () => a.number(),
    tags: () => [a.text()],
    headers: () => ({ [a.text()]: a.text() }),
    sensitive: () => [a.pick(["/to", a.text()])]
  }, "json")

export const target: Target<Connection> = {
  name: "the SQL function enqueue",
  errors: ["Refused"],
  call: (a, note) => {
    const given = [
      a.like("SendMail"),
      a.chance(0.8) ? JSON.stringify(a.json()) : a.chance(0.5) ? a.text() : null,
      a.chance(0.9) ? JSON.stringify(options(a)) : null
    ]
    note(given)
    return Effect.flatMap(Connection, (client) =>
      Effect.tryPromise({
        try: () => client.query("SELECT * FROM capstan.enqueue($1, $2, $3)", given),
        catch: (error) => {
          const { code, message } = error as { readonly code?: string; readonly message: string }
          return { _tag: code !== undefined && refusals.has(code) ? "Refused" : `${code}: ${message}` }
        }
      }))
  }
}
