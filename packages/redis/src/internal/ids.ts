/**
 * Ids as the store keeps them: 22 characters instead of 36, in the same order. An id is in some four keys and lists at a
 * time, so this is a fifth of what a waiting record takes.
 */
import { JobRecord } from "capstan"

/** Base 64 whose characters are in the order of their codes. */
const alphabet = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"

/** The value of a hexadecimal digit by its character code; 255 of others. */
const digits = new Uint8Array(128).fill(255)
for (let i = 0; i < 16; i++) {
  digits[i.toString(16).charCodeAt(0)] = i
  digits[i.toString(16).toUpperCase().charCodeAt(0)] = i
}

/** Three digits are two characters. */
const pairs = Array.from({ length: 4096 }, (_, value) => alphabet[value >> 6]! + alphabet[value & 63]!)

/** The place of each digit in the text of a UUID. */
const places = [...Array(36).keys()].filter((i) => i !== 8 && i !== 13 && i !== 18 && i !== 23)

/** `undefined` when it is no UUID: such a record is not here. */
export const pack = (id: string): string | undefined => {
  if (id.length !== 36) return undefined
  let packed = ""
  for (let i = 0; i < 30; i += 3) {
    const a = digits[id.charCodeAt(places[i]!)]!
    const b = digits[id.charCodeAt(places[i + 1]!)]!
    const c = digits[id.charCodeAt(places[i + 2]!)]!
    if ((a | b | c) > 15) return undefined
    packed += pairs[(a << 8) | (b << 4) | c]!
  }
  const a = digits[id.charCodeAt(34)]!
  const b = digits[id.charCodeAt(35)]!
  return (a | b) > 15 ? undefined : packed + pairs[(a << 8) | (b << 4)]!
}

const values = new Uint8Array(128)
for (let i = 0; i < 64; i++) values[alphabet.charCodeAt(i)] = i

const triples = Array.from({ length: 4096 }, (_, value) => value.toString(16).padStart(3, "0"))

export const unpack = (packed: string): JobRecord.JobId => {
  let hex = ""
  for (let i = 0; i < 22; i += 2) {
    hex += triples[(values[packed.charCodeAt(i)]! << 6) | values[packed.charCodeAt(i + 1)]!]!
  }
  return JobRecord.JobId(
    `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20, 32)}`
  )
}
