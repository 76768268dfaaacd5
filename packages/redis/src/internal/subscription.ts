/**
 * A subscription that comes back by itself, and knows when it does not hear any more: the store sends itself a message now
 * and then, for a connection that is half open looks alive for hours.
 */
import type { JobError } from "capstan"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import type { Calls } from "./client.ts"

export interface Ears {
  readonly channel: string
  /** Makes a message come on the channel; waits while none is needed. */
  readonly beat: Effect.Effect<unknown, JobError.JobStoreError>
  /** How long after a beat its message may take, and the next beat begins. */
  readonly every: Duration.Input
  /** Answers whether it was the message of the beat. */
  readonly hear: (message: string) => boolean
  readonly lost: () => void
}

export const listening = (client: Calls, { beat, channel, every, hear, lost }: Ears) => {
  const session = Effect.scoped(Effect.gen(function*() {
    let isHeard = false
    const messages = yield* client.redis.subscribe(channel)
    const read = Effect.forever(Effect.map(Queue.take(messages), ({ message }) => {
      if (hear(message)) isHeard = true
    }))
    const watch = Effect.gen(function*() {
      do {
        isHeard = false
        yield* Effect.ignore(beat)
        yield* Effect.sleep(every)
      } while (isHeard)
      yield* Effect.logWarning(`no message has come back in time on ${channel}: listening anew`)
    })
    yield* Effect.raceFirst(read, watch)
  })).pipe(Effect.ensuring(Effect.sync(lost)))
  return session.pipe(
    Effect.sandbox,
    Effect.retry(
      Schedule.exponential("50 millis").pipe(
        Schedule.jittered,
        (schedule) => Schedule.min([schedule, Schedule.spaced("5 seconds")])
      )
    ),
    Effect.forever
  )
}
