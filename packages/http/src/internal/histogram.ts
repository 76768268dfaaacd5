/**
 * How many durations there were of each size. Two of them added up are that of both, which two percentiles never are, so a
 * minute, an hour and several queues are told from the same figures.
 *
 * A size is an eighth of a doubling: a percentile is off by 5 % at most. Only the sizes that occurred take memory.
 */

const perDoubling = 8
/** What is shorter has the first size of all. */
const shortest = 0.01
const offset = Math.log2(shortest)

const sizeOf = (millis: number): number =>
  millis < shortest ? 0 : 1 + Math.floor((Math.log2(millis) - offset) * perDoubling)

/** The middle of what has this size. */
const millisOf = (size: number): number => size === 0 ? 0 : 2 ** ((size - 0.5) / perDoubling + offset)

const shown = (millis: number): number => Number(millis.toPrecision(3))

export class Histogram {
  private readonly sizes = new Map<number, number>()
  private many = 0

  get count(): number {
    return this.many
  }

  add(millis: number): void {
    this.put(sizeOf(millis), 1)
  }

  merge(other: Histogram): void {
    for (const [size, many] of other.sizes) this.put(size, many)
  }

  /** Below which `part` of all are, as in 0.95; of none there is none. */
  quantile(part: number): number | undefined {
    let rest = Math.max(1, Math.ceil(this.many * part))
    for (const size of [...this.sizes.keys()].toSorted((a, b) => a - b)) {
      rest -= this.sizes.get(size)!
      if (rest <= 0) return shown(millisOf(size))
    }
    return undefined
  }

  private put(size: number, many: number): void {
    this.sizes.set(size, (this.sizes.get(size) ?? 0) + many)
    this.many += many
  }
}

export const mergedOf = (histograms: Iterable<Histogram>): Histogram => {
  const all = new Histogram()
  for (const one of histograms) all.merge(one)
  return all
}
