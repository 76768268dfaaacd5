/** The example's programs as processes. */
import { type ChildProcess, spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const path = (name: string) => fileURLToPath(new URL(`../${name}`, import.meta.url))

const running = new Set<ChildProcess>()

/** Programs of the example on this server, each with its lines of output. */
export const programs = (url: string) => (name: string, env: Readonly<Record<string, string>> = {}) => {
  const child = spawn(process.execPath, ["--conditions=@capstan/source", path(name)], {
    env: { ...process.env, ORDERS_URL: url, PORT: "0", ...env },
    stdio: ["ignore", "pipe", "pipe"]
  })
  running.add(child)
  const lines: Array<string> = []
  const waiting = new Set<() => void>()
  const tell = () => {
    for (const look of waiting) look()
  }
  const hear = (line: string) => {
    lines.push(line)
    tell()
  }
  createInterface({ input: child.stdout }).on("line", hear)
  createInterface({ input: child.stderr }).on("line", hear)
  const exited = new Promise<number | null>((resolve) => {
    child.once("close", (code) => {
      running.delete(child)
      resolve(code)
      tell()
    })
  })
  /** The lines that match, once there are so many. */
  const said = (pattern: RegExp, count = 1) =>
    new Promise<ReadonlyArray<string>>((resolve, reject) => {
      const look = () => {
        const found = lines.filter((line) => pattern.test(line))
        if (found.length >= count) resolve(found)
        else if (running.has(child)) return
        else reject(new Error(`${name} ended without ${pattern}:\n${lines.join("\n")}`))
        waiting.delete(look)
      }
      waiting.add(look)
      look()
    })
  return { lines, said, exited, kill: (signal: NodeJS.Signals) => child.kill(signal) }
}

export const pay = async (web: string, n: number, email: string) => {
  const { status } = await fetch(`${web}/payments`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ paymentId: `pay-${n}`, order: { orderId: `order-${n}`, email, cents: 1000 } })
  })
  return status
}

/** Ends those that run. */
export const endAll = (): void => {
  for (const child of running) child.kill("SIGKILL")
}

/** What the program says that has web and worker in one process, but for its log. */
export const shop: ReadonlyArray<string> = [
  "announced twice, shipped once: true",
  "shipped as P-order-0",
  "shipped as P-order-1",
  "not shipped: carrier refused: the customer is on a list",
  "shipped as P-order-3",
  "orders: 4",
  "dead: UpdateCrm, ShipOrder, SendInvoice",
  "third parties did 12 things"
]
