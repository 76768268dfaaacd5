/** The partitions of a store as its options name them, and as its data has them. */
import { JobError } from "capstan"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { type Calls, Client } from "../client.ts"
import { clean } from "../codec.ts"
import { toStoreError } from "../errors.ts"
import { isCluster, serviceOf } from "../nodes.ts"
import type { Scripts } from "../scripts.ts"
import { type Counts, most } from "./choose.ts"

const incompatible = (detail: string) =>
  Effect.fail(new JobError.JobStoreError({ reason: new JobError.Incompatible({ operation: "layer", detail }) }))

/** Queues with one partition are as all others. */
export const countsOf = (
  partitions: Readonly<Record<string, number>> = {}
): Effect.Effect<Counts, JobError.JobStoreError> => {
  const counts = new Map<string, number>()
  for (const [queue, many] of Object.entries(partitions).toSorted(([a], [b]) => a < b ? -1 : 1)) {
    if (!Number.isInteger(many) || many < 1 || many > most) {
      return incompatible(`partitions of queue ${queue}: must be an integer from 1 to ${most}, it is ${many}`)
    }
    if (many > 1) counts.set(queue, many)
  }
  return Effect.succeed(counts)
}

/** A record counts them in a byte. */
export const maxCrashesOf = (maxCrashes: number): Effect.Effect<number, JobError.JobStoreError> =>
  Number.isInteger(maxCrashes) && maxCrashes >= 1 && maxCrashes <= 100
    ? Effect.succeed(maxCrashes)
    : incompatible(`option maxCrashes: must be an integer from 1 to 100, it is ${maxCrashes}`)

export const manyOf = (counts: Counts): number => Math.max(1, ...counts.values())

/** The first partition has the keys of a store without any. */
const keyOf = (prefix: string, partition: number): string =>
  partition === 0 ? `{${prefix}}` : `{${prefix}/${partition}}`

/** A client for each partition. On a single server all of them are one; on a cluster each sends to the node of its own. */
export const clientsOf = (
  home: Client,
  prefix: string,
  many: number,
  scripts: Scripts
): Effect.Effect<ReadonlyArray<Calls>, JobError.JobStoreError, Scope.Scope> =>
  Effect.forEach(Array.from({ length: many }, (_, partition) => keyOf(prefix, partition)), (key, partition) => {
    if (partition === 0) return Effect.succeed(home)
    if (!isCluster(home.redis)) return Effect.succeed(home.at(key))
    return Effect.gen(function*() {
      const service = yield* Effect.mapError(serviceOf(home.redis, key), (error) => toStoreError("layer", error))
      return new Client(service, key, scripts, yield* Effect.scope)
    })
  })

const textOf = (counts: Counts): string => JSON.stringify([...counts])

/** The partitions that the data of a store has. */
export const storedCounts = (text: string | null): Counts => new Map(text === null ? [] : JSON.parse(text))

/**
 * Makes sure that everybody who opens a store chooses the same partitions. A queue's number may change while the store has no
 * record of it: a key would not find its records otherwise. And nothing is on its way from one partition to another: it would
 * arrive by the old numbers, or never.
 */
export const agree = (
  clients: ReadonlyArray<Calls>,
  counts: Counts,
  found: string | null
): Effect.Effect<void, JobError.JobStoreError> =>
  Effect.gen(function*() {
    const text = textOf(counts)
    if (found === text || found === null && counts.size === 0) return
    const [home] = clients
    const before = storedCounts(found)
    const sending = yield* Effect.forEach(clients, ({ key, send }) => send<number>("layer", "EXISTS", `${key}:to`))
    if (sending.some((is) => Number(is) === 1)) {
      return yield* incompatible(
        `${
          home!.key
        } has other partitions than this program wants, and something is on its way between them: let a program ` +
          "run that has the same, until it has arrived"
      )
    }
    for (const queue of new Set([...before.keys(), ...counts.keys()])) {
      const had = before.get(queue) ?? 1
      const has = counts.get(queue) ?? 1
      if (had === has) continue
      const lengths = yield* Effect.forEach(
        clients,
        (client) =>
          client.send<ReadonlyArray<string | null>>("layer", "HMGET", `${client.key}:q:${clean(queue)}`, ..."rusbcxd")
      )
      if (lengths.flat().some((many) => Number(many ?? 0) > 0)) {
        return yield* incompatible(
          `queue ${queue} of ${home!.key} has ${had} partitions and records in them, this program wants ${has}: ` +
            "use the number that it has, or remove its records first"
        )
      }
    }
    yield* home!.send("layer", "HSET", home!.key, "pt", text)
  })
