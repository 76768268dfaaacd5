/** The handler of the event stream: what one caller may see of the hub's frames. */
import type { JobStore } from "capstan"
import * as Effect from "effect/Effect"
import * as HttpApiBuilder from "effect/http-api/HttpApiBuilder"
import * as RcRef from "effect/RcRef"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as Model from "../ApiModel.ts"
import { Caller, JobsApi } from "../JobsApi.ts"
import type * as Hub from "./hub.ts"
import { Hubs } from "./hubs.ts"
import { permitQueue } from "./permit.ts"
import { present } from "./view.ts"

type Event = typeof Model.Event.Type

/** A proxy that cuts silent connections waits longer. */
const beatEvery = "15 seconds"
/** Who asks is asked once a connection. A browser comes back by itself, with the last id, and is asked again. */
const atMost = "10 minutes"

export const layer = HttpApiBuilder.group(
  JobsApi,
  "events",
  Effect.fnUntraced(function*(handlers) {
    const hub = yield* Hubs
    return handlers.handle("events", ({ headers, query: { queue } }) =>
      Effect.gen(function*() {
        const caller = yield* Caller
        if (queue !== undefined) yield* permitQueue(caller, "view", queue)
        const isSeen = (event: JobStore.RecordEvent) =>
          (queue === undefined || event.queue === queue) && caller.may("view", event.queue)
        return told(Effect.flatMap(RcRef.get(hub), (hub) => hub.join(headers["last-event-id"])), isSeen)
      }))
  })
)

/** What one connection is told, as long as it is one. */
export const told = (
  join: Effect.Effect<Hub.Reader, never, Scope.Scope>,
  isSeen: (event: JobStore.RecordEvent) => boolean
): Stream.Stream<Event> => {
  const frames = Stream.unwrap(Effect.map(join, (reader) => read(reader, isSeen)))
  // The first beat goes out at once: a client has its answer when the first bytes come.
  return Stream.merge(frames, Stream.map(Stream.tick(beatEvery), (): Event => ({ event: "beat", data: "" })), {
    haltStrategy: "left"
  }).pipe(Stream.interruptWhen(Effect.sleep(atMost)))
}

/** The frames of a reader, without what may not be seen; and at the end why it is one. */
export const read = (reader: Hub.Reader, isSeen: (event: JobStore.RecordEvent) => boolean): Stream.Stream<Event> =>
  Stream.fromIterable(reader.before).pipe(
    Stream.concat(Stream.fromQueue(reader.queue)),
    Stream.flatMap((frame) => Stream.fromIterable(eventsOf(frame, isSeen))),
    Stream.concat(Stream.suspend(() =>
      reader.isDropped
        ? Stream.make<[Event]>({ event: "dropped", data: "too slow: connect again with the last id, or read less" })
        : Stream.empty
    ))
  )

const eventsOf = (
  { events, id }: Hub.Frame,
  isSeen: (event: JobStore.RecordEvent) => boolean
): ReadonlyArray<Event> => {
  if (events === "missed") return [{ event: "missed", id, data: "" }]
  const seen = events.filter(isSeen)
  return seen.length === 0 ? [] : [{ event: "records", id, data: seen.map((event) => present(event)) }]
}
