/**
 * The story of a run that broke an invariant: shrunk to what it takes, and told as a timeline.
 */
import { Effect } from "effect"
import type { Occurrence, Told } from "./world.ts"

interface Run {
  readonly violations: ReadonlyArray<string>
  readonly story: ReadonlyArray<Occurrence>
  readonly told: ReadonlyArray<Told>
}

const idsOf = (text: string): ReadonlyArray<string> => text.match(/[0-9a-f]{8}-[0-9a-f-]{27}/g) ?? []

/** What an invariant says, whoever it says it of. */
const kindOf = ({ violations: [first = ""] }: Run): string =>
  first.replace(/^at [\d.]+ ms: /, "").replace(/^(worker \d+|client|seam) \w+: /, "").replaceAll(
    /[0-9a-f-]{36}|\d+/g,
    ""
  )

/** Runs again without parts of the story, halves at first and single occurrences in the end, and keeps what fails alike. */
export const shrink = <R extends Run>(
  failed: R,
  again: (without: ReadonlySet<string>, tells: boolean) => Effect.Effect<R>,
  most: number
): Effect.Effect<R> =>
  Effect.gen(function*() {
    const kind = kindOf(failed)
    let without: ReadonlySet<string> = new Set()
    let shortest: R = failed
    let runs = 0
    for (let length = Math.ceil(failed.story.length / 2); length >= 1 && runs < most;) {
      let isShorter = false
      // From the end: what comes late is mostly what nothing else needs.
      for (let from = shortest.story.length - length; from > -length && runs < most; from -= length) {
        const part = shortest.story.slice(Math.max(0, from), from + length)
        if (part.length === 0) continue
        const more = new Set([...without, ...part.map(({ key }) => key)])
        const run = yield* again(more, false)
        runs++
        if (run.violations.length === 0 || kindOf(run) !== kind) continue
        without = more
        shortest = run
        isShorter = true
      }
      // What has become shorter may become so again without what it could not do without before.
      length = isShorter && length === 1 ? 1 : Math.min(Math.floor(length / 2), shortest.story.length)
    }
    return yield* again(without, true)
  })

/** Of many records only those are told of that something is said of. */
const fewEnough = 60

export const timeline = ({ story, told, violations }: Run): string => {
  const about = new Set(violations.flatMap(idsOf))
  const chosen = told.length <= fewEnough ? told : told.filter(({ id }) => about.has(id))
  const lines = [
    ...story.map(({ at, what }) => ({ at, what })),
    ...chosen.map(({ at, id, what }) => ({ at, what: `  ${id} ${what}` }))
  ].toSorted((a, b) => a.at - b.at)
  const text = [
    ...lines.map(({ at, what }) => `${String(Math.round(at)).padStart(7)} ms  ${what}`),
    ...violations.map((violation) => `  BROKEN  ${violation}`)
  ].join("\n")
  // Ids differ in their last digits alone, or are random there: short names are easier to follow.
  const names = new Map<string, string>()
  for (const id of idsOf(text)) if (!names.has(id)) names.set(id, `#${names.size + 1}`)
  let short = text
  for (const [id, name] of names) short = short.replaceAll(id, name)
  return short
}
