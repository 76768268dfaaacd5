import { setTimeout as sleep } from "node:timers/promises"
import { unhurried } from "../cluster.ts"
import { type Fault, line, none, strikes } from "../fault.ts"
import { Batched, endingOf, endings } from "../jobs/batches.ts"

export const neighbours: Fault = {
  id: "F9",
  title: "batches of which 5 % fail, die or are omitted",
  isCalm: true,
  isLong: true,
  strike: async ({ cluster, seconds }) => {
    await cluster.startWorkers({ count: 2, concurrency: 10, lease: unhurried })
    await cluster.startProducers({
      loads: [1, 2].map(() => ({ kinds: ["Batched"], millis: [10, 100], rate: 100, inFlight: 50 }))
    })
    await sleep(seconds * 1000)
  },
  judge: (run) => {
    const records = run.stored.filter(({ tag }) => tag === Batched._tag)
      .map((record) => ({ ...record, n: (JSON.parse(record.payload) as { readonly n: number }).n }))
    const runs = Map.groupBy(run.entries.filter(({ kind }) => kind === "start"), ({ n }) => n)
    const timesOf = (n: number) => runs.get(n)?.length ?? 0
    const sizes = Map.groupBy(
      run.entries.filter(({ kind }) => kind === "start"),
      ({ at, by }) => `${by} ${Math.floor(at)}`
    )
    const fullest = Math.max(0, ...[...sizes.values()].map((list) => list.length))
    const bad = records.filter(({ n }) => endingOf(n) !== undefined)
    return [
      ...strikes(run, ...endings),
      line(`most in a batch ${fullest}`, fullest > 1),
      line(
        `bad ones that ran again ${bad.filter(({ n }) => timesOf(n) === 2).length} of ${bad.length}`,
        bad.every(
          ({ attempt, n }) => timesOf(n) === 2 && attempt === 2
        )
      ),
      none(
        "good ones that ran again",
        records.filter(({ attempt, n }) => endingOf(n) === undefined && (timesOf(n) !== 1 || attempt !== 1))
          .map(({ id, n }) => `${n} (${id})`)
      )
    ]
  }
}
