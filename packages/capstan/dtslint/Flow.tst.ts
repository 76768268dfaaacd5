/**
 * What a flow must refuse, and what its results are.
 */
import { Flow, Job, type JobContext, type JobError, type JobHandle, type JobStore } from "capstan"
import type { Effect, Exit, Option } from "effect"
import { Schema } from "effect"
import { describe, expect, test } from "tstyche"

class Oops extends Schema.TaggedError<Oops>()("Oops", {}) {}
class Count extends Job.make("Count", { payload: { of: Schema.String }, success: Schema.Number, error: Oops }) {}
class Name extends Job.make("Name", { success: Schema.String }) {}

const flow = Flow.make("F")
  .node("name", Name)
  .list("counts", Count)
  .node("count", Count, { after: { name: "fail" } })
  .node("end", Name, { after: { counts: "continue", count: "ignore", name: "fail" } })

describe("a node", () => {
  test("waits for nodes before it", () => {
    expect(flow.node).type.toBeCallableWith("more", Name, { after: { end: "fail", counts: "cancelSiblings" } })
  })

  test("does not wait for what is no node before it, itself among them", () => {
    expect(flow.node).type.not.toBeCallableWith("more", Name, { after: { later: "fail" } })
    expect(flow.node).type.not.toBeCallableWith("more", Name, { after: { end: "fail", later: "fail" } })
    expect(flow.node).type.not.toBeCallableWith("more", Name, { after: { more: "fail" } })
  })

  test("fails with each of a list that it waits for", () => {
    expect(flow.node).type.toBeCallableWith("more", Name, { after: ["end", "counts"] })
    expect(flow.node).type.not.toBeCallableWith("more", Name, { after: ["end", "later"] })
    expect(flow.node).type.not.toBeCallableWith("more", Name, { after: ["more"] })
    const short = Flow.make("S").node("name", Name).list("counts", Count).node("end", Name, {
      after: ["name", "counts"]
    })
    expect(short.results("end")).type.toBe<
      Effect.Effect<
        { readonly name: string; readonly counts: ReadonlyArray<number> },
        JobError.JobStoreError,
        JobContext.JobContext | JobStore.JobStore
      >
    >()
    expect(short.handle("id").node).type.toBeCallableWith("end")
    expect(short.add).type.toBeCallableWith("counts", [{ of: "a" }])
  })

  test("has a name of its own and a policy that there is", () => {
    expect(flow.node).type.not.toBeCallableWith("end", Name)
    expect(flow.list).type.not.toBeCallableWith("end", Count)
    expect(flow.node).type.not.toBeCallableWith("more", Name, { after: { end: "explode" } })
  })
})

describe("a start", () => {
  const counts = [{ of: "a" }]
  test("takes a payload for each node, many for a list, none where there is none", () => {
    expect(flow.start).type.toBeCallableWith({ counts, count: { of: "b" } })
    expect(flow.start).type.toBeCallableWith({ counts: new Set(counts), count: { of: "b" } }, { idempotencyKey: "k" })
  })

  test("refuses another", () => {
    expect(flow.start).type.not.toBeCallableWith({ counts })
    expect(flow.start).type.not.toBeCallableWith({ counts: { of: "a" }, count: { of: "b" } })
    expect(flow.start).type.not.toBeCallableWith({ counts, count: { of: 1 } })
  })
})

describe("results", () => {
  test("are typed by the jobs of the nodes and by the policies of the edges", () => {
    type Input<T> = T extends Effect.Effect<infer A, infer _E, infer _R> ? A : never
    expect<Input<ReturnType<typeof flow.results<"end">>>>().type.toBe<{
      readonly counts: ReadonlyArray<Exit.Exit<number, Oops | JobHandle.Ended>>
      readonly count: Option.Option<number>
      readonly name: string
    }>()
    expect<Input<ReturnType<typeof flow.results<"count">>>>().type.toBe<{ readonly name: string }>()
  })

  test("are those of a node that there is", () => {
    expect(flow.results).type.not.toBeCallableWith("other")
  })

  test("need an attempt", () => {
    expect(flow.results("count")).type.toBe<
      Effect.Effect<{ readonly name: string }, JobError.JobStoreError, JobContext.JobContext | JobStore.JobStore>
    >()
  })
})

describe("a handle", () => {
  const handle = flow.handle("id")
  test("has the records of single nodes, and those of lists apart", () => {
    expect(handle.node).type.toBeCallableWith("name")
    expect(handle.node).type.not.toBeCallableWith("counts")
    expect(handle.members).type.toBeCallableWith("counts")
    expect(handle.members).type.not.toBeCallableWith("name")
  })

  test("awaits the nodes that nobody waits for", () => {
    expect(handle.await).type.toBe<
      Effect.Effect<{ readonly end: string }, JobHandle.Ended | JobError.JobStoreError, JobStore.JobStore>
    >()
  })

  test("acts on parts that there are", () => {
    expect(handle.retry).type.toBeCallableWith({ from: "count" })
    expect(handle.retry).type.not.toBeCallableWith({ from: "other" })
  })
})

describe("add", () => {
  test("takes lists that no other list is joined with", () => {
    const joined = Flow.make("G").list("a", Count).list("b", Count, { after: { a: "fail" } }).node("c", Name, {
      after: { b: "fail" }
    })
    expect(flow.add).type.toBeCallableWith("counts", [{ of: "a" }])
    expect(flow.add).type.not.toBeCallableWith("name", [])
    expect(joined.add).type.not.toBeCallableWith("a", [{ of: "a" }])
    expect(joined.add).type.not.toBeCallableWith("b", [{ of: "a" }])
  })
})
