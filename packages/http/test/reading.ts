/** Readers of the event stream, over real HTTP. */
import type { ApiModel } from "@capstan/http"
import { assert } from "@effect/vitest"
import { Effect, Queue, type Scope, Stream } from "effect"
import type { Served } from "./harness.ts"

type Event = typeof ApiModel.Event.Type

/** A connection of the typed client, whose events wait to be taken. */
export const connect = (
  { client }: Served,
  who: string,
  options: { readonly queue?: string; readonly after?: string } = {}
): Effect.Effect<Queue.Dequeue<Event>, unknown, Scope.Scope> =>
  Effect.gen(function*() {
    const { events } = yield* client(who)
    const stream = yield* events.events({
      query: options.queue === undefined ? {} : { queue: options.queue },
      headers: options.after === undefined ? {} : { "last-event-id": options.after }
    })
    const queue = yield* Queue.unbounded<Event>()
    yield* Effect.forkScoped(Stream.runForEach(stream, (event) => Queue.offer(queue, event)))
    return queue
  })

/** The next one that is no beat. */
export const next = (queue: Queue.Dequeue<Event>): Effect.Effect<Event> =>
  Effect.flatMap(Queue.take(queue), (event) => event.event === "beat" ? next(queue) : Effect.succeed(event))

/** The events of so many records, in the order that they were told. */
export const told = (queue: Queue.Dequeue<Event>, many: number) =>
  Effect.gen(function*() {
    const found: Array<typeof ApiModel.Delta.Type> = []
    let id = ""
    while (found.length < many) {
      const event = yield* next(queue)
      if (event.event !== "records") return assert.fail(`${event.event} instead of records`)
      found.push(...event.data)
      id = event.id
    }
    return { found, id }
  })
