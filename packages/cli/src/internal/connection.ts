/**
 * The store that a command works on: named by an address, or given by the application that embeds the commands.
 *
 * No command but `migrate up` changes a schema: an operator's newer tool must not migrate the store of a running release.
 */
import { Jobs, JobSchedules, JobStore } from "capstan"
import { Command, Flag } from "effect/cli"
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { type CommandFailed, failed, whatWentWrong } from "./failure.ts"

/** What every command takes. */
export const shared = {
  store: Flag.Redacted("store").pipe(
    Flag.withFallbackConfig(Config.Redacted("CAPSTAN_STORE")),
    Flag.withMetavar("url"),
    Flag.withDescription(
      "Where the jobs are: postgres://… or redis://…. Else the variable CAPSTAN_STORE says it, where no other user reads it"
    ),
    Flag.optional
  ),
  schema: Flag.String("schema").pipe(
    Flag.withDescription("The schema of a Postgres store"),
    Flag.withDefault("capstan")
  ),
  prefix: Flag.String("prefix").pipe(
    Flag.withDescription("The key prefix of a Redis store"),
    Flag.withDefault("capstan")
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print JSON for programs: one document, or one a line where there are many"),
    Flag.withDefault(false)
  )
}

/** The command that all others stand under, and whose flags they share. */
export const root = Command.make("capstan").pipe(Command.withSharedFlags(shared))

/** A store that an application gives to the commands; then no address is asked for. */
export type Given = Layer.Layer<JobStore.JobStore, unknown>

/** What the commands of one program share. */
export interface Settings {
  readonly store?: Given | undefined
}

export type Services = JobStore.JobStore | Jobs.Jobs | JobSchedules.JobSchedules

export type Session = <A, E, R>(
  use: Effect.Effect<A, E, R>
) => Effect.Effect<A, CommandFailed, Exclude<R, Services> | Command.CommandContext<"capstan">>

/** Runs with the store open, and says what went wrong in one sentence. */
export const sessionOf = ({ store }: Settings): Session => (use) =>
  Effect.gen(function*() {
    const opened = store ?? (yield* storeOf(yield* root))
    const services = Layer.mergeAll(Jobs.layer, JobSchedules.layer).pipe(Layer.provideMerge(opened))
    return yield* Effect.provide(use, services)
  }).pipe(Effect.mapError(whatWentWrong))

export interface Address {
  readonly store: Option.Option<Redacted.Redacted>
  readonly schema: string
  readonly prefix: string
}

export type Kind = "postgres" | "redis"

/** Which store an address names. The address itself may hold a password, so no error repeats it. */
export const kindOf = (
  { store }: Address
): Effect.Effect<{ readonly kind: Kind; readonly url: Redacted.Redacted }, CommandFailed> =>
  Effect.gen(function*() {
    if (Option.isNone(store)) {
      return yield* failed("Usage", "no store is named: give --store postgres://… or redis://…, or set CAPSTAN_STORE")
    }
    const url = store.value
    const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(Redacted.value(url))?.[1]?.toLowerCase()
    switch (scheme) {
      case "postgres":
      case "postgresql":
        return { kind: "postgres", url } as const
      case "redis":
      case "rediss":
        return { kind: "redis", url } as const
      default:
        return yield* failed(
          "Usage",
          `--store must begin with postgres:// or redis://${scheme === undefined ? "" : `, not with ${scheme}://`}`
        )
    }
  })

const storeOf = (address: Address): Effect.Effect<Given, CommandFailed> =>
  Effect.gen(function*(): Effect.fn.Return<Given, CommandFailed> {
    const { kind, url } = yield* kindOf(address)
    if (kind === "postgres") {
      const { clientOf, PgJobStore } = yield* postgres
      return PgJobStore.layer({ schema: address.schema, migrate: false }).pipe(Layer.provide(clientOf(url)))
    }
    const { clientOf, RedisJobStore } = yield* redis
    return RedisJobStore.layer({ prefix: address.prefix }).pipe(Layer.provide(clientOf(url)))
  })

/** What is a peer of some commands only is loaded when it is needed: who has one store need not install the other's. */
export const load = <A>(what: string, packages: string, module: () => Promise<A>): Effect.Effect<A, CommandFailed> =>
  Effect.tryPromise({
    try: module,
    catch: (error) => failed("Failed", `${what} needs ${packages} beside @capstan/cli: ${whatWentWrong(error).message}`)
  })

export const postgres = load("a Postgres store", "@capstan/pg and @effect/sql-pg", async () => {
  const [{ PgJobStore }, { PgClient }] = await Promise.all([import("@capstan/pg"), import("@effect/sql-pg")])
  return {
    PgJobStore,
    clientOf: (url: Redacted.Redacted) => PgClient.layer({ url, maxConnections: 3, applicationName: "capstan-cli" })
  }
})

const redis = load("a Redis store", "@capstan/redis and redis", async () => {
  const [{ RedisJobStore }, NodeRedis] = await Promise.all([
    import("@capstan/redis"),
    import("@effect/platform-node/NodeRedis")
  ])
  return {
    RedisJobStore,
    clientOf: (url: Redacted.Redacted) => NodeRedis.layer({ url: Redacted.value(url), name: "capstan-cli" })
  }
})
