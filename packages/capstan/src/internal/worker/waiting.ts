/**
 * Claimed records that wait for a slot.
 */
import type { Claimed } from "../../JobStore.ts"
import type { Receipt } from "./attempt.ts"

/** A record, or the first one of a batch. */
export interface Prefetched {
  readonly claimed: Claimed
  readonly receipt: Receipt
  /** The others of its batch. */
  readonly mates?: ReadonlyArray<Prefetched> | undefined
  /** Of a batch: since when it counts as waiting, by the monotonic clock. */
  readonly since?: number | undefined
}

const alone: ReadonlyArray<Prefetched> = []

/** All records of it. */
export const membersOf = (next: Prefetched): ReadonlyArray<Prefetched> => [next, ...next.mates ?? alone]

/** What is left of it when some of its records are taken out, and those. */
export const without = (
  next: Prefetched,
  which: (next: Prefetched) => boolean
): { readonly left: Prefetched | undefined; readonly taken: ReadonlyArray<Prefetched> } => {
  if (next.mates === undefined) return which(next) ? { left: undefined, taken: [next] } : { left: next, taken: alone }
  const taken = membersOf(next).filter(which)
  if (taken.length === 0) return { left: next, taken }
  const [first, ...mates] = membersOf(next).filter((member) => !taken.includes(member))
  return { left: first === undefined ? undefined : { ...first, mates, since: next.since }, taken }
}
