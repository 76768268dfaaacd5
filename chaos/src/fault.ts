/** What a fault is, and how a run of it is judged. */
import { setTimeout as sleep } from "node:timers/promises"
import { type Findings, quantiles } from "./audit.ts"
import type { Choices } from "./choices.ts"
import type { Cluster } from "./cluster.ts"
import { type Entry, now } from "./ledger.ts"
import type { Proxy } from "./proxy.ts"
import type { Safeguard, Server, Special, Store, Stored } from "./store.ts"

export interface Fault {
  /** Its number in the table of the proof. */
  readonly id: string
  readonly title: string
  /** Its handlers sleep and its processes stay: `--quick` runs such faults at the same time. */
  readonly isCalm?: boolean
  /** `--quick` leaves it out, on all stores or on these. */
  readonly isLong?: boolean | ReadonlyArray<string>
  /** What a server must be able to do. @default nothing else than every server does */
  readonly needs?: keyof Server
  /** The server of its own that it needs. @default that of all faults */
  readonly special?: Special
  /** How many times as long as others it takes, unless it is told otherwise. @default 1 */
  readonly span?: number
  /** The store may have swept finished records by the end: the ledger says what was done. */
  readonly isSwept?: boolean
  /** Every other process is one of the release before. */
  readonly isMixed?: boolean
  /** Starts the processes and strikes. Returns when the last blow has fallen. */
  readonly strike: (stage: Stage) => Promise<void>
  /** Looks at what else than records there is, when everything has come to rest. */
  readonly look?: (sight: Sight) => Promise<void>
  /** What it alone is judged by, beside `common`. */
  readonly judge: (run: Run) => ReadonlyArray<Line>
  readonly control?: Control
}

/** The same again without a safeguard. An audit that finds nothing then is no evidence. */
export interface Control {
  readonly without: Safeguard
  /** What must be found. */
  readonly red: (run: Run) => Line
  /** The part of the run's time that it takes. @default 1 */
  readonly share?: number
  /** After the run instead of beside it, and left out by `--quick`. */
  readonly isApart?: boolean
}

export interface Stage {
  readonly cluster: Cluster
  readonly choices: Choices
  /** Of the workers, in milliseconds: how long a system takes at least to see that one of them is gone. */
  readonly lease: number
  /** How long it strikes. */
  readonly seconds: number
  readonly store: Pick<Store, "cutEvery" | "resumesIn">
  readonly proxy: () => Promise<Proxy>
  /** How often something struck that the ledger does not say. */
  readonly struck: (what: string, times: number) => void
  /** What was seen while it struck, for the judge. */
  readonly saw: (what: string, value: number) => void
}

export interface Sight extends Pick<Stage, "saw"> {
  readonly server: Server
  readonly namespace: string
}

/** What is known when everything has come to rest. */
export interface Run {
  /** It measures nothing: what is to be done in time has more of it. */
  readonly isQuick: boolean
  readonly resumesIn: number
  readonly findings: Findings
  readonly entries: ReadonlyArray<Entry>
  readonly stored: ReadonlyArray<Stored>
  readonly seen: ReadonlyMap<string, ReadonlyArray<number>>
  /** Records that came to no end. */
  readonly stuck: number
  /** Records that were dead for too many deaths of workers that they had no part in, and were run again by hand. */
  readonly replayed: number
  /** Producers whose enqueues came to no end. */
  readonly wedged: ReadonlyArray<string>
  readonly complaints: ReadonlyArray<string>
  /** How long it took, until it had come to rest and was looked at. */
  readonly seconds: number
}

/** A pass line, with what was found. */
export interface Line {
  readonly what: string
  readonly holds: boolean
}

export const line = (what: string, holds: boolean): Line => ({ what, holds })

export const none = (what: string, found: ReadonlyArray<string>): Line =>
  line(`${what} ${found.length}${found.length > 0 ? `: ${found.slice(0, 3).join(", ")}` : ""}`, found.length === 0)

/** What holds under every fault. */
export const common = ({ complaints, findings, stuck, wedged }: Run): ReadonlyArray<Line> => [
  line(`acknowledged ${findings.acknowledged}`, findings.acknowledged > 0),
  none("lost", findings.lost),
  none("unexpected", findings.unexpected),
  none("done twice", findings.doneTwice),
  none("ghost", findings.ghost),
  line(`stale writes accepted ${findings.stale.accepted}`, findings.stale.accepted === 0),
  line(`stuck ${stuck}`, stuck === 0),
  none("wedged", wedged),
  none("processes that ended by themselves", complaints)
]

/** A fault that did not strike shows nothing. */
export const strikes = ({ findings }: Run, ...faults: ReadonlyArray<string>): ReadonlyArray<Line> =>
  faults.map((fault) => line(`${fault} ${findings.struck.get(fault) ?? 0}`, (findings.struck.get(fault) ?? 0) > 0))

export const rescuedWithin = ({ findings: { rescue } }: Run, millis: number): Line =>
  line(`taken from the dead in at most ${millis / 1000} s`, rescue.length > 0 && quantiles(rescue).max! <= millis)

/** Milliseconds from each such fault to the first attempt that begins after it, by one process or by any. */
export const firstStarts = ({ entries }: Run, fault: string, by?: string): ReadonlyArray<number> => {
  const starts = entries.filter((entry) => entry.kind === "start" && (by === undefined || entry.by === by))
  return entries.filter(({ kind, word }) => kind === "fault" && word === fault)
    .map(({ at }) => (starts.find((start) => start.at > at)?.at ?? Infinity) - at)
}

/** Strikes at a steady pace for so long; a blow that takes longer than the pace delays the next one. */
export const every = async (millis: number, seconds: number, blow: () => Promise<void>): Promise<void> => {
  const end = now() + seconds * 1000
  for (let next = now() + millis; next <= end; next = Math.max(next + millis, now())) {
    await sleep(Math.max(0, next - now()))
    await blow()
  }
}
