/** The tenants' servers, on a port of this machine: what they answer, and what they saw. */
import { Effect } from "effect"
import { createServer, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"

class Seen {
  delivered = 0
  refused = 0
  running = 0
  most = 0
  /** When calls came, in milliseconds. */
  readonly at: Array<number> = []
}

export class Receivers {
  readonly seen = new Map<string, Seen>()
  port = 0

  of(tenant: string): Seen {
    let seen = this.seen.get(tenant)
    if (seen === undefined) this.seen.set(tenant, seen = new Seen())
    return seen
  }

  url(tenant: string, endpoint: string): string {
    return `http://127.0.0.1:${this.port}/${tenant}/${endpoint}`
  }

  answer(tenant: string, response: ServerResponse): void {
    const seen = this.of(tenant)
    const now = performance.now()
    seen.at.push(now)
    seen.running++
    seen.most = Math.max(seen.most, seen.running)
    const end = (status: number, headers = {}) => {
      seen.running--
      if (status === 200) seen.delivered++
      else seen.refused++
      response.writeHead(status, headers).end()
    }
    if (tenant === "busy" && seen.at.length === 1) end(429, { "retry-after": "1" })
    else if (tenant === "down" && now - seen.at[0]! < 1200) end(503)
    else setTimeout(() => end(200), 10)
  }
}

export const listen = Effect.acquireRelease(
  Effect.callback<{ readonly receivers: Receivers; readonly close: Effect.Effect<void> }>((resume) => {
    const receivers = new Receivers()
    const server = createServer((request, response) => {
      request.resume()
      request.on("end", () => receivers.answer(request.url!.split("/")[1]!, response))
    })
    server.listen(0, "127.0.0.1", () => {
      receivers.port = (server.address() as AddressInfo).port
      const close = Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
      resume(Effect.succeed({ receivers, close }))
    })
  }),
  ({ close }) => close
).pipe(Effect.map(({ receivers }) => receivers))
