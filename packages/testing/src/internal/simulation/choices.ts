/** What a seed decides. */

/** A small generator (mulberry32, public domain): the same seed makes the same choices on every machine. */
export class Choices {
  private state: number

  constructor(seed: number) {
    this.state = seed | 0
  }

  /** From 0 up to 1. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  chance(probability: number): boolean {
    return this.next() < probability
  }

  between(from: number, to: number): number {
    return from + Math.floor(this.next() * (to - from + 1))
  }

  pick<A>(values: ReadonlyArray<A>): A {
    return values[this.between(0, values.length - 1)]!
  }
}

/** Choices of one kind, which others do not shift: a run without one of its faults makes all the others alike. */
export const choicesOf = (seed: number, kind: string): Choices => new Choices(hashOf(kind, seed | 0))

export const hashOf = (text: string, begin: number): number => {
  let hash = begin
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 16777619)
  return hash
}
