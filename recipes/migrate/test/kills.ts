/**
 * Movers that are killed at each instant at which what is stored here and what waits there may differ, and run again: nothing is
 * lost, nothing runs twice, what stays is reported once. Workers run between the kills what has come.
 */
import { PgClient } from "@effect/sql-pg"
import { Context, Effect, Layer, Redacted } from "effect"
import { SqlClient } from "effect/sql/SqlClient"
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { fileURLToPath } from "node:url"
import { untilTrue } from "../../../scripts/servers/until.ts"
import type { Reject } from "../src/source.ts"
import { drain, type Filled, records, run } from "./checks.ts"

/** What a mover is started with. */
export interface Given {
  readonly from: "BullMQ" | "pg-boss" | "graphile-worker"
  readonly to: "Postgres" | "Redis"
  /** The schema or the prefix of the store. */
  readonly store: string
  readonly postgresUrl: string
  readonly redisUrl: string
  /** A file. */
  readonly report: string
  /**
   * - `read`: the page is read
   * - `stored`: its records are acknowledged, and nothing of it is reported
   * - `reported`: what stays is reported, and nothing is removed
   * - `removed`: some is removed, where that is one call each, or all is and the transaction has not ended
   * - `others`: all pages are done
   */
  readonly at?: "read" | "stored" | "reported" | "removed" | "others"
  readonly page?: number
}

const linesOf = (report: string): ReadonlyArray<Reject> =>
  // Who is killed may leave half a line.
  existsSync(report) ? readFileSync(report, "utf8").split("\n").slice(0, -1).map((line) => JSON.parse(line)) : []

/** What another transaction has is left out, and said to be, so that nobody takes the move for done. */
export const leavesOut = Effect.fnUntraced(function*({ due: [id = ""], lock, source }: Filled, postgresUrl: string) {
  if (lock === undefined) return
  const other = yield* Layer.build(PgClient.layer({ url: Redacted.make(postgresUrl) }))
  const dry = Effect.map(run(source, "dry"), ({ rejects }) => rejects.filter((reject) => reject.id === id))
  const taken = Effect.andThen(Effect.provideContext(lock(id), other), dry)
  const [reject, ...more] = yield* Context.get(other, SqlClient).withTransaction(taken)
  assert.deepEqual([reject?.reason, reject?.detail, more.length], [
    "Running",
    "another transaction has it: run again",
    0
  ])
  assert.equal((yield* dry).length, 0)
}, Effect.scoped)

/** Moves what a queue has, killed at one instant after the other, and answers how often. */
export const killedAnywhere = Effect.fnUntraced(
  function*(filled: Filled, target: Omit<Given, "report" | "at" | "page">) {
    const { again, due, later, rejects, source, waiting } = filled
    const sql = yield* SqlClient
    const folder = mkdtempSync(join(tmpdir(), "capstan-kills-"))
    yield* Effect.addFinalizer(() => Effect.sync(() => rmSync(folder, { recursive: true })))
    const report = join(folder, "rejects.ndjson")

    const start = (at?: Given["at"], page?: number) =>
      Effect.promise(async () => {
        const given = { ...target, report, ...at === undefined ? {} : { at }, ...page === undefined ? {} : { page } }
        const child = spawn(
          process.execPath,
          ["--conditions=@capstan/source", fileURLToPath(new URL("killed.ts", import.meta.url)), JSON.stringify(given)],
          { stdio: ["ignore", "ignore", "inherit"] }
        )
        const [code, signal] = await once(child, "close")
        assert.deepEqual([code, signal], at === undefined ? [0, null] : [null, "SIGKILL"], `${at}, page ${page}`)
        // What a killed one has not committed is undone when its server sees that it has gone.
        const sessions = sql<{ readonly n: number }>`
        SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = 'mover'`
        await untilTrue("its sessions are gone", async () => (await Effect.runPromise(sessions))[0]!.n === 0)
      })

    const ran: Array<string> = []
    const idOf = (from: string) => from.slice(source.name.length + 1)
    const work = Effect.gen(function*() {
      const ready = (yield* records).filter(({ state }) => state === "ready").length
      ran.push(...(yield* drain(ready)).map((line) => idOf(line.split(" ")[0]!)))
    })
    const held = Object.keys(rejects).filter((id) => rejects[id] === "Held")
    const moving = [...due, ...held, ...Object.keys(later)]
    const before = yield* Effect.promise(waiting)
    const look = Effect.gen(function*() {
      const here = (yield* records).map(({ headers }) => idOf(headers["moved-from"]!))
      assert.equal(new Set(here).size, here.length, "a job has two records")
      const all = new Set([...here, ...yield* Effect.promise(waiting)])
      assert.deepEqual(moving.filter((id) => !all.has(id)), [], "jobs are lost")
      const told = linesOf(report).map(({ id }) => id)
      assert.equal(new Set(told).size, told.length, "what stays is reported twice")
    })

    const instants = (["read", "stored", "reported", "removed"] as const)
      .flatMap((at) => [{ at, page: 1 }, { at, page: 3 }])
    for (const [i, { at, page }] of [...instants, { at: "others", page: 0 } as const].entries()) {
      yield* start(at, page)
      yield* look
      // Half of the time what was stored is done before it is found again.
      if (i % 2 === 1) yield* work
    }
    yield* start()
    yield* look
    yield* work
    // What was held can go now.
    yield* start()
    yield* look
    yield* work

    assert.deepEqual(ran.toSorted(), [...due, ...held].toSorted())
    const scheduled = (yield* records).filter(({ state }) => state === "scheduled")
    assert.deepEqual(
      Object.fromEntries(scheduled.map(({ dueAt, headers }) => [idOf(headers["moved-from"]!), dueAt])),
      later
    )
    const stay = Object.fromEntries(Object.entries(rejects).filter(([, reason]) => reason !== "Held"))
    assert.deepEqual(
      linesOf(report).map(({ id, reason }) => `${id}: ${reason}`).toSorted(),
      Object.entries(stay).map(([id, reason]) => `${id}: ${reason}`).toSorted()
    )
    assert.deepEqual(
      (yield* Effect.promise(waiting)).toSorted(),
      before.filter((id) => stay[id] !== undefined).toSorted()
    )

    // An id that its producer gives, and gives again when the job has gone.
    if (again !== undefined) {
      const id = yield* Effect.promise(again)
      assert.ok(ran.includes(id))
      yield* start()
      ran.length = 0
      yield* work
      assert.deepEqual(ran, [id])
    }
    return instants.length + 1
  },
  Effect.scoped
)
