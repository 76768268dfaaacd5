/**
 * Choices that depend on the seed and on what they are made for, and on nothing else: not on the order of events.
 */
import { createHash } from "node:crypto"

/** From 0 up to 1. */
export const chance = (seed: number, ...what: ReadonlyArray<string | number>): number =>
  createHash("sha256").update([seed, ...what].join("\n")).digest().readUInt32BE(0) / 2 ** 32

/** A delivery id, as GitHub makes them. */
export const deliveryId = (seed: number, n: number): string => {
  const hex = createHash("sha256").update(`delivery\n${seed}\n${n}`).digest("hex")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
