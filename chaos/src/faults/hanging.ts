import { setTimeout as sleep } from "node:timers/promises"
import { unhurried } from "../cluster.ts"
import { type Fault, line, type Run, strikes } from "../fault.ts"
import { Deaf, Hanging, maxAttempts, timeout } from "../jobs/hangs.ts"
import { now } from "../ledger.ts"

const shutdownGrace = 500
const interruptGrace = 500

/** What an attempt has, and what the store and a busy machine take. */
const longest = timeout + interruptGrace + 1000

const bound = shutdownGrace + interruptGrace + 2000

/** One in a hundred. Each worker has fewer slots than hang in a run. */
const hangEvery = 100
const concurrency = 4

export const hanging: Fault = {
  id: "F10",
  title: "handlers that never return, one in a hundred; half of them cannot be interrupted",
  isCalm: true,
  isLong: true,
  strike: async ({ cluster, saw, seconds, struck }) => {
    await cluster.startWorkers({ count: 2, concurrency, lease: unhurried, shutdownGrace, interruptGrace })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Work"], millis: [10, 30], rate: 60, inFlight: 50, hangEvery }))
    })
    await sleep(seconds * 1000)
    await cluster.replaceAll(
      async (worker) => {
        struck("SIGTERM", 1)
        const began = now()
        await worker.terminate()
        saw("shutdown", now() - began)
      },
      async () => saw("left running", await cluster.server.running(cluster.namespace))
    )
  },
  judge: (run) => {
    const hung = run.stored.filter(({ tag }) => tag === Hanging._tag || tag === Deaf._tag)
    const attempts = hung.flatMap(({ failed }) => failed)
    const slowest = Math.max(0, ...attempts.map(({ millis }) => millis))
    const [left = Infinity] = run.seen.get("left running") ?? []
    const shutdown = Math.round(Math.max(...run.seen.get("shutdown") ?? [Infinity]))
    return [
      ...strikes(run, "SIGTERM"),
      line(`never returned ${hung.length}`, hung.length > 2 * concurrency),
      line(
        `dead of a timeout after ${maxAttempts} attempts ${hung.filter(isTimedOut).length}`,
        hung.every(isTimedOut)
      ),
      line(`longest attempt of theirs ${slowest} ms`, slowest >= timeout && slowest < longest),
      line(`attempts of others beside them ${beside(run)}`, beside(run) > 0),
      line(`left running ${left}`, left === 0),
      line(`shutdown in at most ${shutdown} ms`, shutdown < bound)
    ]
  }
}

const isTimedOut = ({ failed, state }: Run["stored"][number]): boolean =>
  state === "dead" && failed.filter(({ kind }) => kind === "TimedOut").length === maxAttempts

/** Ends after more have hung than there are slots: a slot that is not freed is none. */
const beside = ({ entries, stored }: Run): number => {
  const tags = new Map(stored.map(({ id, tag }) => [id, tag]))
  const isHung = (id: string) => tags.get(id) === Hanging._tag || tags.get(id) === Deaf._tag
  const last = entries.filter(({ id, kind }) => kind === "start" && isHung(id))[2 * concurrency]
  return last === undefined ? 0 : entries.filter(({ at, kind }) => kind === "end" && at > last.at).length
}
