/**
 * The recipe of docs/postgres.md on Prisma: an order and its job in one transaction of Prisma's, committed and rolled back.
 */
import { PgEnqueue, PgJobStore } from "@capstan/pg"
import { PgClient } from "@effect/sql-pg"
import { Job, JobGroup, JobWorker } from "capstan"
import { Effect, Layer, ManagedRuntime, Redacted, Schema } from "effect"
import assert from "node:assert/strict"
import process from "node:process"
import { PrismaClient, PrismaPg } from "./client/index.ts"

class Ship extends Job.make("Ship", { payload: { order: Schema.NonEmptyString }, success: Schema.String }) {}

const url = process.env.CAPSTAN_TEST_PG_URL!
const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: url }) })
const Jobs = JobGroup.make(Ship)
const runtime = ManagedRuntime.make(
  JobWorker.layer(Jobs).pipe(
    Layer.provide(Jobs.toLayer({ Ship: ({ order }) => Effect.succeed(`shipped ${order}`) })),
    Layer.provideMerge(PgJobStore.layer()),
    Layer.provide(PgClient.layer({ url: Redacted.make(url) }))
  )
)
await runtime.runPromise(Effect.void)
await prisma.$executeRawUnsafe("CREATE TABLE orders (name text PRIMARY KEY)")

/** By the statement, as the docs have it. */
const byStatement = async (order: string) => {
  const { text, values } = await Effect.runPromise(PgEnqueue.statement(Ship.enqueue({ order })))
  const rows = await prisma.$transaction(async (tx) => {
    await tx.order.create({ data: { name: order } })
    return tx.$queryRawUnsafe<ReadonlyArray<{ readonly id: string }>>(text, ...values)
  })
  return rows[0]!.id
}

/** By a driver of our own, which answers the handle. */
const byDriver = (order: string) =>
  prisma.$transaction(async (tx) => {
    await tx.order.create({ data: { name: order } })
    const enqueue = PgEnqueue.through((text, values) => tx.$queryRawUnsafe(text, ...values))
    return (await Effect.runPromise(Ship.enqueue({ order }).pipe(enqueue))).id
  })

await Promise.all([byStatement, byDriver].map(async (enqueue) => {
  const id = await enqueue(enqueue.name)
  assert.equal(await runtime.runPromise(Ship.handle(id).await), `shipped ${enqueue.name}`)
  // The order is there already: nothing of the second transaction stays, the job of it neither.
  await assert.rejects(enqueue(enqueue.name), { code: "P2002" })
}))

await assert.rejects(
  prisma.$transaction(async (tx) => {
    const enqueue = PgEnqueue.through((text, values) => tx.$queryRawUnsafe(text, ...values))
    await Effect.runPromise(Ship.enqueue({ order: "none" }).pipe(enqueue))
    throw new Error("no")
  }),
  { message: "no" }
)

const [count] = await prisma.$queryRawUnsafe<[{ readonly n: number }]>(
  "SELECT ((SELECT count(*) FROM capstan.record) + (SELECT count(*) FROM capstan.history))::int AS n"
)
assert.deepEqual([count.n, await prisma.order.count()], [2, 2])

await runtime.dispose()
await prisma.$disconnect()
console.log("Prisma: committed together, rolled back together")
