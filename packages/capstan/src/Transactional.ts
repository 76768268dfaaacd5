/**
 * Settling an attempt in the same transaction as what the handler writes.
 *
 * Only a store that shares the caller's database has it. A program that calls `X.commit` on a store without it does not
 * compile, for want of this service.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { JobStoreError } from "./JobError.ts"
import type { AttemptRef, WriteEntry } from "./JobStore.ts"

/**
 * How an attempt ends when its transaction commits: as a completion with this result.
 *
 * @category models
 * @since 0.1.0
 */
export interface Completion {
  readonly result: string | undefined
  /** Milliseconds from the claim to the end of the handler, measured monotonically. */
  readonly finishedAfter: number
}

/**
 * The operations of the service.
 *
 * @category models
 * @since 0.1.0
 */
export interface Shape {
  /** The identity of the store that it belongs to. */
  readonly identity: string
  /**
   * Runs the effect in one transaction, and in the same transaction completes the attempt with what `complete` makes of
   * its value. Nothing of it happens when the effect fails, or when the attempt is stale (`LeaseLost`).
   */
  readonly commit: <A, E, R>(
    at: AttemptRef,
    effect: Effect.Effect<A, E, R>,
    complete: (value: A) => Effect.Effect<Completion>
  ) => Effect.Effect<A, E | JobStoreError, R>
  /**
   * Runs the effect in one transaction, and in the same transaction keeps the step that `step` makes of its value. Nothing of
   * it happens when the effect fails, or when the attempt is stale (`LeaseLost`).
   */
  readonly step: <A, E, R>(
    effect: Effect.Effect<A, E, R>,
    step: (value: A) => Effect.Effect<WriteEntry & { readonly _tag: "Step" }>
  ) => Effect.Effect<A, E | JobStoreError, R>
}

/**
 * The capability to settle inside a transaction.
 *
 * @category service
 * @since 0.1.0
 */
export class Transactional extends Context.Service<Transactional, Shape>()("capstan/Transactional") {}
