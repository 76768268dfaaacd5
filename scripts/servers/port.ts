/** A free port of the loopback interface. */
import { randomInt } from "node:crypto"
import { createServer } from "node:net"

/**
 * Between 20000 and 30000: below the ports that systems give to outgoing connections (from 32768 on Linux, from 49152
 * elsewhere). A client that keeps trying while its server is down could be given the server's own port there, connect to
 * itself and keep the port. The standard ports, 5432 and 6379, are not among them.
 *
 * Free now may be taken a moment later: who starts a server tries another port when the server finds its own in use.
 */
export const freePort = async (): Promise<number> => {
  const port = randomInt(20_000, 30_000)
  return await isFree(port) ? port : freePort()
}

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once("error", () => resolve(false))
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)))
  })
