/**
 * The service `effect/persistence/Redis` over node-redis's cluster client, for a store on a Redis Cluster.
 *
 * All keys of a store share one hash tag, those of a partition another, so what it sends goes to the node that serves that
 * slot, after a failover or a migration to the next one. While the slot is on its way from one node to another neither has all of its keys: what is sent
 * meanwhile is refused with `TRYAGAIN`, has done nothing, and is sent again.
 *
 * ```ts
 * import { RedisJobStore } from "@capstan/redis"
 * import * as RedisCluster from "@capstan/redis/RedisCluster"
 *
 * const StoreLive = RedisJobStore.layer().pipe(
 *   Layer.provide(RedisCluster.layer({ rootNodes: [{ url: "redis://node-1:6379" }] }))
 * )
 * ```
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redis from "effect/persistence/Redis"
import type * as Scope from "effect/Scope"
import { createCluster } from "redis"
import { onCluster } from "./internal/nodes.ts"

type ClientOptions = NonNullable<Parameters<typeof createCluster>[0]>
type Cluster = ReturnType<typeof createCluster>

/**
 * What node-redis takes, how many connections may be reserved, and whose keys are sent.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options extends ClientOptions, Redis.PoolOptions {
  /**
   * That of the store, to whose node goes what is sent by hand. Stores with other prefixes and partitions send to theirs.
   *
   * @default "capstan"
   */
  readonly prefix?: string | undefined
}

/** Milliseconds after which a node that is away is looked for elsewhere. node-redis waits for ten times as long. */
const usualRefresh = 500

/** Redirections that one command follows. */
const redirections = 16

/**
 * The client, connected while the layer is in use. Its build fails when none of `rootNodes` answers.
 *
 * @category layers
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<Redis.Redis, Redis.RedisError> =>
  Layer.effect(
    Redis.Redis,
    Effect.gen(function*() {
      const { acquireTimeout, idleTimeout, maxConnections, minConnections, prefix = "capstan", ...client } = options
      const own = `{${prefix}}`
      const cluster = yield* connected({
        topologyRefreshOnReconnectionAttemptStrategy: usualRefresh,
        ...client
      })
      const pool = { acquireTimeout, idleTimeout, maxConnections, minConnections }
      const service = yield* serviceOf(cluster, own, yield* slotOf(cluster, own), pool)
      return onCluster(service, (key) =>
        key === own
          ? Effect.succeed(service)
          : Effect.flatMap(slotOf(cluster, key), (slot) => serviceOf(cluster, key, slot, pool)))
    })
  )

const slotOf = (cluster: Cluster, key: string) =>
  promised(() => cluster.sendCommand<number>(key, true, ["CLUSTER", "KEYSLOT", key]))

/** Sends to the node that has the slot of a key. */
const serviceOf = (
  cluster: Cluster,
  key: string,
  slot: number,
  pool: Redis.PoolOptions
): Effect.Effect<Redis.Redis["Service"], never, Scope.Scope> =>
  Effect.suspend(() => {
    const node = promised(() => Promise.resolve(cluster.nodeClient(cluster.slots[slot]!.master)))
    // A key's command is what makes the client look where its slot is.
    const lookAgain = promised(() => cluster.sendCommand(key, false, ["EXISTS", key]))

    const send = <A = unknown>(command: string, ...args: ReadonlyArray<string>): Effect.Effect<A, Redis.RedisError> =>
      Effect.flatMap(node, (client) => promised(() => client.sendCommand<A>([command, ...args]))).pipe(
        Effect.catchIf(isMoved, (error) => Effect.andThen(lookAgain, Effect.fail(error))),
        Effect.retry({ while: isMoved, times: redirections }),
        Effect.mapError(awayFrom)
      )

    return Redis.make({
      send,
      connect: Effect.flatMap(node, (client) => {
        // To where this client goes: without its host and port it would be the default server of this machine.
        const connection = client.duplicate({ socket: { ...client.options.socket, reconnectStrategy: false } })
        // What fails is told by its commands.
        connection.on("error", () => {})
        const close = Effect.sync(() => connection.isOpen && connection.destroy())
        return promised(() => connection.connect()).pipe(
          Effect.onError(() => close),
          Effect.as({
            // Who has reserved it leaves it after a failure, and connects to the node that has the slot by then.
            send: <A>(command: string, ...args: ReadonlyArray<string>) =>
              promised(() => connection.sendCommand<A>([command, ...args])).pipe(
                Effect.tapError((error) => isMoved(error) ? Effect.ignore(lookAgain) : Effect.void),
                Effect.mapError(awayFrom)
              ),
            close
          })
        )
      }),
      pool,
      subscribe: (channel, onMessage) => {
        const hear = (message: string | Uint8Array, channel: string | Uint8Array) =>
          onMessage({ channel: String(channel), message: String(message) })
        return Effect.as(
          Effect.acquireRelease(
            promised(() => cluster.subscribe(channel, hear)),
            () => Effect.ignore(promised(() => cluster.unsubscribe(channel, hear)))
          ),
          // It subscribes anew by itself.
          Effect.never
        )
      }
    })
  })

const connected = (options: ClientOptions) =>
  Effect.acquireRelease(
    Effect.gen(function*() {
      const cluster: Cluster = createCluster(options)
      const runSync = Effect.runSyncWith(yield* Effect.context<never>())
      // node-redis throws what nobody hears.
      cluster.on("error", (cause) => runSync(Effect.logWarning("the Redis cluster client", cause)))
      yield* Effect.onError(promised(() => cluster.connect()), () => Effect.sync(() => cluster.destroy()))
      return cluster
    }),
    (cluster) => Effect.sync(() => cluster.destroy())
  )

/** The client answers by promises. */
const promised = <A>(call: () => Promise<A>): Effect.Effect<A, Redis.RedisError> =>
  Effect.tryPromise({ try: call, catch: (cause) => new Redis.RedisError({ cause }) })

const says = (word: string) => ({ cause }: Redis.RedisError): boolean =>
  cause instanceof Error && cause.message.startsWith(`${word} `)

const isMoved = says("MOVED")
const isAsking = says("ASK")

const onItsWay = new Redis.RedisError({ cause: new Error("TRYAGAIN the slot of the store is being migrated") })

/** A node that does not have the slot has done nothing: the same may be sent again. */
const awayFrom = (error: Redis.RedisError): Redis.RedisError => isMoved(error) || isAsking(error) ? onItsWay : error
