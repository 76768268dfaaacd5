/** A network between a client and the test server, which a test can break. */
import { Effect, type Scope } from "effect"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import { url } from "./server.ts"

export interface Proxy {
  /** The server's address, by way of the proxy. */
  readonly url: string
  /** Once: passes on what a client sends with these characters in it, and cuts the connection in place of the reply. */
  readonly loseReplyOf: (text: string) => void
  /** Once: cuts the connection in place of passing on what has these characters in it. */
  readonly loseRequestOf: (text: string) => void
  /** How many replies and requests have been lost. */
  readonly lost: () => number
  /** Whether new connections are refused and old ones cut. */
  readonly setAway: (isAway: boolean) => void
  /**
   * From now on what is sent on the connections of now, either way, goes nowhere: they look alive. On all of them, or those
   * that have sent these characters.
   */
  readonly freeze: (text?: string) => void
}

interface Pair {
  readonly client: Socket
  readonly server: Socket
  sent: string
  isFrozen: boolean
  losesReply: boolean
}

export const open: Effect.Effect<Proxy, never, Scope.Scope> = Effect.acquireRelease(
  Effect.callback<Proxy & { readonly close: () => void }>((resume) => {
    const target = new URL(url())
    const pairs = new Set<Pair>()
    let reply: string | undefined
    let request: string | undefined
    let lost = 0
    let isAway = false

    const cut = (pair: Pair) => {
      pairs.delete(pair)
      pair.client.destroy()
      pair.server.destroy()
    }

    const fromClient = (pair: Pair, data: Buffer) => {
      if (pair.isFrozen) return
      pair.sent += data.toString("latin1")
      if (request !== undefined && data.includes(request)) {
        request = undefined
        lost++
        return cut(pair)
      }
      if (reply !== undefined && data.includes(reply)) {
        reply = undefined
        pair.losesReply = true
      }
      pair.server.write(data)
    }

    const fromServer = (pair: Pair, data: Buffer) => {
      if (pair.isFrozen) return
      if (!pair.losesReply) return void pair.client.write(data)
      lost++
      cut(pair)
    }

    const listener = createServer((client) => {
      if (isAway) return void client.destroy()
      const server = connect(Number(target.port), target.hostname)
      const pair: Pair = { client, server, sent: "", isFrozen: false, losesReply: false }
      pairs.add(pair)
      client.on("data", (data) => fromClient(pair, data))
      server.on("data", (data) => fromServer(pair, data))
      for (const socket of [client, server]) socket.on("error", () => cut(pair)).on("close", () => cut(pair))
    })

    listener.listen(0, "127.0.0.1", () => {
      const own = new URL(target)
      own.port = String((listener.address() as AddressInfo).port)
      resume(Effect.succeed({
        url: own.href,
        loseReplyOf: (text) => reply = text,
        loseRequestOf: (text) => request = text,
        lost: () => lost,
        setAway: (away) => {
          isAway = away
          if (away) { for (const pair of [...pairs]) cut(pair) }
        },
        freeze: (text = "") => {
          for (const pair of pairs) if (pair.sent.includes(text)) pair.isFrozen = true
        },
        close: () => {
          listener.close()
          for (const pair of [...pairs]) cut(pair)
        }
      }))
    })
  }),
  ({ close }) => Effect.sync(close)
)
