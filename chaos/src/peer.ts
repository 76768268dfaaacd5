/** What another system must give to be put under the same faults, beside ours: one file in `benchmarks/faults/`, by its name. */

/** Where a process finds it: a server, and a schema or a prefix of its own. */
export interface PeerAddress {
  readonly url: string
  readonly namespace: string
}

/** What is enqueued. */
export interface PeerWork {
  readonly n: number
  readonly millis: number
  /** Its process is frozen at its end, for so many seconds. */
  readonly frozen?: number
}

/** An attempt; `fence` counts those of its record. */
export interface PeerAttempt extends PeerWork {
  readonly id: string
  readonly fence: number
}

/** A process of it. */
export interface PeerClient {
  /** Answers the id. */
  readonly enqueue: (work: PeerWork) => Promise<string>
  /** Resolves when it works. */
  readonly work: (concurrency: number, handler: (attempt: PeerAttempt) => Promise<void>) => Promise<void>
}

/** A record in the end. */
export interface PeerRecord {
  readonly id: string
  readonly n: number
  readonly state: "waiting" | "running" | "completed" | "dead"
  /** When the server took its completion, in milliseconds of this machine's wall clock. */
  readonly completedAt: number | undefined
}

export interface PeerObserver {
  /** How many records have not come to an end. */
  readonly unfinished: () => Promise<number>
  readonly records: () => Promise<ReadonlyArray<PeerRecord>>
  /** Runs again, as an operator would, what the system does not run by itself; answers how many. */
  readonly revive: () => Promise<number>
  readonly close: () => Promise<void>
}

export interface Peer {
  /** Milliseconds after which it takes a record from a worker that is gone; none when that is longer than any run. */
  readonly lease: number | undefined
  /** What it is set to, beside its defaults. */
  readonly settings: string
  readonly prepare: (address: PeerAddress) => Promise<void>
  readonly client: (address: PeerAddress) => Promise<PeerClient>
  readonly observe: (address: PeerAddress) => Promise<PeerObserver>
}

export const peers: Readonly<Record<string, ReadonlyArray<string>>> = {
  pg: ["pg-boss", "graphile-worker"],
  redis: ["bullmq"]
}

/** The faults that they are put under. */
export const peerFaults: ReadonlySet<string> = new Set(["F1", "F3", "F6"])

export const peerFolder = new URL("../../benchmarks/faults/", import.meta.url)

export const loadPeer = async (name: string): Promise<Peer> => {
  const { peer }: { readonly peer: Peer } = await import(new URL(`${name}.ts`, peerFolder).href)
  return peer
}
