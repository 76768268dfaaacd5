/**
 * The scripts, put together from their parts: what all begin with, the fast way of a verb, the library, the verb.
 *
 * The library is one function that is only called where the fast way does not do: making its closures costs what a dozen
 * commands cost. A script is known to the server by the digest of its text, so two releases run side by side.
 */
import { claim, claimAny } from "./lua/claim.ts"
import { clock as serverClock, context, contextWith, names } from "./lua/context.ts"
import { cancel, control, events, pause } from "./lua/control.ts"
import { all, one, plain, special } from "./lua/enqueue.ts"
import { begin, completions, rest } from "./lua/exchange.ts"
import { dependencies, flow } from "./lua/flow.ts"
import { follow } from "./lua/follow.ts"
import * as forward from "./lua/forward.ts"
import { life } from "./lua/life.ts"
import { bucket, change, keys, limits, queueRoom } from "./lua/limits.ts"
import { listen } from "./lua/listen.ts"
import { maintain } from "./lua/maintain.ts"
import { get, matches, page, results, stats } from "./lua/read.ts"
import { record } from "./lua/record.ts"
import { heldBy, renew, unpark } from "./lua/renew.ts"
import { examine, mend, mending, recount, reshelve } from "./lua/repair.ts"
import { attempts, settle } from "./lua/settle.ts"
import { store } from "./lua/store.ts"
import { attend, putSchedule, schedules, scheduleText, tick } from "./lua/tick.ts"
import { awake, demanded, rests } from "./lua/wake.ts"
import { complete, signal, write } from "./lua/write.ts"

/** The layout of the data. Another number is another store. */
export const layout = 1

/** Where a script is when its store has several partitions: whose channels it speaks on, and its number. */
const several = `local S, TAG = string.match(P, '^{[^/}]*') .. '}', (string.match(P, '/(%d+)}$') or '0') .. '|'`
const single = "local S, TAG = P, ''"

/**
 * May run where memory is full, so that work goes on and makes room: all but what adds records. What comes from another partition
 * was accepted there: refused, it would fill that one, and hold up the ends that are told behind it.
 */
const always = "#!lua flags=allow-oom"
const withRoom = "#!lua"

export type Verb =
  | "enqueue"
  | "one"
  | "exchange"
  | "renew"
  | "write"
  | "signal"
  | "control"
  | "pause"
  | "maintain"
  | "get"
  | "page"
  | "results"
  | "dependencies"
  | "stats"
  | "schedules"
  | "limits"
  | "keys"
  | "putSchedule"
  | "tick"
  | "listen"
  | "recount"
  | "mend"
  | "reshelve"
  | "examine"
  | "outgoing"
  | "receive"
  | "sent"
  | "whereabouts"
  | "spare"
  | "awake"

export type Scripts = Readonly<Record<Verb, string>>

/** `clock` sets the instant of a call; tests let it stand still. One partition needs nothing of what several do. */
export const scripts = (clock: string = serverClock, isPartitioned = false): Scripts => {
  const start = `local P, call = KEYS[1], redis.call\n${isPartitioned ? several : single}\n${clock}`
  const beyond = isPartitioned ? [forward.post] : []
  const library = [
    bucket,
    record,
    life,
    ...beyond,
    limits,
    flow,
    cancel,
    complete,
    store,
    events,
    attempts,
    settle,
    follow
  ].join("\n")
  // Who changes nothing needs little of it.
  const reading = [record, life, attempts].join("\n")
  const bare = (flags: string, ...parts: ReadonlyArray<string>) =>
    `${flags}\n-- capstan ${layout}\n${[start, ...parts].join("\n")}`
  const make = (flags: string, ...parts: ReadonlyArray<string>) => bare(flags, names, ...parts)
  const worker = "local worker, lease = ARGV[1], tonumber(ARGV[2])"
  return {
    one: bare(withRoom, one),
    enqueue: make(withRoom, plain, context, library, all, special),
    exchange: make(
      always,
      demanded,
      contextWith(", unpack(beside)"),
      begin(isPartitioned ? forward.elsewhere : ""),
      "local general, flushAll",
      bucket,
      queueRoom,
      claim(isPartitioned ? forward.mayBeGiven : ""),
      `local lib
      function general()
        if lib then return lib end
        ${library}
        ${claimAny}
        ${unpark}
        L.load, L.flush = load, flush
        lib = L
        return L
      end
      function flushAll() if lib then lib.flush() end end`,
      completions,
      rests,
      rest
    ),
    renew: make(always, context, worker, library, heldBy, unpark, renew),
    write: make(always, context, library, write),
    signal: make(always, context, library, signal),
    control: make(always, context, library, matches, control),
    pause: make(always, context, pause),
    maintain: make(
      always,
      context,
      library,
      heldBy,
      scheduleText,
      attend,
      maintain(isPartitioned ? forward.again : "")
    ),
    get: make(always, context, reading, get),
    page: make(always, context, reading, matches, page),
    results: make(always, context, reading, results),
    dependencies: make(always, context, library, dependencies),
    stats: make(always, context, reading, stats),
    limits: make(always, context, library, change),
    keys: make(always, context, library, keys),
    schedules: make(always, schedules),
    putSchedule: make(always, context, scheduleText, putSchedule),
    listen: make(always, listen),
    recount: make(always, context, record, recount),
    mend: make(always, context, library, mending, mend),
    examine: make(always, context, library, mending, examine),
    reshelve: make(always, context, reshelve),
    tick: make(withRoom, context, library, scheduleText, tick),
    outgoing: make(always, forward.outgoing),
    receive: make(always, context, library, all, forward.receive),
    sent: make(always, forward.sent),
    whereabouts: make(always, forward.whereabouts),
    spare: make(always, forward.spare),
    awake: bare(always, awake)
  }
}
