/**
 * The protocol of Redis, as far as an operator's command and a proxy need it: RESP2, and the lengths of RESP3.
 *
 * Tests, fault runs and the cluster's set-up look into a server with it, beside the client that is under test.
 */
import { connect } from "node:net"

/** What a command answers: an error is thrown as `ReplyError`. */
export type Reply = string | number | null | ReadonlyArray<Reply>

/** The server said no. */
export class ReplyError extends Error {
  override readonly name = "ReplyError"
}

/** Sends one command on a connection of its own, and answers its reply. */
export const command = (port: number, ...args: ReadonlyArray<string | number>): Promise<Reply> =>
  new Promise((resolve, reject) => {
    let bytes = Buffer.alloc(0)
    const socket = connect(port, "127.0.0.1", () => socket.write(encode(args)))
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, Buffer.from(chunk)])
      if (endOfReply(bytes, 0) === undefined) return
      socket.end()
      const { value } = decode(bytes, 0)
      if (value instanceof ReplyError) reject(value)
      else resolve(value)
    })
    socket.on("error", reject)
    socket.on("close", () => reject(new Error(`${args[0]}: the server closed the connection`)))
  })

const encode = (args: ReadonlyArray<string | number>): Buffer =>
  Buffer.from(
    `*${args.length}\r\n${args.map((arg) => `$${Buffer.byteLength(String(arg))}\r\n${arg}\r\n`).join("")}`
  )

const letter = (bytes: Uint8Array, at: number): string => String.fromCharCode(bytes[at]!)

const endOfLine = (bytes: Uint8Array, at: number): number | undefined => {
  const cr = bytes.indexOf(13, at)
  return cr === -1 || cr + 1 >= bytes.length ? undefined : cr + 2
}

const numberAt = (bytes: Uint8Array, at: number): number =>
  Number(String.fromCharCode(...bytes.subarray(at, bytes.indexOf(13, at))))

/** Where the reply that begins here ends, and `undefined` while a part of it is missing. */
export const endOfReply = (bytes: Uint8Array, at: number): number | undefined => {
  const line = endOfLine(bytes, at)
  if (line === undefined) return undefined
  const type = letter(bytes, at)
  // A blob: its length counts bytes.
  if ("$!=".includes(type)) {
    const length = numberAt(bytes, at + 1)
    const end = length < 0 ? line : line + length + 2
    return end > bytes.length ? undefined : end
  }
  // A list, a set, a push; a map has two values an entry, an attribute the reply after it too.
  if (!"*~>%|".includes(type)) return line
  const count = numberAt(bytes, at + 1) * ("%|".includes(type) ? 2 : 1) + (type === "|" ? 1 : 0)
  let end: number | undefined = line
  for (let i = 0; i < count && end !== undefined; i++) end = endOfReply(bytes, end)
  return end
}

const decode = (bytes: Buffer, at: number): { readonly value: Reply | ReplyError; readonly end: number } => {
  const line = endOfLine(bytes, at)!
  const text = bytes.toString("utf8", at + 1, line - 2)
  switch (letter(bytes, at)) {
    case ":":
      return { value: Number(text), end: line }
    case "-":
      return { value: new ReplyError(text), end: line }
    case "$": {
      const end = line + Number(text)
      return text === "-1" ? { value: null, end: line } : { value: bytes.toString("utf8", line, end), end: end + 2 }
    }
    case "*": {
      if (text === "-1") return { value: null, end: line }
      const values: Array<Reply> = []
      let end = line
      for (let i = 0; i < Number(text); i++) {
        const item = decode(bytes, end)
        values.push(item.value instanceof ReplyError ? item.value.message : item.value)
        end = item.end
      }
      return { value: values, end }
    }
    default:
      return { value: text, end: line }
  }
}
