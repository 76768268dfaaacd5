/** What the tests of the Redis store are written with. */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { assert } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import { vi } from "vitest"
import { Client } from "../src/internal/client.ts"
import { scripts } from "../src/internal/scripts.ts"
import { make, type Settings, usualSettings } from "../src/internal/store.ts"

// What takes longer hangs, also on a machine that has other things to do.
vi.setConfig({ testTimeout: 30_000, hookTimeout: 30_000 })

/** Set by the test command, which starts a server when there is none. */
export const url = (): string => {
  const given = process.env.CAPSTAN_TEST_REDIS_URL
  if (given === undefined) throw new Error("CAPSTAN_TEST_REDIS_URL is not set: run the tests by `npm test`")
  return given
}

/** `name`: what the server calls its connections. */
export const client = (name?: string) =>
  Layer.orDie(NodeRedis.layer({ url: url(), ...(name === undefined ? {} : { name }) }))

/** Ends all connections of this name, as a lost network does: nobody says goodbye. */
export const cut = (name: string) =>
  Effect.gen(function*() {
    const list = yield* send<string>("CLIENT", "LIST")
    const ids = list.split("\n").filter((line) => line.includes(` name=${name} `)).map((line) =>
      /id=(\d+)/.exec(line)![1]!
    )
    for (const id of ids) yield* Effect.ignore(send("CLIENT", "KILL", "ID", id))
    return ids.length
  })

/** Waits for what nobody announces, and says what it waited for when that does not come. */
export const until = <E, R>(
  what: string,
  check: Effect.Effect<boolean, E, R>,
  seconds = 10
): Effect.Effect<void, E, R> =>
  Effect.gen(function*() {
    const end = performance.now() + seconds * 1000
    while (!(yield* check)) {
      if (performance.now() > end) return assert.fail(`waited ${seconds} s in vain: ${what}`)
      yield* Effect.sleep("10 millis")
    }
  })

/** A namespace that nobody has used before, removed when its tests have ended. */
export const prefixOf = (theme: string): string => `t_${theme}_${process.pid}`

const remove = (match: string) =>
  Effect.gen(function*() {
    const redis = yield* Redis.Redis
    let cursor = "0"
    do {
      const scan = redis.send<[string, ReadonlyArray<string>]>("SCAN", cursor, "MATCH", match, "COUNT", "1000")
      const [next, keys] = yield* scan
      if (keys.length > 0) yield* redis.send("UNLINK", ...keys)
      cursor = next
    } while (cursor !== "0")
  })

/** Removes all keys that begin with one. */
export const emptyOf = (key: string) => remove(`${key}*`)

/** Removes all keys of a namespace. */
export const empty = (prefix: string) => emptyOf(`{${prefix}}`)

/** Those of all of its partitions on this server, too. */
export const emptyAll = (prefix: string) => remove(`{${prefix}[}/]*`)

/** A clock that stands still until it is moved, in a key of the namespace. */
export const frozenClock = "local now = tonumber(call('GET', P .. ':now'))"

export const freeze = (prefix: string) =>
  Effect.flatMap(Redis.Redis, (redis) => redis.send("SET", `{${prefix}}:now`, "1800000000000"))

export const advance = (prefix: string, millis: number) =>
  Effect.flatMap(Redis.Redis, (redis) => redis.send("INCRBY", `{${prefix}}:now`, String(Math.ceil(millis))))

/** A store whose clock may be another than the server's. */
export const open = (prefix: string, clock?: string, settings: Partial<Settings> = {}) =>
  Effect.gen(function*() {
    const client = new Client(
      yield* Redis.Redis,
      `{${prefix}}`,
      scripts(clock),
      yield* Effect.scope
    )
    return yield* make(client, { ...usualSettings, ...settings, identity: prefix })
  })

export const storeOf = (prefix: string, clock?: string, settings: Partial<Settings> = {}) =>
  Layer.effect(JobStore.JobStore, open(prefix, clock, settings))

/** A command of the server itself. */
export const send = <A = unknown>(command: string, ...args: ReadonlyArray<string>) =>
  Effect.flatMap(Redis.Redis, (redis) => redis.send<A>(command, ...args))
