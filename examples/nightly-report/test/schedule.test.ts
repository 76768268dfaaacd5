/** The schedule of the nightly report ticks, in virtual time. */
import { assert, it } from "@effect/vitest"
import { JobSchedules } from "capstan"
import { DateTime, Effect, Layer, Option } from "effect"
import { TestClock, TestConsole } from "effect/testing"
import { Live, startNight } from "../src/report.ts"

const instant = (text: string) => DateTime.toEpochMillis(DateTime.makeUnsafe(text))

it.effect("the report is written at three in Berlin, every night once, for the day before", () =>
  Effect.gen(function*() {
    yield* TestClock.setTime(instant("2026-11-25T20:00:00Z"))
    yield* Effect.gen(function*() {
      const schedules = yield* JobSchedules.JobSchedules
      const letter = ["north: 200", "east: 45", "south: 325", "1 without sales"]
      yield* TestClock.adjust("5 hours")
      assert.deepStrictEqual(yield* TestConsole.logLines, [])
      const tonight = Option.getOrThrow(yield* schedules.get("StartNight"))
      assert.strictEqual(Option.getOrThrow(tonight.next).at, instant("2026-11-26T02:00:00Z"))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(yield* TestConsole.logLines, letter)
      const { count, last, next } = Option.getOrThrow(yield* schedules.get("StartNight"))
      const { at, lateness, outcome, run } = Option.getOrThrow(last)
      assert.deepStrictEqual(
        [at, lateness, outcome, Option.getOrThrow(run).state, count],
        [instant("2026-11-26T02:00:00Z"), 0, "Enqueued", "completed", 1]
      )
      assert.strictEqual(Option.getOrThrow(next).at, instant("2026-11-27T02:00:00Z"))
      const flow = yield* startNight("2026-11-25")
      assert.strictEqual(flow.outcome, "Existing")
      assert.deepStrictEqual(yield* flow.await, { letter: "total 570" })
      yield* TestClock.adjust("1 day")
      assert.deepStrictEqual(yield* TestConsole.logLines, [...letter, ...letter])
    }).pipe(Effect.provide(Layer.provideMerge(JobSchedules.layer, Live)))
  }))
