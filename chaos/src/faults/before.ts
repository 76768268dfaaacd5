import { isOfBefore, unhurried } from "../cluster.ts"
import { every, type Fault, line, none, type Run, strikes } from "../fault.ts"
import { releaseBefore } from "../release.ts"

export const before: Fault = {
  id: "F17",
  title:
    `workers and producers of release ${releaseBefore()} beside those of this one, while one after the other is replaced`,
  isLong: true,
  isMixed: true,
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 4, concurrency: 10, lease: unhurried })
    const load = { kinds: ["Work", "Stubborn", "Narrow"], millis: [10, 100], rate: 40, inFlight: 50, keys: 20 } as const
    await cluster.startProducers({ loads: [load, load] })
    await every(2000, seconds, () => cluster.deployOne())
  },
  judge: (run) => [
    ...strikes(run, "worker of the release before", "producer of the release before", "deployment"),
    line(`ran on the release before what this one enqueued ${crossed(run, true)}`, crossed(run, true) > 0),
    line(`ran on this one what the release before enqueued ${crossed(run, false)}`, crossed(run, false) > 0),
    none("failed operations", failures(run))
  ],
  control: {
    without: "compatibility",
    isApart: true,
    share: 0.25,
    red: (run) =>
      line(`failed operations ${failures(run).length}, stuck ${run.stuck}`, failures(run).length + run.stuck > 0)
  }
}

/** Attempts that ended on one release, of records that the other one enqueued. */
const crossed = ({ entries }: Run, onBefore: boolean): number => {
  const from = new Map(entries.filter(({ kind }) => kind === "acknowledged").map(({ by, id }) => [id, isOfBefore(by)]))
  return entries.filter(({ by, id, kind }) =>
    kind === "end" && isOfBefore(by) === onBefore && from.get(id) === !onBefore
  ).length
}

/** Enqueues that were not taken, writes that were refused or not answered, attempts that were lost. */
const failures = ({ entries, stored }: Run): ReadonlyArray<string> => [
  ...entries.filter(({ kind, word }) =>
    kind === "refused" || kind === "unknown" || kind === "unanswered" ||
    kind === "answer" && !word.endsWith(" Done")
  ).map(({ by, kind, word }) => `${by}: ${kind} ${word}`),
  ...stored.filter(({ deaths, failed }) => deaths.length + failed.length > 0).map(({ id }) => `${id} ran again`)
]
