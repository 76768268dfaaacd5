/** What the store says of itself and of its server, and what it warns about when it starts. */
import { PgJobStore } from "@capstan/pg"
import { assert, describe, it } from "@effect/vitest"
import { Clock, Deferred, Effect, Fiber, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { Client } from "../src/internal/client.ts"
import * as Describe from "../src/internal/describe.ts"
import { latest } from "../src/internal/schema/migrations.ts"
import * as Harness from "./harness.ts"

const schema = Harness.schemaName("describe")
const side = Harness.shared(schema, Harness.open(schema))

/** A server that answers so. */
const server = (given: Readonly<Record<string, unknown>>): Pick<Client, "call" | "isAlone"> => ({
  isAlone: false,
  call: <A>() =>
    Effect.succeed([{
      version: "15.1",
      pglite: null,
      synchronous_commit: "on",
      fsync: "on",
      full_page_writes: "on",
      standbys: "",
      recovery: false,
      oldest_transaction: 0,
      now: 0,
      ...given
    } as A])
})

const settings = { maxCrashes: 3, listen: true }

describe("describe", () => {
  const cases: ReadonlyArray<readonly [given: Readonly<Record<string, unknown>>, survives: string, warns: boolean]> = [
    [{}, "a crash of the server", false],
    [{ synchronous_commit: "local" }, "a crash of the server", false],
    [{ synchronous_commit: "local", standbys: "one" }, "a crash of the server", false],
    [{ standbys: "one" }, "the loss of its machine, by synchronous standbys (one)", false],
    [{ synchronous_commit: "off" }, "synchronous_commit is off", true],
    [{ synchronous_commit: "off", standbys: "one" }, "synchronous_commit is off", true],
    [{ fsync: "off" }, "not of the machine: fsync is off", true],
    [{ fsync: "off", synchronous_commit: "off" }, "fsync and synchronous_commit are off", true],
    [{ full_page_writes: "off" }, "full_page_writes is off", true],
    [{ recovery: true }, "this server is a standby", true]
  ]
  for (const [given, survives, warns] of cases) {
    it.effect(`says what an enqueue survives with ${JSON.stringify(given)}`, () =>
      Effect.gen(function*() {
        const { durability } = yield* Describe.describe(server(given), settings)
        assert.include(durability, survives)
        const warnings = yield* Describe.warnings(server(given))
        assert.strictEqual(warnings.length > 0, warns)
        if (warns) assert.include(warnings.join(), survives)
      }))
  }

  it.live("is read from the server and the session", () =>
    Effect.scoped(Effect.gen(function*() {
      const one = yield* Harness.open(schema, { maxCrashes: 7, listen: false }, {
        startupOptions: "-c synchronous_commit=off"
      })
      const { capabilities, durability, kind, maxCrashes, schemaVersion } = yield* one.store.describe
      const [row] = yield* one.sql.unsafe<{ version: string }>("SELECT current_setting('server_version') AS version")
      assert.strictEqual(kind, `postgres ${row!.version}`)
      assert.match(durability, /synchronous_commit (is|are) off/)
      assert.deepStrictEqual([maxCrashes, schemaVersion, capabilities], [7, latest, ["transactional", "schedules"]])
      assert.include((yield* (yield* side).store.describe).capabilities, "events")
    })))
})

describe("a store", () => {
  for (const maxCrashes of [0, 1.5, NaN, 101]) {
    it.live(`does not open for workers that may die ${maxCrashes} times`, () =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(
          Effect.scoped(Layer.build(Layer.provide(PgJobStore.layer({ schema, maxCrashes }), Harness.client())))
        )
        assert.include(String(error), "option maxCrashes: must be an integer from 1 to 100")
      }))
  }
})

describe("of its server the store says", () => {
  it.effect("whether it is a standby", () =>
    Effect.gen(function*() {
      const role = (given: Readonly<Record<string, unknown>>) =>
        Effect.map(Describe.describe(server(given), settings), (found) => found.server?.role)
      assert.deepStrictEqual([yield* role({}), yield* role({ recovery: true })], ["primary", "standby"])
    }))

  it.effect("by how much its clock is ahead, from the middle of the round trip", () =>
    Effect.gen(function*() {
      const slow: Pick<Client, "call" | "isAlone"> = {
        isAlone: false,
        call: <A>(operation: string, text: string, params: ReadonlyArray<unknown>) =>
          Effect.andThen(TestClock.adjust("100 millis"), server({ now: 3050 }).call<A>(operation, text, params))
      }
      assert.strictEqual((yield* Describe.describe(slow, settings)).server?.clockSkew, 3000)
    }))

  it.live("what a real one answers", () =>
    Effect.gen(function*() {
      const one = yield* side
      const asked = Effect.map(one.store.describe, (found) => found.server!)
      assert.strictEqual((yield* asked).role, "primary")
      // It has the clock of this machine.
      assert.isBelow(Math.abs((yield* asked).clockSkew), 1000)
      yield* one.sql.withTransaction(Effect.gen(function*() {
        const [row] = yield* one.sql.unsafe<{ began: number }>(
          "SELECT extract(epoch FROM now())::float8 * 1000 AS began"
        )
        yield* Harness.until(
          "a transaction of 50 ms",
          Effect.map(Clock.currentTimeMillis, (now) => now - row!.began > 60)
        )
        assert.isAtLeast((yield* asked).oldestTransaction, 50)
      }))
    }))
})

describe("at its start the store warns", () => {
  const started = (startupOptions: string) =>
    Effect.suspend(() => {
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => void lines.push(String(message)))
      const store = Layer.fresh(Harness.storeOn(Harness.client({ startupOptions }), schema))
      return Effect.as(Effect.provide(Effect.scoped(Layer.build(store)), Logger.layer([logger])), lines)
    })

  it.live("that an acknowledged enqueue may be lost, by the settings of its session", () =>
    Effect.gen(function*() {
      const lines = yield* started("-c synchronous_commit=off")
      assert.match(
        lines.join("\n"),
        /Postgres store .*: an acknowledged enqueue survives .*synchronous_commit (is|are) off/
      )
    }))

  it.live("of a clock that differs by more than a second, where it is no test's", () =>
    Effect.gen(function*() {
      const now = yield* Clock.currentTimeMillis
      const warnings = (ahead: number) => Describe.warnings(server({ now: now + ahead }))
      assert.match((yield* warnings(60_000)).join(), /^the server's clock is [56]\d{4} ms ahead of this machine's/)
      assert.match((yield* warnings(-60_000)).join(), /^the server's clock is 6\d{4} ms behind this machine's/)
      assert.deepStrictEqual(yield* Effect.provide(warnings(60_000), TestClock.layer()), [])
    }))

  it.live("of a transaction that has been open for long", () =>
    Effect.gen(function*() {
      const one = yield* side
      const held = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkChild(one.sql.withTransaction(
        Effect.andThen(one.sql.unsafe("SELECT 1"), Deferred.succeed(held, undefined)).pipe(Effect.andThen(Effect.never))
      ))
      yield* Deferred.await(held)
      const client = new Client(one.sql, `"${schema}"`, "none")
      yield* Harness.until(
        "a warning of a transaction older than 50 ms",
        Effect.map(Describe.warnings(client, 0.05), (warnings) =>
          warnings.some((warning) =>
            /a transaction has been open for \d+ s: what it may still see/.test(warning)
          ))
      )
      assert.deepStrictEqual(
        (yield* Describe.warnings(server({ oldest_transaction: 61, now: yield* Clock.currentTimeMillis }))).length,
        1,
        "a minute is too long"
      )
      assert.deepStrictEqual(
        yield* Describe.warnings(server({ oldest_transaction: 59, now: yield* Clock.currentTimeMillis })),
        []
      )
      yield* Fiber.interrupt(fiber)
    }))
})
