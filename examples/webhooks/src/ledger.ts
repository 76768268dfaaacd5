/**
 * The truth is kept outside: what the sender was answered, against what the service did. Neither asks the store.
 */
import type { Sent } from "./sender.ts"

export interface Verdict {
  /** Accepted, and nothing came of it. */
  readonly lost: ReadonlyArray<string>
  /** Accepted, and done more than once. */
  readonly doubled: ReadonlyArray<string>
  /** Done, and never accepted. */
  readonly invented: ReadonlyArray<string>
  /** A wrong signature that was accepted, a right one that was not, or a repetition that became a second record. */
  readonly misjudged: ReadonlyArray<string>
}

export const compare = (sent: ReadonlyArray<Sent>, effects: ReadonlyArray<string>): Verdict => {
  const accepted = new Set(sent.flatMap(({ id, status }) => status === 202 ? [id] : []))
  const times = new Map<string, number>()
  for (const id of effects) times.set(id, (times.get(id) ?? 0) + 1)
  return {
    lost: [...accepted].filter((id) => !times.has(id)),
    doubled: [...times].flatMap(([id, count]) => count > 1 ? [id] : []),
    invented: [...times.keys()].filter((id) => !accepted.has(id)),
    misjudged: sent.flatMap(({ id, isForged, isRepetition, status }) =>
      status === (isForged ? 401 : isRepetition ? 200 : 202) ? [] : [id]
    )
  }
}

export const isClean = (verdict: Verdict): boolean =>
  Object.values(verdict).every((ids: ReadonlyArray<string>) => ids.length === 0)

export const describe = (verdict: Verdict): string =>
  Object.entries(verdict).flatMap(([kind, ids]: [string, ReadonlyArray<string>]) =>
    ids.length === 0 ? [] : [`${kind}: ${ids.length} (${ids.slice(0, 3).join(", ")}${ids.length > 3 ? ", …" : ""})`]
  ).join("\n")
