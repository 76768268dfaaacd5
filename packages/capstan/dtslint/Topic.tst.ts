/**
 * What subscriptions and followers must refuse.
 */
import { Job, Topic } from "capstan"
import { Schema } from "effect"
import { describe, expect, test } from "tstyche"

const Placed = Topic.make("Placed", { id: Schema.String, total: Schema.Number })
class Note extends Job.make("Note", { payload: { text: Schema.String } }) {}

describe("a subscription", () => {
  test("makes what its job takes of the event", () => {
    expect(Job.make).type.toBeCallableWith("A", {
      payload: { id: Schema.String },
      on: [Topic.on(Placed, { where: ({ total }) => total > 1, payload: ({ id }) => ({ id }) })]
    })
    expect(Job.make).type.not.toBeCallableWith("A", {
      payload: { id: Schema.String },
      on: [Topic.on(Placed, { payload: ({ total }) => ({ id: total }) })]
    })
    expect(Topic.on).type.not.toBeCallableWith(Placed, { where: () => "yes", payload: () => ({}) })
  })

  test("publishes events of the topic", () => {
    expect(Placed.publish).type.toBeCallableWith({ id: "a", total: 1 })
    expect(Placed.publish).type.not.toBeCallableWith({ id: "a" })
  })
})

describe("a follower", () => {
  test("is made of payload and success", () => {
    class A extends Job.make("A", {
      payload: { id: Schema.String },
      success: Schema.Number,
      onComplete: ({ payload, success }) => {
        expect(payload).type.toBe<{ readonly id: string }>()
        expect(success).type.toBe<number>()
        return Note.request({ text: payload.id })
      }
    }) {}
    expect(A.request).type.toBeCallableWith({ id: "a" })
  })

  test("is a request", () => {
    expect(Job.make).type.not.toBeCallableWith("A", { onComplete: () => "Note" })
    expect(Note.request).type.not.toBeCallableWith({ text: 1 })
  })
})
