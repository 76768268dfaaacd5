/**
 * What a store promises, as facts that any store can be asked for.
 *
 * A store's own test file is five lines:
 *
 * ```ts
 * import { JobStoreSuite } from "@capstan/testing"
 * import { JobStore } from "capstan"
 *
 * JobStoreSuite.suite("memory", JobStore.layerMemory())
 * ```
 *
 * @since 0.1.0
 */
import { describe, it } from "@effect/vitest"
import type { JobStore } from "capstan"
import { Effect, Exit, Layer } from "effect"
import { claimFacts } from "./internal/suite/claim.ts"
import { coalescedFacts } from "./internal/suite/coalesced.ts"
import { enqueueFacts } from "./internal/suite/enqueue.ts"
import { eventFacts } from "./internal/suite/events.ts"
import { flowFacts } from "./internal/suite/flow.ts"
import { followFacts } from "./internal/suite/follow.ts"
import { Advance, type Fact } from "./internal/suite/harness.ts"
import { leaseFacts } from "./internal/suite/lease.ts"
import { lifeFacts } from "./internal/suite/life.ts"
import { limitFacts } from "./internal/suite/limits.ts"
import { operateFacts } from "./internal/suite/operate.ts"
import { schedulesFacts } from "./internal/suite/schedules.ts"
import { settleFacts } from "./internal/suite/settle.ts"
import { stepFacts } from "./internal/suite/steps.ts"
import { transitionFacts } from "./internal/suite/transitions.ts"
import { uniqueFacts } from "./internal/suite/unique.ts"
import { waitingFacts } from "./internal/suite/waiting.ts"
import { watchFacts } from "./internal/suite/watch.ts"

export type {
  /**
   * One thing that a store does, in a sentence.
   *
   * @category models
   * @since 0.1.0
   */
  Fact
}

/**
 * The facts by theme.
 *
 * @category models
 * @since 0.1.0
 */
export const themes: Readonly<Record<string, ReadonlyArray<Fact>>> = {
  enqueue: enqueueFacts,
  unique: uniqueFacts,
  coalesced: coalescedFacts,
  claim: claimFacts,
  settle: settleFacts,
  lease: leaseFacts,
  waiting: waitingFacts,
  flow: flowFacts,
  followed: followFacts,
  events: eventFacts,
  limits: limitFacts,
  schedules: schedulesFacts,
  steps: stepFacts,
  operate: operateFacts,
  watch: watchFacts,
  transitions: transitionFacts,
  life: lifeFacts
}

/**
 * All facts.
 *
 * @category models
 * @since 0.1.0
 */
export const facts: ReadonlyArray<Fact> = Object.values(themes).flat()

/**
 * Options of the suite.
 *
 * @category options
 * @since 0.1.0
 */
export interface Options {
  /**
   * Lets time pass for the store. A store with a clock of its own waits here.
   *
   * @default TestClock.adjust
   */
  readonly advance?: ((millis: number) => Effect.Effect<void>) | undefined
  /**
   * How many milliseconds of real time one fact may take.
   *
   * @default as vitest is configured
   */
  readonly timeout?: number | undefined
}

const prepared = <E>(fact: Fact, layer: Layer.Layer<JobStore.JobStore, E>, options: Options) => {
  const run = Effect.provide(fact.run, Layer.fresh(layer))
  return options.advance === undefined ? run : Effect.provideService(run, Advance, options.advance)
}

/**
 * Declares all facts as tests, each on a store of its own.
 *
 * @category suites
 * @since 0.1.0
 */
export const suite = <E>(name: string, layer: Layer.Layer<JobStore.JobStore, E>, options: Options = {}): void => {
  describe(name, () => {
    for (const [theme, facts] of Object.entries(themes)) {
      describe(theme, () => {
        for (const fact of facts) it.effect(fact.name, () => prepared(fact, layer, options), options.timeout)
      })
    }
  })
}

/**
 * Runs all facts, or those given, and answers the names of those that do not hold: how a must-fail twin is told from its
 * original.
 *
 * @category suites
 * @since 0.1.0
 */
export const failing = <E>(
  layer: Layer.Layer<JobStore.JobStore, E>,
  options: Options = {},
  some: ReadonlyArray<Fact> = facts
): Effect.Effect<ReadonlyArray<string>> =>
  Effect.map(
    Effect.forEach(some, (fact) =>
      Effect.map(Effect.exit(prepared(fact, layer, options)), (exit) => Exit.isFailure(exit) ? [fact.name] : [])),
    (names) =>
      names.flat()
  )
