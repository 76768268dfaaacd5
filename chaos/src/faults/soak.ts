import { unhurried } from "../cluster.ts"
import { every, type Fault, line, none, type Run, strikes } from "../fault.ts"

const workers = 2
const concurrency = 10
const millis = [50, 150] as const

/** A second: half of what their slots have room for. */
const rate = Math.round(workers * concurrency * 1000 / ((millis[0] + millis[1]) / 2) / 2)

/** What is grown by the end, as a part of the mean, or by itself. A sweep and a vacuum make steps; a leak goes on. */
const most = 0.1
const few = 10

/** The part of the samples in which caches fill, retention begins to sweep, and code is compiled. */
const warmUp = 0.25

export const soak: Fault = {
  id: "F18",
  title: "half load for a long time",
  isLong: true,
  isSwept: true,
  span: 30,
  strike: async ({ cluster, saw, seconds, struck }) => {
    await cluster.startWorkers({ count: workers, concurrency, lease: unhurried, samples: true })
    await cluster.startProducers({ loads: [{ kinds: ["Soak"], millis, rate, inFlight: 50 }] })
    await every(Math.max(1000, seconds * 1000 / samples), seconds, async () => {
      for (const [what, size] of Object.entries(await cluster.server.sizes(cluster.namespace))) saw(what, size)
    })
    struck("second of load", Math.round(seconds))
  },
  judge: (run) => [
    ...strikes(run, "second of load"),
    line(`busy slots ${Math.round(100 * busy(run))} %`, busy(run) > 0.35 && busy(run) < 0.65),
    ...[...run.seen].map(([what, sizes]) => flat(what, sizes)),
    ...heaps(run),
    none("other listeners or handles at the end", changed(run))
  ],
  control: {
    without: "tidiness",
    isApart: true,
    share: 0.1,
    red: (run) => {
      const grown = heaps(run).filter(({ holds }) => !holds)
      const listeners = changed(run)
      return line(
        `${grown.map(({ what }) => what).join(", ")}; ${listeners.join(", ")}`,
        grown.length === workers && listeners.length > 0
      )
    }
  }
}

/** Of the server, in a run: many between two sweeps, which make a saw of what is counted. */
const samples = 600

/** The part of the slots that was busy. */
const busy = ({ entries, findings }: Run): number => {
  const ends = entries.filter(({ kind }) => kind === "end")
  const spent = (millis[0] + millis[1]) / 2 * ends.length
  return spent / ((findings.struck.get("second of load") ?? 0) * 1000 * workers * concurrency)
}

/** By least squares: what it has grown by from the end of the warm-up to the end of the run, beside its mean. */
export const growth = (all: ReadonlyArray<number>): { readonly mean: number; readonly grown: number } => {
  const values = all.slice(Math.floor(all.length * warmUp))
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const middle = (values.length - 1) / 2
  const above = values.reduce((sum, value, i) => sum + (i - middle) * (value - mean), 0)
  const below = values.reduce((sum, _, i) => sum + (i - middle) ** 2, 0)
  return { mean, grown: below === 0 ? 0 : above / below * (values.length - 1) }
}

const flat = (what: string, values: ReadonlyArray<number>) => {
  const { grown, mean } = growth(values)
  return line(
    `${what}: ${Math.round(mean)} of ${values.length} samples, grown by ${Math.round(grown)} (${
      (100 * grown / mean).toFixed(1)
    } %)`,
    values.length >= 10 && grown < Math.max(most * mean, few)
  )
}

const samplesOf = ({ entries }: Run, word: string) =>
  Map.groupBy(entries.filter((entry) => entry.kind === "sample" && entry.word === word), ({ by }) => by)

const heaps = (run: Run) =>
  [...samplesOf(run, "heap")].map(([by, list]) => flat(`heap of ${by}`, list.map(({ n }) => n)))

/** Compares the median of the samples after the warm-up with the last ones: a socket may be open for a moment. */
const changed = (run: Run): ReadonlyArray<string> =>
  ["listeners", "handles"].flatMap((word) =>
    [...samplesOf(run, word)].flatMap(([by, list]) => {
      const values = list.map(({ n }) => n).slice(Math.floor(list.length * warmUp))
      const tenth = Math.ceil(values.length / 10)
      const [first, last] = [medianOf(values.slice(0, tenth)), medianOf(values.slice(-tenth))]
      return last > first ? [`${by} has ${last} ${word}, had ${first}`] : []
    })
  )

const medianOf = (values: ReadonlyArray<number>): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!
