/**
 * GitHub's signature of a delivery: an HMAC of its body, compared in constant time.
 */
import { createHmac, timingSafeEqual } from "node:crypto"

export const secret = "it is a secret to everybody"

export const sign = (body: string, key = secret): string =>
  `sha256=${createHmac("sha256", key).update(body).digest("hex")}`

export const isSigned = (body: string, signature: string): boolean => {
  const expected = Buffer.from(sign(body))
  const given = Buffer.from(signature)
  return given.length === expected.length && timingSafeEqual(given, expected)
}
