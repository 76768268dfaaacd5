/** How many connections a process has: as many with one job at a time as with hundreds. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobWorker } from "capstan"
import { Effect, Latch, Layer, Schema } from "effect"
import * as Harness from "./harness.ts"

class Task extends Job.make("Task", { payload: { n: Schema.Int } }) {}
class Group extends JobGroup.make(Task) {}

const schema = Harness.schemaName("connections")
const operator = Harness.shared(schema, Harness.open(schema, { listen: false }))

/** Those of a process, by the name that it gave itself: of its pool, and the one that listens. */
const connections = (name: string) =>
  Effect.flatMap(operator, ({ sql }) =>
    Effect.map(
      sql.unsafe<{ listens: boolean }>(
        "SELECT query LIKE 'LISTEN%' OR query LIKE '%pg_notify($1, $2)%' AS listens FROM pg_stat_activity WHERE application_name = $1",
        [name]
      ),
      (rows) => ({
        pooled: rows.filter(({ listens }) => !listens).length,
        listening: rows.filter(({ listens }) => listens).length
      })
    ))

/** A pool gives none back while the client lives, so what it has in the end is the most that it has had. */
const counted = (concurrency: number) =>
  Effect.gen(function*() {
    const name = `${schema}_${concurrency}`
    const open = yield* Latch.make(false)
    let running = 0
    let ended = 0
    const handler = ({ n }: { readonly n: number }) =>
      Effect.andThen(Effect.sync(() => running++), open.await).pipe(
        // What an attempt says while it runs is written beside its claims.
        Effect.andThen(n % 2 === 0 ? Effect.void : Effect.fail("no")),
        Effect.orDie,
        Effect.ensuring(Effect.sync(() => ended++))
      )
    const jobs = yield* Jobs.Jobs
    const worker = JobWorker.layer(Group, { concurrency }).pipe(Layer.provide(Group.toLayer({ Task: handler })))
    yield* Layer.build(worker)
    yield* Effect.forEach(
      Array.from({ length: concurrency * 3 }),
      (_, n) => Task.enqueue({ n }),
      { concurrency: "unbounded" }
    )
    yield* Harness.until("all slots are taken", Effect.sync(() => running === concurrency))
    yield* Harness.until("it listens", Effect.map(connections(name), ({ listening }) => listening === 1))
    yield* open.open
    yield* Harness.until("every record has been run", Effect.sync(() => ended >= concurrency * 3))
    yield* jobs.stats
    return yield* connections(name)
  }).pipe(
    Effect.scoped,
    Effect.provide(
      Jobs.layer.pipe(
        Layer.provideMerge(
          Harness.store(schema, {}, { applicationName: `${schema}_${concurrency}`, maxConnections: 20 })
        )
      )
    )
  )

describe("a process that enqueues and works", () => {
  for (const concurrency of [1, 200]) {
    it.live(`has two connections for its worker, one for its enqueues and one that listens: ${concurrency} at a time`, () =>
      Effect.gen(function*() {
        const { listening, pooled } = yield* counted(concurrency)
        assert.strictEqual(listening, 1)
        assert.isAtMost(pooled, 3)
      }))
  }
})
