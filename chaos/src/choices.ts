/**
 * What a seed decides: who is killed, what is lost, how long handlers take. Timing stays real, so a seed repeats the
 * choices of a run, not the run.
 */

/** A small generator (mulberry32, public domain). */
export class Choices {
  private state: number

  constructor(seed: number, theme: string) {
    let hash = 2166136261 ^ seed
    for (let i = 0; i < theme.length; i++) hash = Math.imul(hash ^ theme.charCodeAt(i), 16777619)
    this.state = hash | 0
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

  pick<A>(values: ReadonlyArray<A>): A | undefined {
    return values[this.between(0, values.length - 1)]
  }
}
