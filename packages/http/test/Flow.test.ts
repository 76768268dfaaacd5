/** One flow over HTTP: how much of a large one is told, and to whom. */
import { assert, it } from "@effect/vitest"
import { Flow } from "capstan"
import { Effect } from "effect"
import { Bill, Greet, serve } from "./harness.ts"

class Party
  extends Flow.make("Party").list("greetings", Greet).node("bill", Bill, { after: { greetings: "ignore" } })
{}

const started = (many: number) =>
  Effect.gen(function*() {
    const served = yield* serve()
    const { id } = yield* Effect.provide(
      Party.start({ greetings: Array.from({ length: many }, (_, i) => ({ name: `${i}` })), bill: { amount: 1 } }),
      served.context
    )
    const viewOf = (who: string) =>
      Effect.flatMap(served.client(who), ({ insight }) => insight.flow({ params: { id } }))
    return { ...served, id, viewOf }
  })

it.live("a flow of more than one page is counted as a whole, and some of each node are told, dead ones first", () =>
  Effect.gen(function*() {
    const { jobs, viewOf } = yield* started(1500)
    const { records } = yield* jobs.query({ tag: "Greet", order: "newest", limit: 1 })
    yield* jobs.cancel(records[0]!.id, { reason: "a test" })
    const { isCut, nodes } = yield* viewOf("viewer")
    assert.isFalse(isCut)
    const [greetings, bill] = nodes
    assert.deepInclude(greetings!.counts, { ready: 1499, cancelled: 1 })
    assert.deepInclude(bill!.counts, { blocked: 1 })
    assert.strictEqual(greetings!.records.length, 50)
    assert.strictEqual(greetings!.records[0]!.id, records[0]!.id)
  }).pipe(Effect.scoped))

it.live("of a flow of more than 10,000 records so many are counted, and no node is missing", () =>
  Effect.gen(function*() {
    const { viewOf } = yield* started(10_200)
    const { isCut, nodes } = yield* viewOf("viewer")
    assert.isTrue(isCut)
    const [greetings, bill] = nodes
    assert.isAtLeast(greetings!.counts.ready, 9999)
    assert.strictEqual(bill!.counts.blocked, 1)
    assert.deepStrictEqual(bill!.after, { greetings: "ignore" })
  }).pipe(Effect.scoped))

it.live("who may not see the queue of its head is told neither its graph nor what is on that queue", () =>
  Effect.gen(function*() {
    const { viewOf } = yield* started(2)
    const { counts, nodes } = yield* viewOf("mailAdmin")
    assert.deepInclude(counts, { ready: 2, blocked: 0 })
    assert.deepStrictEqual(nodes.map(({ after, isList, name }) => [name, isList, after]), [
      ["greetings", undefined, undefined]
    ])
  }).pipe(Effect.scoped))
