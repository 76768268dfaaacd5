import * as Lifecycle from "capstan/Lifecycle"
import { expect, test } from "tstyche"

test("an event is a row of the table", () => {
  expect<"claim">().type.toBeAssignableTo<Lifecycle.Event>()
  expect<"explode">().type.not.toBeAssignableTo<Lifecycle.Event>()
})

test("allows takes known events and states only", () => {
  expect(Lifecycle.allows).type.toBeCallableWith("claim", "ready", "running")
  expect(Lifecycle.allows).type.not.toBeCallableWith("claim", "ready", "sleeping")
})
