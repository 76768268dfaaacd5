import { assert, describe, it } from "@effect/vitest"
import { Lifecycle } from "capstan"

describe("the transition table", () => {
  it("allows a step of an event whose row has both of its ends", () => {
    assert.isTrue(Lifecycle.allows("claim", "ready", "running"))
  })

  it("allows none from a state that the row of the event does not begin with", () => {
    assert.isFalse(Lifecycle.allows("claim", "blocked", "running"))
  })

  it("allows none to a state that the row of the event does not end with", () => {
    assert.isFalse(Lifecycle.allows("claim", "ready", "completed"))
  })
})
