/**
 * Random programs on a memory store and on one that differs by a line: what the same programs show of Postgres and Redis in
 * their packages is worth something, because here they find it.
 */
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Context, Effect, Layer, Logger } from "effect"
import { TestClock } from "effect/testing"
import { explore, type Subject } from "../src/internal/differential.ts"
import { type Change, twin } from "./twin.ts"

const twins: Readonly<Record<string, Change>> = {
  "a fence that an edit does not move": {
    file: "control.ts",
    line: "  row.fence++\n  if (payload !== undefined) {",
    instead: "  if (payload !== undefined) {"
  },
  "a checkpoint that is written over": {
    file: "write.ts",
    line: "  if (isKept(more.checkpoints, name)) return false\n",
    instead: ""
  },
  "a record that comes back to the end": {
    file: "queue.ts",
    line: "if (early !== undefined && (first === undefined || early.place < first.place)) first = early",
    instead: "if (early !== undefined && first === undefined) first = early"
  }
}

const subjectOf = (layer: Layer.Layer<JobStore.JobStore>): Subject => ({
  // What a program leaves behind is nobody's loss.
  empty: Effect.scoped(Effect.map(
    Layer.build(Layer.provide(Layer.fresh(layer), Logger.layer([]))),
    (context) => Context.get(context, JobStore.JobStore)
  )),
  setClock: TestClock.setTime
})

describe("the same random programs", () => {
  it.effect("show nothing of another memory store", () =>
    Effect.map(explore(subjectOf(JobStore.layerMemory()), {}), (found) => assert.isUndefined(found, found)))
  for (const [name, change] of Object.entries(twins)) {
    it.effect(`find ${name}`, () =>
      Effect.gen(function*() {
        const layer = yield* Effect.promise(() => twin(`differential ${name}`, change))
        // A line that matters to a call in a thousand takes some programs.
        const found = yield* explore(subjectOf(layer), { CAPSTAN_DIFFERENTIAL: "200" })
        assert.include(found ?? "nothing", "two stores differ")
      }))
  }
})
