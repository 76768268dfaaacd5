/**
 * The shop's own data: one row per paid order, kept together with the jobs that follow from it.
 */
import * as PgClient from "@effect/sql-pg/PgClient"
import { Context, Effect, Layer } from "effect"
import * as Redis from "effect/persistence/Redis"
import type { SqlError } from "effect/sql/SqlError"

export interface Payment {
  readonly paymentId: string
  readonly order: { readonly orderId: string; readonly email: string; readonly cents: number }
}

export type OrdersError = SqlError | Redis.RedisError

export class Orders extends Context.Service<Orders, {
  /** Keeps the order of a payment, and does what follows from it: both or neither. */
  readonly paid: <A, E, R>(payment: Payment, then: Effect.Effect<A, E, R>) => Effect.Effect<A, E | OrdersError, R>
  /** Notes that the customer was told of the parcel: once more changes nothing. */
  readonly told: (orderId: string) => Effect.Effect<void, OrdersError>
  readonly count: Effect.Effect<number, OrdersError>
}>()("order-pipeline/Orders") {
  /** On the client that the job store uses too: that is what makes them one transaction. */
  static readonly layerPostgres = Layer.effect(
    this,
    Effect.gen(function*() {
      const sql = yield* PgClient.PgClient
      // Web and worker may start at once: the lock lets the second one find the table.
      yield* sql.withTransaction(Effect.gen(function*() {
        yield* sql`SELECT pg_advisory_xact_lock(hashtext('order-pipeline'))`
        yield* sql`CREATE TABLE IF NOT EXISTS orders (
          id text PRIMARY KEY, payment_id text NOT NULL, email text NOT NULL, cents int NOT NULL,
          told_at timestamptz)`
      }))
      return Orders.of({
        paid: ({ order, paymentId }, then) =>
          sql.withTransaction(Effect.andThen(
            // The same payment may be announced twice.
            sql`INSERT INTO orders (id, payment_id, email, cents)
              VALUES (${order.orderId}, ${paymentId}, ${order.email}, ${order.cents}) ON CONFLICT DO NOTHING`,
            then
          )),
        told: (orderId) =>
          Effect.asVoid(sql`UPDATE orders SET told_at = now() WHERE id = ${orderId} AND told_at IS NULL`),
        count: Effect.map(sql<{ n: number }>`SELECT count(*)::int AS n FROM orders`, ([row]) => row!.n)
      })
    })
  )

  /**
   * Without a transaction, so jobs come first: what follows from a payment whose order was not kept is announced again, and
   * found. The other way round an order could be kept of which nothing follows.
   */
  static readonly layerRedis = Layer.effect(
    this,
    Effect.map(Redis.Redis, ({ send }) =>
      Orders.of({
        paid: (payment, then) =>
          Effect.tap(then, () => send("HSET", "orders", payment.order.orderId, JSON.stringify(payment))),
        told: (orderId) => Effect.asVoid(send("SADD", "orders:told", orderId)),
        count: send<number>("HLEN", "orders")
      }))
  )

  /** The same in memory. */
  static readonly layerMemory = Layer.sync(this, () => {
    const orders = new Map<string, Payment>()
    const told = new Set<string>()
    return Orders.of({
      paid: (payment, then) => Effect.tap(then, () => Effect.sync(() => orders.set(payment.order.orderId, payment))),
      told: (orderId) => Effect.sync(() => void told.add(orderId)),
      count: Effect.sync(() => orders.size)
    })
  })
}
