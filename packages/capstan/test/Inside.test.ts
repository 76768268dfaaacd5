/** Records by what is inside of their payloads. */
import { assert, describe, it } from "@effect/vitest"
import { Job, Jobs, JobStore } from "capstan"
import { Effect, Layer, Option, Redacted, Schema, Stream } from "effect"
import { storeWith } from "./harness.ts"

const mask = "<redacted>"

class Send extends Job.make("Send", {
  payload: {
    n: Schema.Number,
    to: Schema.Struct({ "a/b": Schema.String, active: Schema.Boolean }),
    token: Schema.Redacted(Schema.String)
  }
}) {}

const layer = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())
const payload = (n: number) => ({
  n: n % 7,
  to: { "a/b": `user ${n}`, active: n % 2 === 0 },
  token: Redacted.make(`token ${n % 7}`)
})

/** Enqueues so many, and answers their ids. */
const fill = (count: number) =>
  Effect.map(Send.enqueueMany(Array.from({ length: count }, (_, n) => payload(n))), (all) => all.map(({ id }) => id))

describe("records by what is inside of their payloads", () => {
  it.effect("are found by places, all of which hold", () =>
    Effect.gen(function*() {
      const ids = yield* fill(50)
      const jobs = yield* Jobs.Jobs
      const find = (inside: Jobs.Query["payload"]) =>
        Effect.map(
          jobs.query({ tag: "Send", order: "oldest", payload: inside }),
          ({ records }) => records.map(({ id }) => ids.indexOf(id))
        )
      assert.deepStrictEqual(yield* find({ "/to/a~1b": "user 12" }), [12])
      assert.deepStrictEqual(yield* find({ "/n": 3, "/to/active": true }), [10, 24, 38])
      assert.deepStrictEqual(yield* find({ "/n": "3" }), [])
      assert.deepStrictEqual(yield* find({ "/to": "user 12" }), [])
      assert.deepStrictEqual(yield* find({ "/to/length": 2 }), [])
    }).pipe(Effect.provide(layer)))

  it.effect("are found among ids, a page at a time", () =>
    Effect.gen(function*() {
      const ids = yield* fill(15)
      const jobs = yield* Jobs.Jobs
      const query = { ids, limit: 1, payload: { "/n": 0 }, order: "oldest" } as const
      const first = yield* jobs.query(query)
      assert.deepStrictEqual(first.records.map(({ id }) => id), [ids[0]])
      const second = yield* jobs.query({ ...query, cursor: Option.getOrThrow(first.cursor) })
      assert.deepStrictEqual(second.records.map(({ id }) => id), [ids[7]])
    }).pipe(Effect.provide(layer)))

  it.effect("are found in a store that has no pages of ids, more of them than were asked for", () =>
    Effect.gen(function*() {
      const ids = yield* fill(15)
      const jobs = yield* Jobs.Jobs
      const { cursor, records } = yield* jobs.query({ ids, limit: 1, payload: { "/n": 0 }, order: "oldest" })
      assert.deepStrictEqual(records.map(({ id }) => id), [ids[0], ids[7], ids[14]])
      assert.isTrue(Option.isNone(cursor))
    }).pipe(Effect.provide(storeWith(({ query }) => ({ query: (request) => query({ ...request, limit: 1000 }) })))))

  it.effect("come in pages that have each once, in either order", () =>
    Effect.gen(function*() {
      const ids = yield* fill(1300)
      const jobs = yield* Jobs.Jobs
      const matching = ids.filter((_, n) => n % 7 === 3)
      for (const order of ["oldest", "newest"] as const) {
        for (const limit of [1, 3, 100]) {
          const query = { queue: "default", order, limit, payload: { "/n": 3 } }
          const first = yield* jobs.query(query)
          assert.lengthOf(first.records, limit)
          const found = yield* Stream.runCollect(jobs.stream(query))
          assert.deepStrictEqual(found.map(({ id }) => id), order === "oldest" ? matching : matching.toReversed())
        }
      }
      // All of them, so that none may be left between two pages.
      const all = yield* Stream.runCollect(
        jobs.stream({ tag: "Send", order: "oldest", limit: 300, payload: { "/token": mask } })
      )
      assert.deepStrictEqual(all.map(({ id }) => id), ids)
    }).pipe(Effect.provide(layer)))

  it.effect("come once each while records come and go", () => {
    /** What happens whenever a page has been read. */
    let meanwhile: Effect.Effect<unknown, unknown, JobStore.JobStore> = Effect.void
    const moving = storeWith((store) => ({
      query: (request) =>
        Effect.tap(
          store.query(request),
          () => Effect.ignore(Effect.provideService(meanwhile, JobStore.JobStore, store))
        )
    }))
    return Effect.gen(function*() {
      const ids = yield* fill(700)
      const jobs = yield* Jobs.Jobs
      const matching = ids.filter((_, n) => n % 7 === 3)
      const find = (order: "oldest" | "newest") =>
        Stream.runCollect(jobs.stream({ tag: "Send", order, limit: 10, payload: { "/n": 3 } }))
      const going = ids.filter((_, n) => n % 7 === 0)
      meanwhile = Effect.flatMap(
        JobStore.JobStore,
        ({ control }) => control({ action: { _tag: "Delete" }, where: { ids: going.splice(0, 7) }, limit: 7 })
      )
      assert.deepStrictEqual((yield* find("oldest")).map(({ id }) => id), matching)
      meanwhile = Send.enqueueMany([1, 2, 4].map(payload))
      assert.deepStrictEqual((yield* find("newest")).map(({ id }) => id), matching.toReversed())
    }).pipe(Effect.provide(moving))
  })

  it.effect("are read up to 10,000 a call, which says where it stopped", () =>
    Effect.gen(function*() {
      const ids = yield* fill(10_050)
      const jobs = yield* Jobs.Jobs
      const query = { tag: "Send", order: "oldest", payload: { "/to/a~1b": "user 10040" } } as const
      const first = yield* jobs.query(query)
      assert.deepStrictEqual([first.records, first.looked], [[], 10_000])
      const next = yield* jobs.query({ ...query, cursor: Option.getOrThrow(first.cursor) })
      assert.deepStrictEqual(next.records.map(({ id }) => id), [ids[10_040]!])
      assert.isTrue(Option.isNone(next.cursor))
    }).pipe(Effect.provide(layer)))

  it.effect("tell nothing of what is masked", () =>
    Effect.gen(function*() {
      yield* fill(1)
      const jobs = yield* Jobs.Jobs
      const found = (token: string) =>
        Effect.map(jobs.query({ tag: "Send", payload: { "/token": token } }), ({ records }) => records.length)
      assert.strictEqual(yield* found("token 0"), 0)
      assert.strictEqual(yield* found(mask), 1)
    }).pipe(Effect.provide(layer)))

  it.effect("are asked for with another condition, and by pointers", () =>
    Effect.gen(function*() {
      const jobs = yield* Jobs.Jobs
      const refused = (query: Jobs.Query) => Effect.map(Effect.flip(jobs.query(query)), ({ message }) => message)
      assert.include(yield* refused({ payload: { "/n": 1 } }), "another condition")
      assert.include(yield* refused({ tag: "Send", payload: { n: 1 } }), "JSON pointers")
      assert.include(yield* refused({ tag: "Send", payload: {} }), "name a place")
    }).pipe(Effect.provide(layer)))
})
