import { every, type Fault, line, none, type Run, strikes } from "../fault.ts"

/** In a minute. */
const length = 500

export const chain: Fault = {
  id: "F12",
  title: "a chain of one key, whose workers are killed every 700 ms",
  isLong: true,
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 3, concurrency: 10 })
    const most = Math.ceil(length * seconds / 60)
    await cluster.startProducers({
      // One at a time, so that the order of its enqueues is known.
      loads: [{ kinds: ["Chain"], millis: [50, 150], rate: 100, inFlight: 1, most }]
    })
    await every(700, seconds, () => cluster.killOne())
  },
  judge: (run) => [
    ...strikes(run, "kill"),
    line(`killed at work ${run.findings.recovery.length} times`, run.findings.recovery.length > 0),
    none("inversions", inversions(run))
  ],
  control: {
    without: "slots",
    isApart: true,
    red: (run) => {
      const found = inversions(run)
      return line(`inversions ${found.length}`, found.length > 0)
    }
  }
}

/** Records that began before the one before them had ended. One that was run again by hand has left its place. */
export const inversions = ({ entries, stored }: Pick<Run, "entries" | "stored">): ReadonlyArray<string> => {
  const starts = new Map<string, number>()
  const ends = new Map<string, number>()
  for (const { at, id, kind } of entries) {
    if (kind === "start" && !starts.has(id)) starts.set(id, at)
    if (kind === "end") ends.set(id, at)
  }
  const links = stored.filter(({ deaths, state }) =>
    state === "completed" && deaths.filter(({ charged }) => charged).length < 3
  ).map(({ id, payload }) => ({ id, n: (JSON.parse(payload) as { readonly n: number }).n }))
    .toSorted((a, b) => a.n - b.n)
  return links.slice(1).flatMap(({ id, n }, i) =>
    starts.get(id)! < ends.get(links[i]!.id)! ? [`${n} began before the end of ${links[i]!.n}`] : []
  )
}
