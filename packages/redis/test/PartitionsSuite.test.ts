/**
 * The store suite on a store of several partitions: with all records of a fact in one of them, and spread over all by the
 * store's own choice, where what is ordered is so within one.
 */
import { JobStoreSuite } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Layer, ManagedRuntime } from "effect"
import { afterAll } from "vitest"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { choosing } from "../src/internal/partitions/choose.ts"
import { scripts, type Verb } from "../src/internal/scripts.ts"
import * as Harness from "./harness.ts"
import * as Partitions from "./partitions.ts"

const many = 4
const operator = ManagedRuntime.make(Harness.client())
afterAll(() => operator.dispose())

/** Facts that do not hold over partitions, and why. */
const within: Readonly<Record<string, string>> = {
  "higher priorities come first, then first in, first out": "order",
  "a parked record keeps its attempt and place, is counted, and is released for a worker that has tag and version":
    "order",
  "a released record keeps its place at the front": "order",
  "results tells how awaited records stand, with their last progress": "order",
  "a worker's records run again when its lease ends, at the place that they had, with a higher fence": "order",
  "a record that was rescheduled is claimed in the turn of its new instant": "order",
  "a worker holds at most one record that has crashed others, beside its other work (P10)": "order",
  "when a worker dies with a record that crashed others, that one alone is charged (P10)":
    "a fact of its own has more records",
  "promote, reschedule and reprioritise move what waits": "order",
  "a ready record that is rescheduled to run at once keeps its place": "order",
  "a retention by count keeps the newest, in bounded chunks": "a count of records",
  "of one job's records that are kept by other counts each count holds for its own": "a count of records",
  "unique: a key stays with its holder when the one that had it before is removed": "a count of records",
  "a sweep of more than one call takes says that there is more to do": "the bound of a call",
  "unique, replace: what waits gives its slot back when its new contents have another key":
    "a record of two keys: CrossPartition",
  "a record whose attempt closes its key keeps its unique key, and its successor waits for its end":
    "a record of two keys: CrossPartition",
  "an edited payload brings along which places are masked, and leaves the keys as they were stamped":
    "a record of two keys: CrossPartition",
  "a higher priority comes before the turns of fair keys, and a record without a key before them": "order",
  "keys of a limit that only an enqueuer has told of take turns, and its records carry all else": "order",
  "flow: with cancelSiblings what a record waits for beside the failed one is cancelled":
    "a policy that holds within one: CrossPartition",
  "flow: with cancelSiblings they are cancelled also where nothing is kept of what waited for them, by an exchange":
    "a policy that holds within one: CrossPartition",
  "flow: with cancelSiblings they are cancelled also where nothing is kept of what waited for them, by maintain":
    "a policy that holds within one: CrossPartition",
  "flow: what lives again is not undone by what its death had left to do":
    "a policy that holds within one: CrossPartition",
  "flow: a record may be added to what another one waits for, until that one has begun":
    "added by a record in another one: CrossPartition",
  "flow: what an attempt adds again is Existing, also when it has ended, and when who waits for it has begun":
    "added by a record in another one: CrossPartition",
  "a queue that was limited gives nothing out until then": "order"
}

const layerOf = (prefix: string, options: Partial<Partitions.Options>) => {
  afterAll(() => operator.runPromise(Partitions.empty(prefix, many)))
  const counts = Partitions.countsOf(many)
  const choose = Partitions.choosingFor(options.choose ?? choosing(counts))
  return Partitions.storeOf(prefix, { counts, many, clock: Harness.frozenClock, ...options, choose }).pipe(
    Layer.provideMerge(
      Layer.effectDiscard(Effect.andThen(Partitions.empty(prefix, many), Partitions.freeze(prefix, many)))
    ),
    Layer.provide(Harness.client()),
    Layer.orDie
  )
}

const advancing = (prefix: string) => (millis: number) =>
  Effect.promise(() => operator.runPromise(Partitions.advance(prefix, many, millis)))

const one = Harness.prefixOf("one")
Partitions.suite("all records in one of four partitions", layerOf(one, { choose: () => 2 }), advancing(one))

/** What the facts that are left out say beside the order. */
const own: ReadonlyArray<JobStoreSuite.Fact> = [
  Suite.fact("a queue that was limited gives nothing out in any partition until then", function*() {
    yield* Suite.enqueueMany(12)
    yield* Suite.settle("w", yield* Suite.claimOne("w"), { _tag: "SnoozeFor", delay: 1000, closes: "queue" })
    assert.deepStrictEqual(yield* Suite.claim("w", 20), [])
    yield* Suite.advance(1100)
    assert.strictEqual((yield* Suite.claim("w", 20)).length, 12)
  }),
  Suite.fact(
    "a worker holds at most one record that has crashed others, in all partitions together (P10)",
    function*() {
      yield* Suite.enqueueMany(12)
      yield* Suite.claim("a", 12)
      yield* Suite.advance(Suite.lease)
      yield* Suite.maintain
      const fresh = yield* Suite.enqueueMany(8)
      const claimed = [...yield* Suite.claim("b", 30), ...yield* Suite.claim("b", 30)]
      const suspects = claimed.filter(({ crashes }) => crashes > 0)
      assert.strictEqual(suspects.length, 1)
      assert.deepStrictEqual(claimed.filter(({ crashes }) => crashes === 0).map(({ id }) => id).toSorted(), fresh)
      yield* Suite.settle("b", suspects[0]!, Suite.complete)
      assert.strictEqual((yield* Suite.claim("b", 30)).length, 1)
    }
  ),
  Suite.fact(
    "when a worker dies with a record that crashed others, that one alone is charged, in all partitions (P10)",
    function*() {
      const { id: poison } = yield* Suite.enqueue()
      yield* Suite.claimOne("a")
      yield* Suite.advance(Suite.lease)
      yield* Suite.maintain
      const innocent = yield* Suite.enqueueMany(12)
      assert.strictEqual((yield* Suite.claim("b", 20)).length, 13)
      yield* Suite.advance(Suite.lease)
      yield* Suite.maintain
      assert.strictEqual((yield* Suite.get(poison)).crashes, 2)
      for (const id of innocent) assert.strictEqual((yield* Suite.get(id)).crashes, 0)
    }
  )
]

describe("records in all of four partitions", () => {
  const spread = Harness.prefixOf("spread")
  const layer = layerOf(spread, {})
  const names = JobStoreSuite.facts.map(({ name }) => name)
  for (const name of Object.keys(within)) it(`there is a fact: ${name}`, () => assert.include(names, name))
  for (const { name, run } of [...Partitions.facts, ...own]) {
    if (name in within) continue
    it.effect(
      name,
      () => Effect.provideService(Effect.provide(run, Layer.fresh(layer)), Suite.Advance, advancing(spread)),
      30_000
    )
  }
})

describe("a twin turns red exactly what it breaks", () => {
  const { enqueue, lease, waiting } = JobStoreSuite.themes
  const facts = [...enqueue!, ...lease!, ...waiting!, ...own].filter(({ name }) =>
    !(name in within) && !name.includes("(seed ")
  )
  const twin = (name: string, changes: ReadonlyArray<readonly [Verb, string, string]>, red: ReadonlyArray<string>) =>
    it.effect(name, () =>
      Effect.gen(function*() {
        const prefix = Harness.prefixOf("twin")
        const all: Record<string, string> = { ...scripts(Harness.frozenClock, true) }
        for (const [verb, line, instead] of changes) {
          assert.strictEqual(all[verb]!.split(line).length, 2, `stands once in ${verb}: ${line}`)
          all[verb] = all[verb]!.replace(line, () => instead)
        }
        const layer = layerOf(prefix, { scripts: all as ReturnType<typeof scripts> })
        const found: Array<string> = []
        for (const { name, run } of facts) {
          const exit = yield* Effect.exit(
            Effect.provideService(Effect.provide(run, Layer.fresh(layer)), Suite.Advance, advancing(prefix))
          )
          if (Exit.isFailure(exit)) found.push(name)
        }
        assert.deepStrictEqual(
          found,
          facts.map(({ name }) => name).filter((fact) => red.some((one) => fact.startsWith(one)))
        )
        assert.strictEqual(found.length, red.length)
      }), 120_000)

  twin(
    "every partition may give a worker a record that has crashed others",
    [["exchange", "if ARGV[7] or holdsElsewhere then", "if false then"]],
    ["a worker holds at most one record that has crashed others, in all partitions together (P10)"]
  )
  twin(
    "partitions do not know that a worker holds such a record elsewhere",
    [["spare", "if ARGV[2] == '1' then", "if false then"]],
    ["when a worker dies with a record that crashed others, that one alone is charged, in all partitions (P10)"]
  )
})
