/**
 * A judge that asks a store of the mutant for the facts of the suite, in one process: a fact takes some milliseconds.
 *
 * The modules of the store are loaded anew for each mutant, under addresses of their own, and nothing is written to disk.
 */
import { JobStoreSuite, Simulation } from "@capstan/testing"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { JobStore } from "capstan"
import { Context, Effect, Exit, Layer, Logger, Redacted, Scope } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { registerHooks } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"
import { PgJobStore } from "../../packages/pg/src/index.ts"
import { Client as PgCalls } from "../../packages/pg/src/internal/client.ts"
import { settings, statementsFrom } from "../../packages/pg/src/internal/schema/migrations.ts"
import { make as makePg } from "../../packages/pg/src/internal/store.ts"
import { factsInTransactions, inTransactions } from "../../packages/pg/test/ambient.ts"
import { empty } from "../../packages/pg/test/server.ts"
import { Client as RedisCalls } from "../../packages/redis/src/internal/client.ts"
import type { scripts } from "../../packages/redis/src/internal/scripts.ts"
import { make as makeRedis, usualSettings } from "../../packages/redis/src/internal/store.ts"
import { Advance } from "../../packages/testing/src/internal/suite/harness.ts"
import { ordered, type Question, serve, tell } from "./judge.ts"

const root = new URL("../../", import.meta.url)

// ------------------------------------------------------------------------------------------------ modules, anew

/** The mutant that is loaded, the folder whose modules are loaded anew for it, and its number. */
const present = { url: "", text: "", folder: "", number: 0 }

const tail = () => `?mutant=${present.number}`

registerHooks({
  resolve: (specifier, context, next) => {
    const found = next(specifier, context)
    const isOurs = context.parentURL?.endsWith(tail()) === true && found.url.startsWith(present.folder)
    return isOurs ? { ...found, url: found.url + tail() } : found
  },
  load: (url, context, next) =>
    url === present.url + tail()
      ? { format: "module-typescript", source: present.text, shortCircuit: true }
      : next(url, context)
})

/** A module of a folder as it is with the mutant in it. */
const load = async <A>(folder: string, entry: string, { file, text }: Pick<Question, "file" | "text">): Promise<A> => {
  present.url = pathToFileURL(fileURLToPath(new URL(file, root))).href
  present.text = text
  present.folder = new URL(folder, root).href
  present.number++
  return await import(new URL(folder + entry, root).href + tail())
}

// ------------------------------------------------------------------------------------------------------- stores

type Fact = JobStoreSuite.Fact

/** Random calls take as long as all else together: they come last, and with one seed. */
const factsOf = ({ facts }: Pick<typeof JobStoreSuite, "facts">): ReadonlyArray<Fact> => {
  const isRandom = ({ name }: Fact) => name.includes("(seed ")
  return [...facts.filter((fact) => !isRandom(fact)), ...facts.filter(({ name }) => name.endsWith("(seed 1)"))]
}

/** A store with the mutant in it. */
interface Mutated {
  readonly layer: Layer.Layer<JobStore.JobStore>
  readonly advance?: (millis: number) => Effect.Effect<void>
  /** @default those of the suite */
  readonly facts?: ReadonlyArray<Fact>
}

/** Or why there is none. Nothing: it is not seen by these facts. */
type Prepare = (question: Question) => Promise<Mutated | string | undefined>

const memory: Prepare = async (question) => {
  const folder = "packages/capstan/src/internal/memory/"
  const { make } = await load<{ readonly make: () => Effect.Effect<JobStore.Shape> }>(folder, "store.ts", question)
  return { layer: Layer.effect(JobStore.JobStore, Effect.suspend(() => make())) }
}

/** The table of transitions is what the suite and the simulation compare the store with: they are loaded anew with it. */
const lifecycle: Prepare = async (question) => {
  type Core = { readonly JobStore: typeof JobStore }
  type Testing = { readonly JobStoreSuite: typeof JobStoreSuite; readonly Simulation: typeof Simulation }
  const { JobStoreSuite: suite, Simulation: simulation } = await load<Testing>(
    "packages/",
    "testing/src/index.ts",
    question
  )
  const core: Core = await import(new URL("packages/capstan/src/index.ts", root).href + tail())
  const simulated = [1, 2, 3].map((seed): Fact => ({
    name: `simulation (seed ${seed})`,
    run: Effect.gen(function*() {
      const { failed } = yield* simulation.explore([seed], { kills: true })
      if (failed !== undefined) return yield* Effect.die(new Error("an invariant is broken"))
    })
  }))
  return { layer: core.JobStore.layerMemory(), facts: [...factsOf(suite), ...simulated] }
}

const build = <A>(layer: Layer.Layer<A, unknown>): Promise<Context.Context<A>> =>
  Effect.runPromise(Layer.buildWithScope(Layer.provide(layer, Logger.layer([])), Scope.makeUnsafe()))

const url = (variable: string): string => {
  const given = process.env[variable]
  if (given === undefined) throw new Error(`${variable} is not set: run this by \`npm run mutate\``)
  return given
}

/**
 * One schema for all mutants: the functions that differ are replaced, and put back before the next. The clock is the table's
 * that the facts move.
 */
const postgres = async (): Promise<Prepare> => {
  const schema = `mutation_${process.pid}`
  const names = { schema: `"${schema}"`, channel: `capstan_${schema}` }
  const layer = () => PgClient.layer({ url: Redacted.make(url("CAPSTAN_TEST_PG_URL")), maxConnections: 5 })
  const first = Context.get(await build(layer()), PgClient.PgClient)
  await Effect.runPromise(first.unsafe(`ALTER ROLE CURRENT_USER SET statement_timeout = '15s'`).unprepared)
  const context = await build(Layer.provideMerge(PgJobStore.layer({ schema }), layer()))
  const sql = Context.get(context, PgClient.PgClient)
  const statement = (text: string) => sql.unsafe(text).unprepared
  await Effect.runPromise(Effect.forEach([
    `CREATE TABLE ${schema}.now AS SELECT 1800000000000 AS at`,
    `CREATE OR REPLACE FUNCTION ${schema}.clock() RETURNS bigint LANGUAGE sql VOLATILE AS 'SELECT at FROM ${schema}.now'`
  ], statement))
  const original = statementsFrom(names, 0)
  const planned = settings(names)
  let changed: ReadonlyArray<string> = []
  const facts = [...factsOf(JobStoreSuite), ...factsInTransactions.map(inTransactions(sql))]
  return async (question) => {
    await Effect.runPromise(Effect.forEach([...changed, ...planned], statement))
    changed = []
    const folder = "packages/pg/src/internal/schema/"
    const loaded = await load<{ readonly statementsFrom: typeof statementsFrom }>(folder, "migrations.ts", question)
    const mutated = loaded.statementsFrom(names, 0)
    const places = original.flatMap((text, i) => mutated[i] === text ? [] : [i])
    const isFunction = (text: string) =>
      /^\s*CREATE OR REPLACE FUNCTION/.test(text) && !text.includes(".clock() RETURNS")
    if (!question.isOriginal && !(places.length > 0 && places.every((i) => isFunction(original[i]!)))) return undefined
    changed = places.map((i) => original[i]!)
    const exit = await Effect.runPromiseExit(
      sql.withTransaction(Effect.forEach([...places.map((i) => mutated[i]!), ...planned], statement))
    )
    if (Exit.isFailure(exit)) return "refused by the server"
    const store = makePg(new PgCalls(sql, names.schema, names.channel), {
      identity: schema,
      maxCrashes: 3,
      listen: true
    })
    return {
      facts,
      layer: Layer.effect(JobStore.JobStore, Effect.andThen(Effect.orDie(empty({ schema, sql })), store)),
      advance: (millis) =>
        Effect.asVoid(Effect.orDie(sql.unsafe(`UPDATE ${schema}.now SET at = at + $1::float8::bigint`, [millis])))
    }
  }
}

const redis = async (): Promise<Prepare> => {
  const prefix = `mutation_${process.pid}`
  const context = await build(NodeRedis.layer({ url: url("CAPSTAN_TEST_REDIS_URL") }))
  const server = Context.get(context, Redis.Redis)
  const send = (command: string, ...args: ReadonlyArray<string>) => Effect.orDie(server.send(command, ...args))
  const empty = Effect.andThen(send("FLUSHALL"), send("SET", `{${prefix}}:now`, "1800000000000"))
  const clock = "local now = tonumber(call('GET', P .. ':now'))"
  type Make = { readonly scripts: typeof scripts }
  const folder = "packages/redis/src/internal/"
  const original = (await import("../../packages/redis/src/internal/scripts.ts")).scripts(clock)
  return async (question) => {
    const loaded = await load<Make>(folder, "scripts.ts", question)
    const mutated = loaded.scripts(clock)
    const verbs = (Object.keys(mutated) as Array<keyof typeof mutated>).filter((verb) =>
      mutated[verb] !== original[verb]
    )
    if (verbs.length === 0 && !question.isOriginal) return undefined
    const exit = await Effect.runPromiseExit(
      Effect.forEach(verbs, (verb) => server.send("SCRIPT", "LOAD", mutated[verb]))
    )
    if (Exit.isFailure(exit)) return "refused by the server"
    const store = Effect.gen(function*() {
      yield* empty
      const client = new RedisCalls(server, `{${prefix}}`, mutated, yield* Effect.scope)
      return yield* makeRedis(client, { ...usualSettings, identity: prefix })
    })
    return {
      layer: Layer.effect(JobStore.JobStore, store),
      advance: (millis) => Effect.asVoid(send("INCRBY", `{${prefix}}:now`, String(Math.ceil(millis))))
    }
  }
}

// -------------------------------------------------------------------------------------------------------- facts

const quiet = Layer.merge(TestClock.layer(), Logger.layer([]))

const holds = async ({ advance, layer }: Mutated, { run }: Fact): Promise<boolean> => {
  const given = Effect.provide(run, Layer.fresh(layer))
  const asked = advance === undefined ? given : Effect.provideService(given, Advance, advance)
  return Exit.isSuccess(await Effect.runPromiseExit(Effect.provide(asked, quiet)))
}

const stores = { lifecycle: async () => lifecycle, memory: async () => memory, postgres, redis }
const prepare = await stores[process.argv[2] as keyof typeof stores]()

serve(async (question) => {
  let mutated
  try {
    mutated = await prepare(question)
  } catch (error) {
    // It is a program, which fails as soon as it is loaded.
    return { _tag: "Killed", by: `its modules do not load: ${error instanceof Error ? error.message : "no error"}` }
  }
  if (mutated === undefined) return { _tag: "Survived" }
  if (typeof mutated === "string") return { _tag: "Invalid", why: mutated }
  for (const fact of ordered(mutated.facts ?? factsOf(JobStoreSuite), ({ name }) => name, question.first)) {
    tell({ _tag: "Begun", check: fact.name })
    // What hears of something waits for it in real time, which a busy machine may take from it: a mutant fails it twice.
    if (!await holds(mutated, fact) && !await holds(mutated, fact)) return { _tag: "Killed", by: fact.name }
  }
  return { _tag: "Survived" }
})
