/** The event stream: what a reader is told, where it goes on, and what it costs the store. */
import { assert, describe, it } from "@effect/vitest"
import { type JobRecord, JobStore } from "capstan"
import { Deferred, Effect, Fiber, Layer, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { read, told as toldOf } from "../src/internal/events.ts"
import { type Frame, Hub, usualSettings } from "../src/internal/hub.ts"
import { Bill, Greet, serve, token } from "./harness.ts"
import { connect, next, told } from "./reading.ts"

/** A memory store that counts who hears it, and can be cut off. */
const heard = () => {
  const calls = { subscriptions: 0, open: 0 }
  const cut = { now: Deferred.makeUnsafe<void>() }
  const store = Layer.effect(
    JobStore.JobStore,
    Effect.map(JobStore.JobStore, (store) => ({
      ...store,
      events: Stream.suspend(() => {
        calls.subscriptions++
        calls.open++
        return store.events.pipe(
          Stream.interruptWhen(Deferred.await(cut.now)),
          Stream.ensuring(Effect.sync(() => void calls.open--))
        )
      })
    }))
  ).pipe(Layer.provide(JobStore.layerMemory()))
  return {
    calls,
    store,
    cut: Effect.sync(() => {
      const { now } = cut
      cut.now = Deferred.makeUnsafe<void>()
      Deferred.doneUnsafe(now, Effect.void)
    })
  }
}

describe("a reader", () => {
  it.live("is told at first to read, and then what happens", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const queue = yield* connect(served, "viewer")
      assert.strictEqual((yield* next(queue)).event, "missed")
      const { id } = yield* Effect.provide(Greet.enqueue({ name: "a" }), served.context)
      const { found } = yield* told(queue, 1)
      assert.deepInclude(found[0], { id, type: "enqueued", tag: "Greet", queue: "mail", attempt: 0 })
    }).pipe(Effect.scoped))

  it.live("goes on where it was, by the last id", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const first = yield* connect(served, "viewer")
      yield* next(first)
      const a = yield* Effect.provide(Greet.enqueue({ name: "a" }), served.context)
      const { id: after } = yield* told(first, 1)
      const b = yield* Effect.provide(Greet.enqueue({ name: "b" }), served.context)
      yield* told(first, 1)
      const second = yield* connect(served, "viewer", { after })
      assert.deepStrictEqual((yield* told(second, 1)).found.map(({ id }) => id as string), [b.id])
      for (const unknown of ["another-1", "", `${after}9999`, "nonsense"]) {
        assert.strictEqual((yield* next(yield* connect(served, "viewer", { after: unknown }))).event, "missed", unknown)
      }
      assert.notStrictEqual(a.id, b.id)
    }).pipe(Effect.scoped))

  it.live("of a server that was started again, or another one, reads anew, and then is told what happens", () =>
    Effect.gen(function*() {
      const { store } = heard()
      const shared = Layer.succeedContext(yield* Layer.build(store))
      const before = yield* serve({ store: shared })
      const first = yield* connect(before, "viewer")
      yield* next(first)
      yield* Effect.provide(Greet.enqueue({ name: "a" }), before.context)
      const { id: after } = yield* told(first, 1)
      const now = yield* serve({ store: shared })
      // Nobody has asked the new one before, or it hears the store already.
      for (const again of [1, 2]) {
        const second = yield* connect(now, "viewer", { after })
        const { event } = yield* next(second)
        assert.strictEqual(event, "missed", `connection ${again}`)
        const { id } = yield* Effect.provide(Greet.enqueue({ name: "b" }), now.context)
        assert.deepStrictEqual((yield* told(second, 1)).found.map(({ id }) => id as string), [id])
      }
    }).pipe(Effect.scoped))

  it.live("sees one queue, or those it may see", () =>
    Effect.gen(function*() {
      const served = yield* serve()
      const mail = yield* connect(served, "viewer", { queue: "mail" })
      const own = yield* connect(served, "mailAdmin")
      yield* next(mail)
      yield* next(own)
      yield* Effect.provide(Bill.enqueue({ amount: 1 }), served.context)
      const { id } = yield* Effect.provide(Greet.enqueue({ name: "a" }), served.context)
      const seen = yield* Effect.forEach([mail, own], (queue) => told(queue, 1))
      for (const { found } of seen) assert.deepStrictEqual(found.map(({ id }) => id as string), [id])
      // A number in the id of a frame would say how many there were that are not told.
      yield* Effect.provide(Greet.enqueue({ name: "b" }), served.context)
      assert.notStrictEqual((yield* told(own, 1)).id.slice(0, 6), seen[1]!.id.slice(0, 6))
      assert.strictEqual((yield* served.ask("mailAdmin", "/events?queue=billing")).status, 403)
      assert.strictEqual((yield* served.request("/events")).status, 401)
    }).pipe(Effect.scoped))

  it.live("has the first bytes at once, as an event stream that nobody keeps", () =>
    Effect.gen(function*() {
      const { url } = yield* serve()
      const response = yield* Effect.promise(() =>
        fetch(`${url}/events`, { headers: { authorization: `Bearer ${token("viewer")}` } })
      )
      const body = yield* Effect.acquireRelease(
        Effect.sync(() => response.body!.getReader()),
        (body) => Effect.promise(() => body.cancel())
      )
      assert.match(response.headers.get("content-type")!, /^text\/event-stream/)
      assert.strictEqual(response.headers.get("cache-control"), "no-store")
      const chunk = yield* Effect.promise(() => body.read())
      assert.match(new TextDecoder().decode(chunk.value), /^(event|data|id)/)
    }).pipe(Effect.scoped, Effect.timeout("10 seconds")))
})

describe("the store", () => {
  it.live("has one subscription, however many read, and a lost one is made anew", () =>
    Effect.gen(function*() {
      const { calls, cut, store } = heard()
      const served = yield* serve({ store })
      assert.strictEqual(calls.subscriptions, 0)
      const readers = yield* Effect.forEach(Array.from({ length: 10 }), () => connect(served, "viewer"))
      for (const reader of readers) assert.strictEqual((yield* next(reader)).event, "missed")
      assert.deepStrictEqual(calls, { subscriptions: 1, open: 1 })
      const { id } = yield* Effect.provide(Greet.enqueue({ name: "a" }), served.context)
      for (const reader of readers) {
        assert.deepStrictEqual((yield* told(reader, 1)).found.map(({ id }) => id as string), [id])
      }
      yield* cut
      // What happened meanwhile is not known.
      for (const reader of readers) assert.strictEqual((yield* next(reader)).event, "missed")
      assert.deepStrictEqual(calls, { subscriptions: 2, open: 1 })
    }).pipe(Effect.scoped))
})

describe("the hub", () => {
  const event = (id: string, type: JobStore.RecordEvent["type"] = "enqueued"): JobStore.RecordEvent => ({
    type,
    id: id as JobRecord.JobId,
    tag: "Greet",
    queue: "mail",
    at: 1,
    attempt: 0
  })
  const opened = (settings: Partial<typeof usualSettings> = {}) => {
    let ids = 0
    const hub = new Hub(() => `e-${++ids}`, { ...usualSettings, ...settings })
    hub.publish([{ type: "missed" }])
    return hub
  }
  const ids = (frames: ReadonlyArray<Frame>) =>
    frames.map(({ events }) => events === "missed" ? events : events.map(({ id, type }) => `${id} ${type}`))

  it.live("tells each record once a frame, with the last that happened to it", () =>
    Effect.gen(function*() {
      const hub = opened()
      const { queue } = yield* hub.join("e-1")
      hub.publish([event("a"), event("b"), event("a", "started"), event("a", "completed")])
      assert.deepStrictEqual(ids([yield* Queue.take(queue)]), [["b enqueued", "a completed"]])
    }).pipe(Effect.scoped))

  it.live("says missed for what is too much, and for what was before a gap", () =>
    Effect.gen(function*() {
      const hub = opened({ frame: 2 })
      const { queue } = yield* hub.join("e-1")
      hub.publish(["a", "b", "c"].map((id) => event(id)))
      hub.publish([event("a"), { type: "missed" }, event("b")])
      assert.deepStrictEqual(ids(yield* Queue.takeN(queue, 3)), ["missed", "missed", ["b enqueued"]])
    }).pipe(Effect.scoped))

  it.live("drops a reader that is too far behind, and no other", () =>
    Effect.gen(function*() {
      const hub = opened({ behind: 3 })
      const slow = yield* hub.join("e-1")
      const quick = yield* hub.join("e-1")
      for (const id of ["a", "b", "c", "d"]) {
        hub.publish([event(id)])
        assert.deepStrictEqual(ids([yield* Queue.take(quick.queue)]), [[`${id} enqueued`]])
      }
      assert.isTrue(slow.isDropped)
      assert.isFalse(quick.isDropped)
      // What waited is still told, and then it ends.
      const rest = yield* Stream.runCollect(read(slow, () => true))
      assert.deepStrictEqual(rest.map(({ event }) => event), ["records", "records", "records", "dropped"])
      assert.deepInclude(rest.at(-2), { id: "e-4" })
      const back = yield* hub.join("e-4")
      assert.deepStrictEqual(ids(back.before), [["d enqueued"]])
    }).pipe(Effect.scoped))

  it.effect("ends each connection after ten minutes, and who comes back with the last id has lost nothing", () =>
    Effect.gen(function*() {
      const hub = opened()
      let last = "e-1"
      const ids = yield* Queue.unbounded<string>()
      const connect = Effect.forkChild(
        Stream.runForEach(toldOf(Effect.suspend(() => hub.join(last)), () => true), (event) => {
          if (event.event !== "records") return Effect.void
          last = event.id
          return Queue.offerAll(ids, event.data.map(({ id }) => id))
        })
      )
      const first = yield* connect
      yield* TestClock.adjust("599 seconds")
      hub.publish([event("a")])
      assert.strictEqual(yield* Queue.take(ids), "a")
      assert.isUndefined(first.pollUnsafe())
      yield* TestClock.adjust("1 second")
      hub.publish([event("b")])
      yield* Fiber.join(first)
      yield* connect
      assert.strictEqual(yield* Queue.take(ids), "b")
      hub.publish([event("c")])
      assert.strictEqual(yield* Queue.take(ids), "c")
    }))

  it.live("resumes as far as it remembers", () =>
    Effect.gen(function*() {
      const hub = opened({ kept: 2 })
      for (const id of ["a", "b", "c"]) hub.publish([event(id)])
      assert.deepStrictEqual(ids((yield* hub.join("e-3")).before), [["c enqueued"]])
      assert.deepStrictEqual(ids((yield* hub.join("e-4")).before), [])
      for (const after of ["e-2", "e-5", "f-3", undefined]) {
        assert.deepStrictEqual(ids((yield* hub.join(after)).before), ["missed"], after)
      }
    }).pipe(Effect.scoped))
})
