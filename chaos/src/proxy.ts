/**
 * A TCP proxy between processes and their server, which does what networks do.
 *
 * - `loseReplies`: a connection breaks after the server has committed a request and before a byte of its reply arrives.
 * - `hole`: nothing arrives any more, and nobody is told. When it heals, connections that were opened meanwhile come up, as
 *   TCP sends their first packets again. Those from before it stay open and silent for ever, as when a middlebox has
 *   forgotten them: half-open.
 */
import { connect as connectTo, createServer, type Server, type Socket } from "node:net"
import type { Choices } from "./choices.ts"
import type { Framing } from "./store.ts"

export class Proxy {
  /** How often it struck. */
  readonly counts = { lost: 0, halfOpen: 0, late: 0 }
  private readonly links = new Set<Link>()
  private readonly listener: Server
  private readonly framing: Framing
  private to: number
  isOpen = true
  /** The probability that a reply is lost, and who decides. */
  private losing: { readonly probability: number; readonly choices: Choices } | undefined

  private constructor(listener: Server, target: number, framing: Framing) {
    this.listener = listener
    this.to = target
    this.framing = framing
    listener.on("connection", (client) => this.links.add(new Link(this, client, this.framing)))
  }

  static start(target: number, framing: Framing): Promise<Proxy> {
    return new Promise((resolve, reject) => {
      const listener = createServer()
      listener.once("error", reject)
      listener.listen(0, "127.0.0.1", () => resolve(new Proxy(listener, target, framing)))
    })
  }

  get port(): number {
    const address = this.listener.address()
    if (address === null || typeof address === "string") throw new Error("the proxy does not listen")
    return address.port
  }

  /** The port that connections go to. */
  get target(): number {
    return this.to
  }

  /** Connections go elsewhere from now on; those that there are break. */
  moveTo(port: number): void {
    this.to = port
    for (const link of this.links) link.close()
  }

  loseReplies(probability: number, choices: Choices): void {
    this.losing = { probability, choices }
  }

  keepReplies(): void {
    this.losing = undefined
  }

  /** Whether the next reply is lost. */
  get losesNext(): boolean {
    return this.losing !== undefined && this.losing.choices.chance(this.losing.probability)
  }

  hole(): void {
    this.isOpen = false
    for (const link of this.links) if (link.silence()) this.counts.halfOpen++
  }

  heal(): void {
    this.isOpen = true
    for (const link of this.links) if (link.open()) this.counts.late++
  }

  forget(link: Link): void {
    this.links.delete(link)
  }

  async stop(): Promise<void> {
    for (const link of this.links) link.close()
    await new Promise<void>((resolve) => this.listener.close(() => resolve()))
  }
}

/** One connection through the proxy. */
class Link {
  private readonly proxy: Proxy
  private readonly client: Socket
  private readonly framing: Framing
  private server: Socket | undefined
  private isSilent = false
  private early: Array<Uint8Array> = []

  constructor(proxy: Proxy, client: Socket, framing: Framing) {
    this.proxy = proxy
    this.client = client
    this.framing = framing
    client.setNoDelay(true)
    client.on("data", (chunk) => this.fromClient(chunk))
    client.on("error", () => {})
    client.on("close", () => this.close())
    this.open()
  }

  /** Connects to the server, unless it has or may not. Answers whether it did. */
  open(): boolean {
    if (!this.proxy.isOpen || this.server !== undefined || this.client.destroyed) return false
    const take = this.framing()
    const server = connectTo({ host: "127.0.0.1", port: this.proxy.target, noDelay: true })
    this.server = server
    server.on("data", (chunk) => this.fromServer(take(chunk)))
    server.on("error", () => {})
    server.on("close", () => {
      // A half-open connection hears nothing, not even of its end.
      if (!this.isSilent) this.close()
    })
    for (const chunk of this.early) server.write(chunk)
    this.early = []
    return true
  }

  /** Answers whether it was up. */
  silence(): boolean {
    if (this.server === undefined || this.isSilent) return false
    this.isSilent = true
    return true
  }

  private fromClient(chunk: Uint8Array): void {
    if (this.isSilent) return
    if (this.server === undefined) this.early.push(chunk)
    else this.server.write(chunk)
  }

  private fromServer(pieces: ReturnType<ReturnType<Framing>>): void {
    for (const { bytes, isReply } of pieces) {
      if (this.isSilent || this.client.destroyed) return
      if (isReply && this.proxy.losesNext) {
        this.proxy.counts.lost++
        return this.close()
      }
      this.client.write(bytes)
    }
  }

  close(): void {
    this.client.destroy()
    this.server?.destroy()
    this.proxy.forget(this)
  }
}
