/** A mutant: one file of the sources, with one small thing in it another. */
export interface Mutant {
  /** From the root of the repository. */
  readonly file: string
  /** From 1. */
  readonly line: number
  /** Where in the file it begins and ends. */
  readonly start: number
  readonly end: number
  readonly instead: string
}

/** Where the change is, from its place and what stands there. */
export const mutantAt = (file: string, text: string, start: number, end: number, instead: string): Mutant => ({
  file,
  line: text.slice(0, start).split("\n").length,
  start,
  end,
  instead
})

export const applied = (text: string, { end, instead, start }: Mutant): string =>
  text.slice(0, start) + instead + text.slice(end)

const line = (text: string): string => text.replaceAll(/\s+/g, " ").trim()

/** Characters of a change that are shown: of a longer one those around what differs. */
const most = 80

/** The change in words: what stood there, and what stands there now. */
export const described = (text: string, { end, instead, start }: Mutant): string => {
  const before = line(text.slice(start, end))
  const after = line(instead)
  if (before.length <= most) return `${before} => ${after || "nothing"}`
  let same = 0
  while (same < after.length && before[same] === after[same]) same++
  const from = Math.max(0, same - 20)
  const shown = (all: string) =>
    `${from > 0 ? "..." : ""}${all.slice(from, from + most)}${all.length > from + most ? "..." : ""}`
  return `${shown(before)} => ${shown(after) || "nothing"}`
}

/** Numbers of [0, 1) that are the same for the same seed: mulberry32. */
export const randomOf = (seed: number): () => number => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** So many of them, in the order of the sources. */
export const sampled = <A>(all: ReadonlyArray<A>, count: number, seed: number): ReadonlyArray<A> => {
  const random = randomOf(seed)
  const drawn = all.map((_, i) => [random(), i] as const).toSorted(([a], [b]) => a - b).slice(0, count)
  return drawn.map(([, i]) => i).toSorted((a, b) => a - b).map((i) => all[i]!)
}
