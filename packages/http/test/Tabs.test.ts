/**
 * What open pages cost the store, in its calls, by virtual time: the same with ten of them as with one. `npm run dashboard -- tabs`
 * measures what they cost in throughput.
 */
import { JobsHttp } from "@capstan/http"
import { assert, describe, it } from "@effect/vitest"
import { Jobs, JobSchedules, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Stream } from "effect"
import { HttpRouter, HttpServerRequest } from "effect/http"
import { TestClock } from "effect/testing"
import { All, credentials, everybody, Greet, handlers } from "./harness.ts"

type Calls = Record<string, number>

/** A memory store that counts what it is asked, whatever that is. */
const counted = (calls: Calls): Layer.Layer<JobStore.JobStore> => {
  const count = (name: string) => void (calls[name] = (calls[name] ?? 0) + 1)
  const counting = (name: string, member: unknown): unknown => {
    if (Stream.isStream(member)) return Stream.suspend(() => (count(name), member))
    if (Effect.isEffect(member)) return Effect.suspend(() => (count(name), member))
    if (typeof member !== "function") return member
    return (...args: ReadonlyArray<unknown>) => Effect.suspend(() => (count(name), member(...args)))
  }
  return Layer.effect(
    JobStore.JobStore,
    Effect.map(JobStore.JobStore, (store) =>
      Object.fromEntries(
        Object.entries(store).map(([name, member]) => [name, counting(name, member)])
      ) as unknown as JobStore.JobStore["Service"])
  ).pipe(Layer.provide(JobStore.layerMemory()))
}

/** What pages read every so many seconds while they hear the events, beside the figures after each frame. Here each reads all of it. */
const polled: ReadonlyArray<readonly [path: string, every: number]> = [
  ["/series", 10],
  ["/jobs", 10],
  ["/errors", 10],
  ["/flows", 10],
  ["/schedules", 10],
  ["/limits", 20],
  ["/limits/calls/keys", 6]
]

/** A time in which every page reads all of it at least once, and some of it several times. */
const seconds = 24

/** The store's calls while two records a second are enqueued and worked on, and so many pages are open. */
const watched = (tabs: number, millisApart: number) =>
  Effect.gen(function*() {
    const calls: Calls = {}
    const services = yield* Layer.build(
      Layer.mergeAll(Jobs.layer, JobSchedules.layer, JobWorker.layer(All).pipe(Layer.provide(handlers))).pipe(
        Layer.provideMerge(counted(calls))
      )
    )
    const handler = yield* HttpRouter.toHttpEffect(
      JobsHttp.layer({ groups: [All], watch: true }).pipe(Layer.provide(everybody()))
    ).pipe(Effect.provide(services))
    const ask = (path: string) =>
      handler.pipe(
        Effect.provideService(
          HttpServerRequest.HttpServerRequest,
          HttpServerRequest.fromWeb(
            new Request(`http://localhost/capstan/api${path}`, { headers: credentials("viewer") })
          )
        ),
        Effect.provide(services),
        Effect.tap(({ status }) => Effect.sync(() => assert.strictEqual(status, 200, path)))
      )

    let heard = 0
    const tab = Effect.gen(function*() {
      const { body } = yield* ask("/events")
      assert.strictEqual(body._tag, "Stream")
      if (body._tag !== "Stream") return
      let isDue = false
      const readAnew = Effect.suspend(() => {
        if (isDue) return Effect.void
        isDue = true
        return Effect.delay(
          Effect.suspend(() => {
            isDue = false
            return Effect.scoped(ask("/stats"))
          }),
          "1 second"
        ).pipe(Effect.forkScoped, Effect.asVoid)
      })
      for (const [path, every] of polled) {
        yield* Effect.forkScoped(Effect.forever(Effect.delay(Effect.scoped(ask(path)), `${every} seconds`)))
      }
      yield* Effect.forkScoped(Stream.runForEach(body.stream, (chunk) => {
        if (!new TextDecoder().decode(chunk).includes("event: records")) return Effect.void
        heard++
        return readAnew
      }))
    })
    yield* Effect.forkScoped(
      Effect.forever(Effect.delay(Effect.provide(Greet.enqueue({ name: "a" }), services), "500 millis"))
    )
    for (let i = 0; i < tabs; i++) {
      yield* tab
      yield* TestClock.adjust(millisApart)
    }
    // The first readings are over.
    yield* TestClock.adjust("10 seconds")
    const before = { ...calls }
    heard = 0
    yield* TestClock.adjust(`${seconds} seconds`)
    return {
      heard,
      calls: Object.fromEntries(
        Object.entries(calls).map(([name, many]) => [name, many - (before[name] ?? 0)] as const).filter(([, many]) =>
          many > 0
        )
      )
    }
  }).pipe(Effect.scoped)

describe("the store", () => {
  it.effect("is asked as often by ten pages as by one", () =>
    Effect.gen(function*() {
      const none = yield* watched(0, 0)
      const one = yield* watched(1, 0)
      const ten = yield* watched(10, 0)
      assert.isAbove(one.heard, seconds)
      assert.strictEqual(ten.heard, 10 * one.heard)
      assert.deepStrictEqual(ten.calls, one.calls)
      // What works is not asked more often; what looks is.
      const { exchange, enqueue } = none.calls
      assert.deepInclude(one.calls, { exchange, enqueue })
      assert.hasAllKeys(one.calls, [...Object.keys(none.calls), "query", "limits", "keys", "schedules"])
    }), 30_000)

  it.effect("is asked at most so often a second, whenever pages were opened", () =>
    Effect.gen(function*() {
      const { calls } = yield* watched(10, 373)
      // Twice by whoever asks, and by the charts every five seconds.
      assert.isAtMost(calls["stats"]!, 2 * seconds + seconds / 5 + 1)
      assert.isAbove(calls["stats"]!, seconds)
      // Every two seconds of each; the newest records, the dead ones and those that wait for a retry are three.
      for (const [name, kinds] of [["limits", 1], ["keys", 1], ["schedules", 1], ["query", 3]] as const) {
        assert.isAtMost(calls[name]!, kinds * (seconds / 2 + 1), name)
      }
    }), 30_000)
})
