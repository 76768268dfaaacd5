/** What a declaration asks of a store with several partitions: of a queue that is called as something that every object has, too. */
import { assert, describe, it } from "@effect/vitest"
import type { Definition } from "../src/internal/definition.ts"
import { keysIssue, limitsIssue, overlapIssue, type Partitions } from "../src/internal/partitions.ts"
import type { Spec } from "../src/internal/schedules/plan.ts"

describe("the queue `constructor`", () => {
  const definition = { tag: "Keyed", queue: "constructor", unique: {}, concurrency: { space: "Keyed" } } as Definition
  const issues = (partitions: Partitions) => [
    keysIssue([definition], partitions),
    limitsIssue([{ name: "constructor", release: 0, settings: { concurrency: 1 } }] as never, partitions),
    overlapIssue({ overlap: "skip" } as Spec, definition, partitions)
  ]

  it("has one partition where none are named", () => {
    assert.deepStrictEqual(issues({}), [undefined, undefined, undefined])
  })

  it("has as many as are named for it", () => {
    for (const issue of issues({ constructor: 4 })) assert.match(issue!, /constructor.* 4/)
  })
})
