/**
 * Limits of queues and of keys.
 *
 * Guarantee: a claim alone takes a token, by the store's clock, so a rate holds for starts however long ago a record became
 * ready (P7). No more records of a key are ready than could start now: the others wait in the key's own heap, out of the
 * way of all other keys, and the next one is admitted when a slot is freed or a token is there.
 */
import { holding, spaceOf } from "../../internal/limit.ts"
import type { KeyRow, KeysRequest, LimitChange, LimitRow, LimitSettings } from "../../StoreLimits.ts"
import type { Outcome } from "../../StoreWork.ts"
import { emptyUntil, nextAt, size, taken, tokens } from "./bucket.ts"
import { byTurn, Heap, type Seated } from "./heap.ts"
import type { Home, Row } from "./row.ts"
import type { MemoryState } from "./state.ts"

/** How many keys are looked at in one call, and how many records of each are admitted; the rest in the next, at once. */
const chunk = 1000

/** One limit, and when the bucket of its queue is full again. */
export class Limit implements LimitRow {
  readonly name: string
  release = -1
  proposed: LimitSettings = {}
  override: LimitSettings | undefined = undefined
  holds: LimitSettings = {}
  /** The keys of its space that are known. */
  readonly keys = new Map<string, KeyState>()

  constructor(name: string) {
    this.name = name
  }

  /** Before anybody has proposed or set it, the limit holds that each record carries. */
  get isKnown(): boolean {
    return this.release >= 0 || this.override !== undefined
  }
}

/** What limits starts by the clock: a bucket, and an instant before which nothing starts. */
export class Gate {
  fullAt = 0
  closedUntil = 0

  /** How many may start now. */
  open(settings: LimitSettings, now: number): number {
    const { rate } = settings
    if (rate !== undefined) this.fullAt = Math.min(this.fullAt, emptyUntil(rate, now))
    if (now < this.closedUntil) return 0
    return rate === undefined ? Infinity : tokens(rate, this.fullAt, now)
  }

  take(settings: LimitSettings, now: number): void {
    if (settings.rate !== undefined) this.fullAt = taken(settings.rate, this.fullAt, now)
  }

  /** When `count` may start. */
  opensAt(settings: LimitSettings, count: number): number {
    return Math.max(this.closedUntil, settings.rate === undefined ? 0 : nextAt(settings.rate, this.fullAt, count))
  }

  isForgettable(now: number): boolean {
    return now >= this.closedUntil && now >= this.fullAt
  }
}

/** One key: who holds its slots, and who waits for its turn. */
export class KeyState implements Seated<KeyState> {
  readonly name: string
  /** Of the space that it belongs to; `undefined` for a key of one job. */
  readonly space: Limit | undefined
  /** The limit that its records were enqueued with. */
  stamped = 1
  /** Records that may start or run. */
  used = 0
  /** Those of them that may start. */
  ready = 0
  readonly waiting = new Heap<Row>(byTurn)
  readonly gate = new Gate()
  /** Attempts that failed one after the other. */
  failed = 0
  /** When its next record may start, while one waits for that. */
  at = 0
  home: Home<KeyState> | undefined = undefined
  index = -1

  constructor(name: string, space: Limit | undefined) {
    this.name = name
    this.space = space
  }

  get slots(): number {
    const { failed, space, stamped } = this
    if (space === undefined || !space.isKnown) return stamped
    const { breaker, concurrency = Infinity } = space.holds
    // Half open, when its instant has come: one probes.
    return breaker !== undefined && failed >= breaker.consecutive ? Math.min(1, concurrency) : concurrency
  }

  get burst(): number {
    const rate = this.space?.holds.rate
    return rate === undefined ? Infinity : size(rate)
  }

  /** Whether one more of its records may become ready. */
  admits(now: number): boolean {
    if (this.used >= this.slots) return false
    return this.space === undefined || this.gate.open(this.space.holds, now) > this.ready
  }

  /** Whether a ready one may start: settings may be others than when it became ready. */
  starts(now: number): boolean {
    return this.space === undefined ||
      this.used - this.ready < this.slots && this.gate.open(this.space.holds, now) > 0
  }
}

/** All limits and keys of a store. */
export class Limits {
  readonly all = new Map<string, Limit>()
  /** Keys of jobs, and of spaces, by name. */
  readonly keys = new Map<string, KeyState>()
  /** Keys whose next record waits for an instant. */
  readonly agenda = new Heap<KeyState>((a, b) => a.at < b.at || (a.at === b.at && a.name < b.name))
  /** How many keys are known before those that say nothing any more are looked for. */
  private bound = 1000

  limit(name: string): Limit {
    let limit = this.all.get(name)
    if (limit === undefined) this.all.set(name, limit = new Limit(name))
    return limit
  }

  isFair(key: string): boolean {
    const space = spaceOf(key)
    return space !== undefined && this.limit(space).holds.order === "fair"
  }

  key(name: string, now: number): KeyState {
    const found = this.keys.get(name)
    if (found !== undefined) return found
    if (this.keys.size >= this.bound) this.forgetIdle(now)
    const space = spaceOf(name)
    const key = new KeyState(name, space === undefined ? undefined : this.limit(space))
    this.keys.set(name, key)
    key.space?.keys.set(name, key)
    return key
  }

  /** A key of a job goes with its last record; one of a space when its bucket is full. */
  leave(key: KeyState, now: number): void {
    if (key.used > 0 || key.waiting.size > 0 || key.failed > 0 || !key.gate.isForgettable(now)) return
    this.keys.delete(key.name)
    key.space?.keys.delete(key.name)
  }

  private forgetIdle(now: number): void {
    for (const key of this.keys.values()) this.leave(key, now)
    this.bound = Math.max(1000, 2 * this.keys.size)
  }
}

/** Lets the next records of a key become ready, and sees to it that the others are when their instant comes. */
export const fill = (state: MemoryState, key: KeyState, now: number): void => {
  for (let i = 0; i < chunk && key.admits(now); i++) {
    const next = key.waiting.pop()
    if (next === undefined) break
    state.admit(next, "unblock", now)
  }
  watch(state, key, now)
}

/** Puts a key on the agenda while a record of it waits for nothing but an instant. */
export const watch = (state: MemoryState, key: KeyState, now: number): void => {
  const { agenda } = state.limits
  if (key.home !== undefined) agenda.remove(key)
  if (key.waiting.size === 0) return state.limits.leave(key, now)
  // No instant lets one more start while its slots, or all of a burst, are taken: the next claim or end does.
  if (key.used >= key.slots || key.ready >= key.burst) return
  key.at = key.admits(now) ? now : key.gate.opensAt(key.space?.holds ?? {}, key.ready + 1)
  agenda.push(key)
  // Whoever sleeps knows of a later one.
  if (agenda.peek() === key) state.hints.keyLater(key.at)
}

/** Admits records of keys whose instant has come. */
export const admitDue = (state: MemoryState, now: number): void => {
  const { agenda } = state.limits
  for (let i = 0; i < chunk; i++) {
    const key = agenda.peek()
    if (key === undefined || key.at > now) return
    fill(state, key, now)
  }
}

/** Takes the token of a ready row of a space; answers false when the row is to wait after all, and lets it wait. */
export const start = (state: MemoryState, row: Row, now: number): boolean => {
  const key = state.limits.key(row.spec.concurrency!.key, now)
  if (key.starts(now)) {
    key.ready--
    if (key.space !== undefined) key.gate.take(key.space.holds, now)
    if (key.waiting.size > 0) watch(state, key, now)
    return true
  }
  key.ready--
  key.used--
  row.admitted = false
  state.block(row, "hold", "ConcurrencyKey", key.name)
  key.waiting.push(row)
  watch(state, key, now)
  return false
}

/** An attempt of a key has ended: its circuit breaker counts failures in a row. What ends while it is open counts for nothing. */
export const ended = (state: MemoryState, row: Row, outcome: Outcome, now: number): void => {
  const key = state.limits.key(row.spec.concurrency!.key, now)
  const breaker = key.space?.holds.breaker
  if (breaker === undefined || now < key.gate.closedUntil) return
  if (outcome._tag === "Complete") key.failed = 0
  else if (isFailure(outcome)) {
    key.failed++
    if (key.failed >= breaker.consecutive) key.gate.closedUntil = now + breaker.openMillis
  }
}

const isFailure = (outcome: Outcome): boolean =>
  outcome._tag === "RetryAfter" ? outcome.uncharged !== true : outcome._tag === "Dead" && outcome.failure !== undefined

/** Whether there is something to close: a key of one job alone has no limit but that of its records. */
export const closes = (row: Row, what: "key" | "queue" | undefined): boolean =>
  what === "queue" || (what === "key" && spaceOf(row.spec.concurrency?.key ?? "") !== undefined)

/** Nothing of a key, or of a queue, starts for so long. */
export const close = (state: MemoryState, row: Row, what: "key" | "queue", millis: number, now: number): void => {
  const until = now + Math.ceil(millis)
  if (what === "queue") {
    row.queue.gate.closedUntil = Math.max(row.queue.gate.closedUntil, until)
    return
  }
  const key = state.limits.key(row.spec.concurrency!.key, now)
  key.gate.closedUntil = Math.max(key.gate.closedUntil, until)
  watch(state, key, now)
}

export const change = (
  state: MemoryState,
  changes: ReadonlyArray<LimitChange>,
  now: number
): ReadonlyArray<LimitRow> => {
  for (const change of changes) {
    const limit = state.limits.limit(change.name)
    if (change._tag === "Override") limit.override = change.settings
    else if (change.release >= limit.release) {
      limit.release = change.release
      limit.proposed = change.settings
    }
    limit.holds = holding(limit)
    for (const key of limit.keys.values()) watch(state, key, now)
    if (!limit.name.startsWith("@")) {
      state.queue(limit.name).limit = limit
      state.hints.work(limit.name)
    }
  }
  return [...state.limits.all.values()].filter(({ isKnown }) => isKnown).map((
    { name, override, proposed, release }
  ) => ({
    name,
    override,
    proposed,
    release
  }))
}

/** One page of the keys of a space. */
export const keysOf = (
  state: MemoryState,
  { after = "", limit, name }: KeysRequest,
  now: number
): ReadonlyArray<KeyRow> =>
  [...state.limits.limit(name).keys.values()]
    .filter((key) => key.name > after && (key.used > 0 || key.waiting.size > 0 || now < key.gate.closedUntil))
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .slice(0, limit)
    .map((key) => ({
      key: key.name,
      waiting: Math.min(key.waiting.size, 10_000),
      ready: key.ready,
      running: key.used - key.ready,
      limitedUntil: now < key.gate.closedUntil ? key.gate.closedUntil : undefined,
      failed: key.failed
    }))
