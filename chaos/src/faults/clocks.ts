import { setTimeout as sleep } from "node:timers/promises"
import { poll, unhurried } from "../cluster.ts"
import { type Fault, line, none, strikes } from "../fault.ts"
import { delay, Flaky } from "../jobs/flaky.ts"
import { tickedOnce } from "./ticker.ts"

/** Milliseconds by which every other worker's clock is off, by turns ahead and behind. */
const clockOff = 10 * 60_000

/** A record that is due is seen at the next poll, on a machine that has other things to do. */
const latest = delay + poll + 1000

export const clocks: Fault = {
  id: "F7",
  title: "clocks ten minutes ahead or behind, on half of the workers",
  isCalm: true,
  isLong: true,
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 4, concurrency: 10, lease: unhurried, clockOff, ticks: true })
    await cluster.startProducers({
      loads: [{ kinds: ["Work", "Flaky"], millis: [10, 3000], rate: 30, inFlight: 50 }]
    })
    await sleep(seconds * 1000)
  },
  judge: (run) => {
    const flaky = new Set(run.stored.filter(({ tag }) => tag === Flaky._tag).map(({ id }) => id))
    const starts = Map.groupBy(run.entries.filter(({ id, kind }) => kind === "start" && flaky.has(id)), ({ id }) => id)
    const waits = [...starts.values()].map(([first, second]) => (second?.at ?? Infinity) - first!.at)
    const [least, most] = [Math.round(Math.min(...waits)), Math.round(Math.max(...waits))]
    return [
      ...strikes(run, "clock off"),
      none("taken from the living", run.stored.filter(({ deaths }) => deaths.length > 0).map(({ id }) => id)),
      line(
        `retries of ${waits.length} after ${least} to ${most} ms, due after ${delay}`,
        least >= delay && most < latest
      ),
      ...tickedOnce(run)
    ]
  }
}
