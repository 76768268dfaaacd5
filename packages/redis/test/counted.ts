/** A store whose scripts count their commands. */
import { JobStore } from "capstan"
import { Effect } from "effect"
import type { Redis } from "effect/persistence"
import { Advance } from "../../testing/src/internal/suite/harness.ts"
import * as Harness from "./harness.ts"

const counting = (clock: string, only?: string) =>
  `local count = call
  call = function(...)
    if ${only === undefined ? "true" : `(...) == '${only}'`} then count('INCR', P .. ':calls') end
    return count(...)
  end
  ${clock}`

/** `clock`: stands still until it is moved, where none is given. `only`: what it counts, where that is not every command. */
export const on = <A, E>(
  theme: string,
  run: (prefix: string) => Effect.Effect<A, E, JobStore.JobStore>,
  clock: string = Harness.frozenClock,
  only?: string
) =>
  Effect.gen(function*() {
    const prefix = Harness.prefixOf(theme)
    const context = yield* Effect.context<Redis.Redis>()
    yield* Harness.empty(prefix)
    yield* Harness.freeze(prefix)
    yield* run(prefix).pipe(
      Effect.provideService(JobStore.JobStore, yield* Harness.open(prefix, counting(clock, only))),
      Effect.provideService(
        Advance,
        (millis) => Effect.asVoid(Effect.orDie(Effect.provide(Harness.advance(prefix, millis), context)))
      )
    )
    yield* Harness.empty(prefix)
  }).pipe(Effect.scoped, Effect.provide(Harness.client()))

/** How many commands scripts sent meanwhile. */
export const commands = <A, E, R>(prefix: string, effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function*() {
    yield* Effect.provide(Harness.send("SET", `{${prefix}}:calls`, "0"), Harness.client())
    const answer = yield* effect
    const many = Number(yield* Effect.provide(Harness.send("GET", `{${prefix}}:calls`), Harness.client()))
    return [answer, many] as const
  })
