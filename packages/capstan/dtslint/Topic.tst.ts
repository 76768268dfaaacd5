/**
 * What subscriptions and followers must refuse.
 */
import { Job, Topic, Waitpoint } from "capstan"
import { Context, Effect, Schema, SchemaGetter } from "effect"
import { describe, expect, test } from "tstyche"

const Placed = Topic.make("Placed", { id: Schema.String, total: Schema.Number })
class Note extends Job.make("Note", { payload: { text: Schema.String } }) {}

/** Takes a service to encode, and none to decode. */
class Key extends Context.Service<Key, string>()("Key") {}
const Sealed = Schema.String.pipe(Schema.encodeTo(Schema.String, {
  decode: SchemaGetter.transform((text: string) => text),
  encode: SchemaGetter.transformEffect((text: string) => Effect.map(Key, (key) => key + text))
}))

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

  test("is refused by a job whose payload takes a service to encode: who publishes has none", () => {
    const on = [Topic.on(Placed, { payload: ({ id }) => ({ id }) })]
    expect(Job.make).type.toBeCallableWith("A", { payload: { id: Schema.flip(Sealed) }, on })
    expect(Job.make).type.not.toBeCallableWith("A", { payload: { id: Sealed }, on })
    expect(Job.make).type.not.toBeCallableWith("A", { payload: Schema.Struct({ id: Sealed }), on })
  })

  test("publishes events of the topic", () => {
    expect(Placed.publish).type.toBeCallableWith({ id: "a", total: 1 })
    expect(Placed.publish).type.not.toBeCallableWith({ id: "a" })
  })
})

describe("a cancellation", () => {
  test("is made of the event and of its job's payload", () => {
    class A extends Job.make("A", {
      payload: { order: Schema.String },
      cancelOn: [{
        event: Topic.match(Placed, ({ id, total }) => total > 1 ? id : undefined),
        payload: (payload) => {
          expect(payload).type.toBe<{ readonly order: string }>()
          return payload.order
        }
      }]
    }) {}
    expect(A.request).type.toBeCallableWith({ order: "a" })
  })

  test("refuses what neither has, and what is no text", () => {
    const event = Topic.match(Placed, ({ id }) => id)
    expect(Job.make).type.toBeCallableWith("A", {
      payload: { order: Schema.String },
      cancelOn: [{ event, payload: ({ order }: { readonly order: string }) => order }]
    })
    expect(Job.make).type.not.toBeCallableWith("A", {
      payload: { order: Schema.String },
      cancelOn: [{ event, payload: ({ other }: { readonly other: string }) => other }]
    })
    expect(Job.make).type.not.toBeCallableWith("A", {
      payload: { order: Schema.Number },
      cancelOn: [{ event, payload: ({ order }: { readonly order: number }) => order }]
    })
    expect(Topic.match).type.not.toBeCallableWith(Placed, ({ total }: { readonly total: number }) => total)
    expect(Topic.match).type.not.toBeCallableWith(Placed, ({ other }: { readonly other: string }) => other)
  })
})

class Payment extends Waitpoint.make("Payment", { success: Schema.Struct({ total: Schema.Number }) }) {}
class Opened extends Waitpoint.make("Opened") {}

describe("a completion", () => {
  const event = Topic.completion(Placed, Payment, { key: ({ id }) => id, value: ({ total }) => ({ total }) })

  test("is made of the event, of what the waitpoint takes, and of its job's payload", () => {
    expect(event).type.toBe<Topic.Completion>()
    expect(Topic.completion(Placed, Opened, { key: () => undefined, value: () => undefined }))
      .type.toBe<Topic.Completion>()
    class A extends Job.make("A", {
      payload: { order: Schema.String },
      completeOn: [{
        event,
        payload: (payload) => {
          expect(payload).type.toBe<{ readonly order: string }>()
          return payload.order
        }
      }]
    }) {}
    expect(A.request).type.toBeCallableWith({ order: "a" })
  })

  test("refuses what neither has, what the waitpoint does not take, and what is no text", () => {
    const key = ({ id }: { readonly id: string }) => id
    expect(Topic.completion).type.toBeCallableWith(Placed, Payment, { key, value: () => ({ total: 1 }) })
    expect(Topic.completion).type.not.toBeCallableWith(Placed, Payment, { key, value: () => ({ total: "1" }) })
    expect(Topic.completion).type.not.toBeCallableWith(Placed, Payment, { key, value: () => undefined })
    expect(Topic.completion).type.not.toBeCallableWith(Placed, Payment, {
      key: ({ total }: { readonly total: number }) => total,
      value: () => ({ total: 1 })
    })
    expect(Topic.completion).type.not.toBeCallableWith(Placed, Note, { key, value: () => undefined })
    expect(Job.make).type.not.toBeCallableWith("A", {
      payload: { order: Schema.String },
      completeOn: [{ event, payload: ({ other }: { readonly other: string }) => other }]
    })
    expect(Job.make).type.not.toBeCallableWith("A", {
      payload: { order: Schema.String },
      completeOn: [{ event: Topic.match(Placed, key), payload: ({ order }: { readonly order: string }) => order }]
    })
  })

  test("refuses a waitpoint whose value takes a service to encode: who publishes has none", () => {
    class Secret extends Waitpoint.make("Secret", { success: Sealed }) {}
    class Opening extends Waitpoint.make("Opening", { success: Schema.flip(Sealed) }) {}
    const key = ({ id }: { readonly id: string }) => id
    expect(Topic.completion).type.toBeCallableWith(Placed, Opening, { key, value: key })
    expect(Topic.completion).type.not.toBeCallableWith(Placed, Secret, { key, value: key })
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

  test("is no request of a job whose payload takes a service to encode: who ends an attempt has none", () => {
    class Secret extends Job.make("Secret", { payload: Sealed }) {}
    class Opening extends Job.make("Opening", { payload: Schema.flip(Sealed) }) {}
    expect(Opening.request).type.toBeCallableWith("a")
    expect(Secret.request).type.not.toBeCallableWith("a")
  })

  test("of what succeeds is refused where the result takes a service to decode", () => {
    const follow = () => Note.request({ text: "a" })
    expect(Job.make).type.toBeCallableWith("A", { success: Sealed, onComplete: follow })
    expect(Job.make).type.toBeCallableWith("A", { success: Schema.flip(Sealed), onFailure: follow })
    expect(Job.make).type.not.toBeCallableWith("A", { success: Schema.flip(Sealed), onComplete: follow })
  })
})
