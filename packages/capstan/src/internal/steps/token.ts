/**
 * A text that completes one waitpoint of one record: what it is for, and an HMAC-SHA-256 over that (RFC 2104), both in
 * base64url. Nothing of it is secret; without the secret nobody can make one.
 */
import * as Effect from "effect/Effect"

/** What a token is for. */
export interface Claim {
  readonly id: string
  readonly waitpoint: string
  /** Epoch milliseconds. */
  readonly expiresAt: number
}

interface Web {
  readonly crypto: {
    readonly subtle: {
      readonly importKey: (
        format: "raw",
        bytes: Uint8Array,
        algorithm: { readonly name: "HMAC"; readonly hash: "SHA-256" },
        isExtractable: false,
        usages: ReadonlyArray<"sign" | "verify">
      ) => Promise<unknown>
      readonly sign: (name: "HMAC", key: unknown, bytes: Uint8Array) => Promise<ArrayBuffer>
      readonly verify: (name: "HMAC", key: unknown, mac: Uint8Array, bytes: Uint8Array) => Promise<boolean>
    }
  }
  readonly TextEncoder: new() => { readonly encode: (text: string) => Uint8Array }
  readonly TextDecoder: new() => { readonly decode: (bytes: Uint8Array) => string }
  readonly btoa: (binary: string) => string
  readonly atob: (text: string) => string
}

// Every runtime has these, and core is compiled without the types of any. Effect's `Mac` is marked unstable, and core takes
// any release of effect 4.
const web = globalThis as unknown as Web

const shortest = 32

// Web Crypto answers with promises. Its `verify` compares in constant time.
const keyOf = (secret: string) =>
  secret.length < shortest
    ? Effect.die(new Error(`the secret of a waitpoint's tokens must have at least ${shortest} characters`))
    : Effect.promise(() =>
      web.crypto.subtle.importKey("raw", utf8(secret), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"])
    )

const utf8 = (text: string): Uint8Array => new web.TextEncoder().encode(text)

export const sign = (secret: string, { expiresAt, id, waitpoint }: Claim): Effect.Effect<string> =>
  Effect.gen(function*() {
    const body = utf8(JSON.stringify([id, waitpoint, expiresAt]))
    const key = yield* keyOf(secret)
    const mac = yield* Effect.promise(() => web.crypto.subtle.sign("HMAC", key, body))
    return `${toBase64Url(body)}.${toBase64Url(new Uint8Array(mac))}`
  })

/** The claim of a token, or what is wrong with it. Its signature is checked before anything of it is read. */
export const verify = (secret: string, token: string): Effect.Effect<Claim | "Malformed" | "Forged"> =>
  Effect.gen(function*() {
    const parts = token.split(".")
    const [body, mac] = parts.map(fromBase64Url)
    if (parts.length !== 2 || body === undefined || mac === undefined) return "Malformed"
    const key = yield* keyOf(secret)
    const isSigned = yield* Effect.promise(() => web.crypto.subtle.verify("HMAC", key, mac, body))
    if (!isSigned) return "Forged"
    return claimOf(new web.TextDecoder().decode(body))
  })

/** Signed, so it is what `sign` made; a secret that signs other things too is what this is for. */
const claimOf = (text: string): Claim | "Malformed" => {
  try {
    const [id, waitpoint, expiresAt]: ReadonlyArray<unknown> = JSON.parse(text)
    return typeof id === "string" && typeof waitpoint === "string" && typeof expiresAt === "number"
      ? { id, waitpoint, expiresAt }
      : "Malformed"
  } catch {
    return "Malformed"
  }
}

const toBase64Url = (bytes: Uint8Array): string =>
  web.btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")

const fromBase64Url = (text: string): Uint8Array | undefined => {
  if (!/^[\w-]+$/.test(text)) return undefined
  try {
    return Uint8Array.from(
      web.atob(text.replaceAll("-", "+").replaceAll("_", "/")),
      (character) => character.charCodeAt(0)
    )
  } catch {
    return undefined
  }
}
