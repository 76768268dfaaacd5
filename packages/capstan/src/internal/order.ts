/**
 * Tells a store that the keys of a limit take turns, before the first record of it is enqueued. Else it would learn that from the
 * first worker alone, and what was enqueued before would have the place of its age.
 *
 * One call a process, limit and store. It changes no proposal of a worker, whichever comes first (`JobStore.LimitChange`). In a
 * transaction of the caller's nothing is told: what is enqueued there gets its turn after the commit, from a worker. Who makes
 * a schedule tells it as well, since its ticks may be made by workers that do not have the job. A store that
 * refuses is not asked again; what an outage hinders is tried with the next enqueue, which says itself that the store is away.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type { Shape as Store } from "../JobStore.ts"
import type { Definition, Proposal } from "./definition.ts"

/** The release of a proposal that is made by who enqueues. */
const byEnqueuer = -1

const told = new WeakMap<Store, Set<string>>()

/** `undefined` where nothing is to be told, as for every job without turns. */
export const telling = (
  fiber: Fiber.Fiber<unknown, unknown>,
  { limit }: Definition,
  store: Store | undefined
): Effect.Effect<void> | undefined =>
  limit?.settings.order !== "fair" || store === undefined || told.get(store)?.has(limit.name) === true ||
    store.inTransaction?.(fiber.context) === true
    ? undefined
    : tell(store, limit)

const tell = (store: Store, { name }: Proposal): Effect.Effect<void> =>
  store.limits([{ _tag: "Propose", name, release: byEnqueuer, settings: { order: "fair" } }]).pipe(
    Effect.matchEager({
      onSuccess: () => note(store, name),
      onFailure: (error) => error.isTransient ? undefined : note(store, name)
    })
  )

const note = (store: Store, name: string): void => {
  const names = told.get(store)
  if (names === undefined) told.set(store, new Set([name]))
  else names.add(name)
}
