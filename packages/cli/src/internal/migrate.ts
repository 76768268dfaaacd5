/** `migrate`: the only command that changes a schema. Redis has none. */
import { Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Stream from "effect/Stream"
import { kindOf, postgres, root } from "./connection.ts"
import { type CommandFailed, failed, whatWentWrong } from "./failure.ts"
import { print, printLines } from "./print.ts"

type Postgres = Effect.Success<typeof postgres>

const onPostgres = <A, E, R>(
  use: (
    given: Pick<Postgres, "PgJobStore"> & { readonly schema: string; readonly client: ReturnType<Postgres["clientOf"]> }
  ) => Effect.Effect<A, E, R>
) =>
  Effect.gen(function*() {
    const address = yield* root
    const { kind, url } = yield* kindOf(address)
    if (kind === "redis") {
      return yield* failed("Usage", "a Redis store has no schema to migrate: its scripts come with each process")
    }
    const { clientOf, PgJobStore } = yield* postgres
    return yield* use({ PgJobStore, schema: address.schema, client: clientOf(url) })
  }).pipe(Effect.mapError(whatWentWrong))

const up = Command.make("up", {}, () =>
  onPostgres(({ PgJobStore, client, schema }) =>
    Effect.gen(function*() {
      const versions = yield* Effect.provide(PgJobStore.migrate({ schema }), client)
      yield* print({ schema, ...versions }, () =>
        versions.from === versions.to
          ? `schema ${schema} has version ${versions.to} already`
          : `schema ${schema} went from version ${versions.from} to ${versions.to}`)
    })
  )).pipe(
    Command.withDescription("Bring the schema to this release: additive steps, in one transaction, under one lock")
  )

const from = Flag.Int("from").pipe(
  Flag.withDescription("The version that the schema has; 0, which it is by default, is one that is not there yet"),
  Flag.withDefault(0)
)

const script = Command.make("print", { from }, ({ from }) =>
  Effect.gen(function*() {
    const { schema } = yield* root
    const { PgJobStore } = yield* postgres
    yield* printLines(Stream.fromEffect(PgJobStore.migrationScript({ schema, from })))
  }).pipe(Effect.mapError(whatWentWrong))).pipe(
    Command.withDescription(
      "The SQL that makes the schema, or brings it up from a version, for whoever runs it by hand"
    )
  )

const status = Command.make("status", {}, () =>
  onPostgres(({ PgJobStore, client, schema }) =>
    Effect.gen(function*() {
      // It is built and thrown away: building looks at the version, and says what is to be done.
      yield* Effect.scoped(
        Layer.build(PgJobStore.layer({ schema, migrate: false, listen: false }).pipe(Layer.provide(client)))
      ).pipe(Effect.mapError((error): CommandFailed =>
        error._tag === "JobStoreError" && error.reason._tag === "Incompatible"
          ? failed("Found", error.message)
          : whatWentWrong(error)
      ))
      yield* print({ schema, isUsable: true }, () => `this release can work on schema ${schema}`)
    })
  )).pipe(Command.withDescription("Whether this release can work on the schema; exit code 4 when it cannot"))

export const migrate = Command.make("migrate").pipe(
  Command.withDescription("The schema of a Postgres store: what it is, what it would be, and the change"),
  Command.withSubcommands([up, script, status])
)
