/**
 * The programs of docs/batches.md, word for word as they stand there: here they run.
 */
import { TestJobs } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { JobBatch, JobGroup } from "capstan"
import { Context, Effect, Exit, Layer, Schema } from "effect"
import { readFileSync } from "node:fs"

class Search extends Context.Service<Search, {
  readonly index: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyMap<string, number>>
}>()("test/Search") {}

class Rejected extends Schema.TaggedError<Rejected>()("Rejected", { id: Schema.String }) {}

class IndexDocument extends JobBatch.make("IndexDocument", {
  payload: { tenant: Schema.String, id: Schema.String },
  success: Schema.Struct({ version: Schema.Int }),
  error: Rejected,
  onError: { Rejected: "dead" },
  queue: "search",
  batch: { size: 100, within: "2 seconds", key: ({ tenant }) => tenant }
}) {}

const IndexDocumentLive = IndexDocument.toLayer((members) =>
  Effect.gen(function*() {
    const search = yield* Search
    const versions = yield* search.index(members.map(({ payload }) => payload.id))
    return members.map((member) => {
      const version = versions.get(member.payload.id)
      return [
        member,
        version === undefined ? Exit.fail(new Rejected({ id: member.payload.id })) : Exit.succeed({ version })
      ] as const
    })
  })
)

class Notify extends JobBatch.make("Notify", {
  payload: { user: Schema.Int },
  success: Schema.String,
  batch: { size: 10, within: "1 second" }
}) {}

const namesOf = (users: ReadonlyArray<number>) => Effect.succeed(new Map(users.map((user) => [user, `user ${user}`])))
const send = (names: ReadonlyMap<number, string>, user: number) => Effect.succeed(`hello ${names.get(user)}`)

const NotifyLive = Notify.toLayer((members) =>
  Effect.gen(function*() {
    const names = yield* namesOf(members.map(({ payload }) => payload.user))
    return yield* JobBatch.each(members, ({ user }) => send(names, user), { concurrency: 10 })
  })
)

const calls: Array<ReadonlyArray<string>> = []
const SearchLive = Layer.succeed(Search, {
  index: (ids) =>
    Effect.sync(() => {
      calls.push(ids)
      return new Map(ids.filter((id) => !id.startsWith("bad")).map((id, i) => [id, i + 1]))
    })
})

const group = JobGroup.make(IndexDocument, Notify)
const handlers = Layer.provide(Layer.merge(IndexDocumentLive, NotifyLive), SearchLive)

it.effect("documents of a tenant are indexed in one call, and each is told what came of it", () =>
  Effect.gen(function*() {
    const test = yield* TestJobs.TestJobs
    calls.length = 0
    const one = yield* IndexDocument.enqueue({ tenant: "a", id: "one" })
    const bad = yield* IndexDocument.enqueue({ tenant: "a", id: "bad" })
    const other = yield* IndexDocument.enqueue({ tenant: "b", id: "two" })
    yield* test.advance("1 second")
    assert.deepStrictEqual(calls, [])
    yield* test.advance("1 second")
    assert.deepStrictEqual(calls, [["one", "bad"], ["two"]])
    assert.deepStrictEqual(yield* one.await, { version: 1 })
    assert.deepStrictEqual(yield* Effect.flip(bad.await), new Rejected({ id: "bad" }))
    assert.deepStrictEqual(yield* other.await, { version: 1 })
  }).pipe(Effect.provide(TestJobs.layer(group, handlers))))

it.effect("a handler is run for some payloads, without records", () =>
  Effect.gen(function*() {
    const test = yield* TestJobs.TestJobs
    const exits = yield* test.runBatch(IndexDocument, [{ tenant: "a", id: "bad" }, { tenant: "a", id: "one" }])
    assert.deepStrictEqual(exits, [Exit.fail(new Rejected({ id: "bad" })), Exit.succeed({ version: 1 })])
    assert.strictEqual(yield* test.run(Notify, { user: 1 }), "hello user 1")
    assert.deepStrictEqual(yield* test.runBatch(Notify, [{ user: 2 }, { user: 3 }]), [
      Exit.succeed("hello user 2"),
      Exit.succeed("hello user 3")
    ])
    assert.deepStrictEqual(yield* test.enqueued(IndexDocument), [])
  }).pipe(Effect.provide(TestJobs.layer(group, handlers))))

it.effect("time passes until batches that are not full have run", () =>
  Effect.gen(function*() {
    const test = yield* TestJobs.TestJobs
    const handle = yield* Notify.enqueue({ user: 1 })
    assert.strictEqual(yield* test.advanceUntilIdle, 1000)
    assert.strictEqual(yield* handle.await, "hello user 1")
  }).pipe(Effect.provide(TestJobs.layer(group, handlers))))

describe("the guide", () => {
  const text = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")
  const blocks = [...text("../../../docs/batches.md").matchAll(/```ts\n([^]*?)```/g)].map(([, block]) => block!)

  it.each(blocks)("has a program that runs here: %s", (block) => {
    assert.include(text("./BatchGuide.test.ts"), block)
  })
})
