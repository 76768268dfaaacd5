/**
 * The store on Redis 7, over the caller's own client: any layer of `effect/persistence/Redis`.
 *
 * Each verb is one script, so it is atomic, and takes whole batches. An acknowledged enqueue is as durable as the server's
 * settings make it: `describe` says what that is.
 *
 * ```ts
 * import { RedisJobStore } from "@capstan/redis"
 * import * as NodeRedis from "@effect/platform-node/NodeRedis"
 *
 * const StoreLive = RedisJobStore.layer().pipe(Layer.provide(NodeRedis.layer({ url: "redis://localhost:6379" })))
 * ```
 *
 * @since 0.1.0
 */
import { JobError, JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { Redis } from "effect/persistence/Redis"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import { Client } from "./internal/client.ts"
import { server, warnings } from "./internal/describe.ts"
import { toStoreError } from "./internal/errors.ts"
import { serviceOf } from "./internal/nodes.ts"
import { agree, clientsOf, countsOf, manyOf, maxCrashesOf, storedCounts } from "./internal/partitions/open.ts"
import { makePartitioned } from "./internal/partitions/store.ts"
import { repair as mend } from "./internal/repair.ts"
import { layout, scripts } from "./internal/scripts.ts"
import { make, usualSettings } from "./internal/store.ts"

/**
 * Options of the store.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * What the names of all keys begin with, in braces, so that they share one hash slot of a cluster: letters, digits, `-`,
   * `_`, `.` and `:`. Several stores live in one database under different names.
   *
   * @default "capstan"
   */
  readonly prefix?: string | undefined
  /**
   * A record whose workers died this often while they held it is dead with reason `Crashed`: from 1 to 100.
   *
   * @default 3
   */
  readonly maxCrashes?: number | undefined
  /**
   * What an acknowledged enqueue has survived when it answers. `"server"`: what the server's own settings promise.
   * `"replicated"`: one replica has it too (`WAIT 1`), so that a failover to that replica does not lose it; an enqueue takes
   * a network's round trip longer, over a connection of its own, and fails with `OutcomeUnknown` when no replica answers
   * within two seconds.
   *
   * @default "server"
   */
  readonly durability?: "server" | "replicated" | undefined
  /**
   * What an enqueue does while its fiber has an SQL transaction open, in which Redis takes no part. `"fail"`: it fails with
   * `EnqueueInTransaction`. `"afterCommit"`: it answers `Deferred` and enqueues when the outermost transaction has
   * committed; a process that ends between the two loses the job. `"ignore"`: it enqueues at once, whatever becomes of the
   * transaction.
   *
   * @default "fail"
   */
  readonly insideSqlTransaction?: "fail" | "afterCommit" | "ignore" | undefined
  /**
   * How many partitions a queue has, 1 to 256: each has a hash tag of its own, so that a cluster's nodes share its records.
   * A record's partition is chosen by the job's `partition`, else by its keys, else by its id; what is atomic, ordered or
   * limited is so within one. Every program on the same data names the same numbers; a number may change while the store has
   * no record of the queue.
   *
   * @default 1 for every queue
   */
  readonly partitions?: Readonly<Record<string, number>> | undefined
}

/**
 * The store.
 *
 * **Details**
 *
 * It uses the client's own connection for calls, one more to listen for wake-ups while a worker runs, one while somebody reads
 * events, and one for enqueues with `durability: "replicated"`; none of them depends on how many jobs run.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (
  options: Options = {}
): Layer.Layer<JobStore.JobStore, JobError.JobStoreError, Redis> =>
  Layer.effect(
    JobStore.JobStore,
    Effect.gen(function*() {
      const counts = yield* countsOf(options.partitions)
      const client = yield* clientOf(options.prefix, counts.size > 0)
      const settings = {
        ...usualSettings,
        maxCrashes: yield* maxCrashesOf(options.maxCrashes ?? usualSettings.maxCrashes),
        durability: options.durability ?? usualSettings.durability,
        insideSqlTransaction: options.insideSqlTransaction ?? usualSettings.insideSqlTransaction
      }
      for (const warning of warnings(yield* server(client), settings.durability)) {
        yield* Effect.logWarning(`Redis store ${client.key}: ${warning}`)
      }
      const [identity, found] = yield* identityOf(client)
      const before = storedCounts(found)
      const many = Math.max(manyOf(counts), manyOf(before))
      const clients = yield* clientsOf(client, prefixOf(options), many, scripts(undefined, true))
      yield* agree(clients, counts, found)
      return yield* counts.size === 0
        ? make(client, { ...settings, identity })
        : makePartitioned(clients.slice(0, manyOf(counts)), counts, { ...settings, identity })
    })
  )

/**
 * Makes every index of the store anew from its records: queues, schedules of retries, leases, retention, unique and
 * idempotency keys, searches and figures.
 *
 * **When to use**
 *
 * When keys were lost that are not the records themselves: deleted by hand, or evicted by a server that was not set to
 * `noeviction`. Workers may go on.
 *
 * **Details**
 *
 * It first counts all records in one script, some microseconds a record, during which the server does nothing else; then it
 * sees to 500 records a call. Answers how many records there are, and how many queues and shelves had lost some. What no
 * record tells of, as they themselves and schedules, cannot be made from anything. `JobStore.repair` of a store that is open does the same,
 * and says how far it is; `capstan repair` asks first, and has a dry run.
 *
 * @category operations
 * @since 0.1.0
 */
export const repair = (
  options: Pick<Options, "prefix"> = {}
): Effect.Effect<{ readonly records: number; readonly broken: number }, JobError.JobStoreError, Redis> =>
  Effect.scoped(Effect.gen(function*() {
    const found = yield* (yield* clientOf(options.prefix, false)).send<string | null>(
      "repair",
      "HGET",
      `{${prefixOf(options)}}`,
      "pt"
    )
    const many = manyOf(storedCounts(found))
    const home = yield* clientOf(options.prefix, many > 1)
    const clients = yield* clientsOf(home, prefixOf(options), many, scripts(undefined, true))
    const last = yield* Stream.runLast(mend(clients, false))
    return Option.match(last, {
      onNone: () => ({ records: 0, broken: 0 }),
      onSome: ({ lacking, records }) => ({ records, broken: lacking.length })
    })
  }))

const prefixOf = ({ prefix = "capstan" }: Pick<Options, "prefix">): string => prefix

const clientOf = Effect.fnUntraced(function*(prefix: string = "capstan", isPartitioned: boolean) {
  if (!/^[\w.:-]{1,100}$/.test(prefix)) {
    return yield* incompatible(
      `prefix ${JSON.stringify(prefix)}: use letters, digits, "-", "_", "." and ":", at most 100 of them`
    )
  }
  const key = `{${prefix}}`
  const service = yield* Effect.mapError(serviceOf(yield* Redis, key), (error) => toStoreError("layer", error))
  return new Client(service, key, scripts(undefined, isPartitioned), yield* Effect.scope)
})

const incompatible = (detail: string) =>
  Effect.fail(new JobError.JobStoreError({ reason: new JobError.Incompatible({ operation: "layer", detail }) }))

/**
 * The same for every client of the same data, which says by which layout it is kept, too; and which partitions it has. Of data that is
 * there it only reads: a server whose memory is full refuses what may write, and who makes room must get in.
 */
const identityOf = (client: Client): Effect.Effect<readonly [string, string | null], JobError.JobStoreError> =>
  Effect.gen(function*() {
    const read = client.send<[string | null, string | null, string | null]>(
      "layer",
      "HMGET",
      client.key,
      "id",
      "layout",
      "pt"
    )
    const before = yield* read
    const made = (yield* Random.nextIntBetween(0, 2 ** 48)).toString(36)
    const isNew = before[0] === null || before[1] === null
    if (before[0] === null) yield* client.send("layer", "HSETNX", client.key, "id", made)
    if (before[1] === null) yield* client.send("layer", "HSETNX", client.key, "layout", String(layout))
    const [id, found, partitions] = isNew ? yield* read : before
    if (Number(found) === layout) return [`redis:${client.key}:${id}`, partitions] as const
    return yield* incompatible(
      `the data of ${client.key} has layout ${found}, this release wants ${layout}: use its release, or another prefix`
    )
  })
