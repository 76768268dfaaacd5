/** Secrets that callers send as bearer tokens, compared in constant time. */
import * as Mac from "effect/crypto/Mac"
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import * as Redacted from "effect/Redacted"

const shortest = 16
const text = new TextEncoder()

/** A secret that can be guessed throws: `what` it is of begins the sentence. */
export const bytesOf = (secret: Redacted.Redacted, what: string): Uint8Array => {
  const bytes = text.encode(Redacted.value(secret))
  if (bytes.length < shortest) throw new Error(`${what} has less than ${shortest} characters: make a longer one`)
  return bytes
}

/** What the request sends; nothing where it sends none. */
export const sentBy = (request: HttpServerRequest.HttpServerRequest): Uint8Array =>
  text.encode(/^bearer +(.+)$/i.exec(request.headers["authorization"] ?? "")?.[1] ?? "")

export const isSame: (a: Uint8Array, b: Uint8Array) => boolean = Mac.timingSafeEqual
