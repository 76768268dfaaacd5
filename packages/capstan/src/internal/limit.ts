/**
 * What core and the memory store make of limits: which value holds, which space a key is in, what a worker proposes.
 */
import type { LimitChange, LimitRow, LimitSettings } from "../StoreLimits.ts"
import type { Definition, Proposal } from "./definition.ts"

/** An operator's settings, and where they say nothing those of the proposal. */
export const holding = (row: Pick<LimitRow, "proposed" | "override">): LimitSettings =>
  row.override === undefined ? row.proposed : { ...row.proposed, ...row.override }

/** The name of the space that a key belongs to; `undefined` for a key of one job. */
export const spaceOf = (key: string): string | undefined =>
  key.startsWith("@") ? key.slice(0, key.indexOf("/")) : undefined

/** What a worker proposes: the limits of its jobs by key, and of its queues. Throws when two have one name. */
export const proposals = (
  jobs: Iterable<Definition>,
  queues: ReadonlyArray<Proposal>,
  release: number
): ReadonlyArray<LimitChange> => {
  const all = new Map<string, LimitSettings>()
  for (const { limit, tag } of jobs) {
    if (limit === undefined) continue
    const other = all.get(limit.name)
    if (other !== undefined && JSON.stringify(other) !== JSON.stringify(limit.settings)) {
      throw new Error(
        `worker: job ${tag} has another limit of the name ${limit.name.slice(1)}: share one, or rename it`
      )
    }
    all.set(limit.name, limit.settings)
  }
  for (const { name, settings } of queues) all.set(name, settings)
  return [...all].map(([name, settings]) => ({ _tag: "Propose", name, release, settings }))
}
