/**
 * The ids of a flow's members, made from the flow's own id and what they are in it, so that nobody has to keep them.
 *
 * Guarantee: the same member has the same id in every process and release, whatever nodes the flow gains or loses; two
 * members share one as seldom as two random ids do (74 bits of a hash). An id begins with the instant of its flow's, so that
 * members lie together.
 */
import type { JobId } from "../../JobRecord.ts"

/** Odd numbers without a pattern, one a lane: xor and multiply, as FNV-1a does. */
const primes = [0x01000193, 0x9e3779b1, 0x85ebca6b] as const

type Lanes = readonly [number, number, number]

const seed: Lanes = [0x811c9dc5, 0x243f6a88, 0x13198a2e]

const absorb = ([a, b, c]: Lanes, text: string): Lanes => {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    a = Math.imul(a ^ unit, primes[0])
    b = Math.imul(b ^ unit, primes[1])
    c = Math.imul(c ^ unit, primes[2])
    // Every lane takes part in the others, so that none can be told from what it began with.
    a ^= c >>> 15
    b ^= a >>> 13
    c ^= b >>> 16
  }
  return [a, b, c]
}

/** Every bit of the lane in every bit of the answer (the end of MurmurHash3, public domain). */
const spread = (lane: number): number => {
  lane = Math.imul(lane ^ (lane >>> 16), 0x85ebca6b)
  lane = Math.imul(lane ^ (lane >>> 13), 0xc2b2ae35)
  return (lane ^ (lane >>> 16)) >>> 0
}

const hex = (value: number, digits: number): string => value.toString(16).padStart(8, "0").slice(-digits)

/** The ids of one node's members, by what tells them apart. */
export const idsOf = (flowId: string, node: string): (member: string | number) => JobId => {
  const start = absorb(seed, `${flowId}/${node}/`)
  const instant = flowId.slice(0, 13)
  return (member) => {
    const [a, b, c] = absorb(start, String(member))
    const [x, y, z] = [spread(a), spread(b ^ spread(a)), spread(c ^ spread(b))]
    const variant = hex((0x8000 | (y >>> 18)) >>> 0, 4)
    return `${instant}-7${hex(x >>> 20, 3)}-${variant}-${hex(x & 0xfffff, 4)}${hex(z, 8)}` as JobId
  }
}

/** The one member of a node that is no list. */
export const only = "only"
