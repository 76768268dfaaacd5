/**
 * What ends in some queues from now on, by the events of the store. Of what has ended before, the store keeps what its retention leaves;
 * events tell of all. They are hints: what is missed is missed of what dies and of what completes alike.
 *
 * Events are sent while somebody reads them, which costs the store at each record. So a look listens when a rule has doubts, and not all
 * the time.
 */
import { Jobs, type JobStore } from "capstan"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Queue } from "./snapshot.ts"

type Heard = NonNullable<Queue["heard"]>

/** Other findings of the look are told after it. */
const longest = Duration.seconds(10)
/** Of so many ends of each queue a rate is known well enough. */
const enough = 500

/** A store that tells nothing is silent for as long; one that fails while it is listened to has told what it has. */
export const hear = (queues: ReadonlySet<string>): Effect.Effect<ReadonlyMap<string, Heard>, never, Jobs.Jobs> =>
  Effect.gen(function*() {
    const { events } = yield* Jobs.Jobs
    const counts = new Map([...queues].map((queue) => [queue, { completed: 0, dead: 0 }]))
    let since: number | undefined
    const count = (event: JobStore.StoreEvent) =>
      Effect.map(Clock.currentTimeMillis, (now) => {
        // It opens with `missed`, once it hears.
        since ??= now
        if (event.type === "completed" || event.type === "dead") {
          const of = counts.get(event.queue)
          if (of !== undefined) of[event.type]++
        }
        return [...counts.values()].some(({ completed, dead }) => completed + dead < enough)
      })
    yield* Effect.ignore(Effect.timeoutOption(Stream.runForEachWhile(events, count), longest), { log: "Warn" })
    const forMillis = since === undefined ? 0 : (yield* Clock.currentTimeMillis) - since
    return new Map([...counts].map(([queue, of]) => [queue, { ...of, forMillis }]))
  })
