/**
 * What a store must give to be put through the faults: one file in `stores/`, by its name.
 */
import type { JobStore } from "capstan"
import type { Layer } from "effect"
import type { Bank } from "./jobs/bank.ts"

/** Where a process finds its store. */
export interface Address {
  readonly url: string
  /** One run's own schema or key prefix. */
  readonly namespace: string
  /** What its processes do without, where that is theirs and not the server's. */
  readonly without?: Safeguard | undefined
}

/** How a record stands in the end, read beside the seam. */
export interface Stored {
  readonly id: string
  readonly tag: string
  readonly payload: string
  readonly state: "waiting" | "running" | "completed" | "cancelled" | "dead"
  readonly result: string | undefined
  /** How many attempts it is charged with. */
  readonly attempt: number
  /** Its attempts that failed, in order: how, and how long they had it. */
  readonly failed: ReadonlyArray<{ readonly kind: string; readonly millis: number }>
  /** The deaths of workers that held it, in order: when it was taken from them, and whether it was charged with it. */
  readonly deaths: ReadonlyArray<{ readonly at: number; readonly charged: boolean }>
}

/** An attempt as stores keep it. */
export interface Ending {
  readonly startedAt: number
  readonly endedAt: number
  readonly failure?: { readonly kind: string } | undefined
}

export const failedOf = (attempts: ReadonlyArray<Ending>): Stored["failed"] =>
  attempts.flatMap(({ endedAt, failure, startedAt }) =>
    failure === undefined ? [] : [{ kind: failure.kind, millis: endedAt - startedAt }]
  )

/** What the negative controls take away from one run's namespace. */
export type Safeguard =
  | "commit"
  | "compatibility"
  | "fence"
  | "reconciling"
  | "replication"
  | "rescue"
  | "revision"
  | "slots"
  | "tidiness"
  | "uniqueness"

/** A part of what a server sends. */
export interface Piece {
  readonly bytes: Uint8Array
  /** It is the whole reply to a request whose work is committed, so that who loses it cannot know. */
  readonly isReply: boolean
}

/** Takes what arrives on one connection apart, in order and without a loss. What it keeps comes with a later call. */
export type Framing = () => (chunk: Uint8Array) => ReadonlyArray<Piece>

/** A server that the runner has started, and nobody else's. */
export interface Server {
  readonly described: string
  readonly port: number
  /** Its own, or that of a proxy before it. */
  readonly urlAt: (port: number) => string
  readonly crash: () => Promise<void>
  readonly restart: () => Promise<void>
  readonly stop: () => Promise<void>
  readonly prepare: (namespace: string) => Promise<void>
  /** Cuts the connections of workers and producers; answers how many. */
  readonly cut: () => Promise<number>
  /** Holds every answer back for so many milliseconds. */
  readonly pause?: (millis: number) => Promise<void>
  /** Puts the namespace where there is little room. */
  readonly confine?: (namespace: string) => Promise<void>
  /** Refuses every write that takes room, until `empty`. */
  readonly fill?: () => Promise<void>
  readonly empty?: () => Promise<void>
  /** The server is lost; from now on this is its standby, which reads only, on a port of its own. */
  readonly failOver?: () => Promise<void>
  /** The standby takes writes. */
  readonly promote?: () => Promise<void>
  /** What the accounts of a bank in the same database have. */
  readonly balances?: (namespace: string) => Promise<ReadonlyArray<number>>
  /** Opens a transaction; the answer ends it, and says how many milliseconds it has been open by the server's own clock. */
  readonly hold?: () => Promise<() => Promise<number>>
  /** What the namespace takes of the server, by what is counted: records and keys, bytes. */
  readonly sizes: (namespace: string) => Promise<Readonly<Record<string, number>>>
  /** How many records have not come to an end. */
  readonly unfinished: (namespace: string) => Promise<number>
  /** How many records are held by workers. */
  readonly running: (namespace: string) => Promise<number>
  /** One row per record and end: a record that ended twice is there twice. */
  readonly records: (namespace: string) => Promise<ReadonlyArray<Stored>>
  /** Takes it away from the namespace. A store whose processes do that themselves sees that there is something to take. */
  readonly without: (safeguard: Safeguard, namespace: string) => Promise<void>
  readonly drop: (namespace: string) => Promise<void>
}

export interface Store {
  readonly layer: (address: Address) => Layer.Layer<JobStore.JobStore | Bank, unknown>
  readonly framing: Framing
  /** Milliseconds from one cut of all connections to the next. */
  readonly cutEvery: number
  /** Milliseconds in which the first job starts after a black hole, whose connections stay silent. */
  readonly resumesIn: number
  /** What its servers can do beside what all can. */
  readonly abilities: ReadonlyArray<keyof Server>
  /** Servers that it can start beside the usual one, for the faults that need one of their own. */
  readonly special: ReadonlyArray<Special>
  readonly start: (special?: Special) => Promise<Server>
}

/** `little room`: it can be filled. `standby`: another server follows it. */
export type Special = "little room" | "standby"

export const stores = ["pg", "redis"] as const

export const loadStore = async (name: string): Promise<Store> => {
  const { store }: { readonly store: Store } = await import(`./stores/${name}.ts`)
  return store
}
