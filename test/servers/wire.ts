/** As much of the protocols of Postgres and Redis as shows what a server is and keeps. */
import { connect } from "node:net"

/** Sends bytes, of which the last end the session, and answers all that came back. */
const exchange = (port: number, request: Buffer): Promise<Buffer> =>
  new Promise((resolve, reject) => {
    const parts: Array<Buffer> = []
    const socket = connect(port, "127.0.0.1", () => socket.write(request))
    socket.on("data", (part) => parts.push(part))
    socket.on("error", reject)
    socket.on("end", () => resolve(Buffer.concat(parts)))
  })

/** Runs one statement without a password, and answers the first column of its rows. */
export const sql = async (port: number, statement: string): Promise<ReadonlyArray<string>> => {
  const startup = Buffer.from("\0\x03\0\0user\0postgres\0database\0postgres\0\0", "latin1")
  const length = Buffer.alloc(4)
  length.writeUInt32BE(startup.length + 4)
  const answer = await exchange(
    port,
    Buffer.concat([length, startup, message("Q", `${statement}\0`), message("X", "")])
  )
  const rows: Array<string> = []
  for (let at = 0; at < answer.length; at += 1 + answer.readUInt32BE(at + 1)) {
    const type = String.fromCharCode(answer[at]!)
    if (type === "E") throw new Error(answer.subarray(at + 5).toString().replaceAll("\0", " "))
    if (type === "D") rows.push(answer.subarray(at + 11, at + 11 + answer.readUInt32BE(at + 7)).toString())
  }
  return rows
}

const message = (type: string, body: string): Buffer => {
  const header = Buffer.alloc(5)
  header.write(type)
  header.writeUInt32BE(4 + Buffer.byteLength(body), 1)
  return Buffer.concat([header, Buffer.from(body)])
}

/** Runs one command and answers the lines of its reply. */
export const redis = async (port: number, command: string): Promise<ReadonlyArray<string>> => {
  const answer = await exchange(port, Buffer.from(`${command}\r\nQUIT\r\n`))
  return answer.toString().split("\r\n").slice(0, -2)
}
