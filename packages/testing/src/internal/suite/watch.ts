/** What a store tells: events, who works where, and whom it wakes. */
import { assert } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect, Stream } from "effect"
import * as H from "./harness.ts"

const { fact } = H

export const watchFacts: ReadonlyArray<H.Fact> = [
  fact("events open with `missed` and tell what happens to records, or the store says that it has none", function*() {
    const store = yield* JobStore.JobStore
    const hasEvents = (yield* store.describe).capabilities.includes("events")
    const seen: Array<string> = []
    yield* Effect.scoped(Effect.gen(function*() {
      yield* Effect.forkScoped(
        Stream.runForEach(store.events, ({ type }) => Effect.sync(() => seen.push(type))),
        { startImmediately: true }
      )
      yield* H.until("the first event", () => seen.length > 0)
      yield* H.enqueue()
      yield* H.settle("w", yield* H.claimOne("w"), H.complete)
      if (hasEvents) yield* H.until("the end of the record", () => seen.includes("completed"))
    }))
    assert.deepStrictEqual(seen, hasEvents ? ["missed", "enqueued", "started", "completed"] : ["missed"])
  }),
  fact("events tell a snooze from a failure that is tried again", function*() {
    const store = yield* JobStore.JobStore
    if (!(yield* store.describe).capabilities.includes("events")) return
    const seen: Array<JobStore.StoreEvent> = []
    yield* Effect.scoped(Effect.gen(function*() {
      yield* Effect.forkScoped(
        Stream.runForEach(store.events, (event) => Effect.sync(() => seen.push(event))),
        { startImmediately: true }
      )
      yield* H.until("the first event", () => seen.length > 0)
      yield* H.enqueue()
      yield* H.settle("w", yield* H.claimOne("w"), { _tag: "SnoozeFor", delay: 0 })
      yield* H.settle("w", yield* H.claimOne("w"), H.retryAfter(0))
      yield* H.settle("w", yield* H.claimOne("w"), H.complete)
      yield* H.until("the end of the record", () => seen.some(({ type }) => type === "completed"))
    }))
    const retried = seen.flatMap((event) => event.type === "retried" ? [[event.snoozed, event.reason]] : [])
    assert.deepStrictEqual(retried, [[true, undefined], [undefined, "Oops"]])
  }),
  fact("what starts tells since when it was due: a delay that was asked for is no wait", function*() {
    const store = yield* JobStore.JobStore
    const hour = 3_600_000
    const isTold = (yield* store.describe).capabilities.includes("events")
    // Nobody looks when the last one of them is due.
    yield* H.enqueue({ delay: hour })
    yield* H.enqueue({ delay: hour, tags: ["a"], concurrency: { key: "k", limit: 1 } })
    yield* H.enqueue({ delay: hour - 7000 })
    yield* H.advance(hour)
    const seen: Array<JobStore.StoreEvent> = []
    const claims = yield* Effect.scoped(Effect.gen(function*() {
      yield* Effect.forkScoped(
        Stream.runForEach(store.events, (event) => Effect.sync(() => seen.push(event))),
        { startImmediately: true }
      )
      yield* H.until("the first event", () => seen.length > 0)
      const claims = [...yield* H.claim("w", 3)]
      yield* H.enqueue()
      yield* H.advance(300)
      claims.push(yield* H.claimOne("w"))
      if (isTold) yield* H.until("the last start", () => seen.filter(({ type }) => type === "started").length === 4)
      return claims
    }))
    const due = claims.map(({ enqueuedAt, readyAt }) => readyAt - enqueuedAt)
    // Records of several partitions are claimed in any order.
    assert.deepStrictEqual(due.toSorted((a, b) => a - b), [0, hour - 7000, hour, hour])
    const waits = seen.flatMap((event) => event.type === "started" ? [event.at - event.readyAt!] : [])
    // Those of one claim are told in any order.
    assert.deepStrictEqual(waits.toSorted((a, b) => a - b), isTold ? [0, 0, 300, 7000] : [])
  }),
  fact("a worker is shown with what it says of where it runs, and without where it says nothing", function*() {
    const store = yield* JobStore.JobStore
    const process = { host: "web-1", pid: 17, capstanVersion: "1.2.3", appVersion: "a \u0000\u001f\" b" }
    const shown = Effect.map(
      store.stats,
      ({ workers }) => Object.fromEntries(workers.map(({ process, worker }) => [worker, process]))
    )
    yield* H.enqueue()
    yield* H.renew("w", { process })
    yield* H.renew("v")
    yield* H.claimOne("w")
    assert.deepStrictEqual(yield* shown, { w: process, v: undefined })
    yield* H.renew("w", { process: { pid: 18 } })
    assert.deepStrictEqual((yield* shown)["w"], { pid: 18 })
    yield* H.renew("w")
    assert.deepStrictEqual((yield* shown)["w"], undefined)
  }),
  fact("a sleeping worker is woken for its queues, and for a cancel", function*() {
    const store = yield* JobStore.JobStore
    let woken = 0
    yield* H.renew("w")
    yield* Effect.scoped(Effect.gen(function*() {
      yield* Effect.forkScoped(
        Stream.runForEach(store.wakeups("w", ["default"]), () => Effect.sync(() => woken++)),
        { startImmediately: true }
      )
      // As a worker does: it looks, finds nothing, and sleeps.
      yield* H.claim("w")
      yield* H.advance(0)
      const { id } = yield* H.enqueue()
      yield* H.until("a wake-up for a record", () => woken > 0)
      yield* H.claimOne("w")
      yield* H.advance(0)
      const before = woken
      yield* H.control({ _tag: "Cancel", reason: "r" }, id)
      yield* H.until("a wake-up for a cancel", () => woken > before)
    }))
  })
]
