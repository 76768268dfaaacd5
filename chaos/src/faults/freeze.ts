import { every, type Fault, line, strikes } from "../fault.ts"
import type { Entry } from "../ledger.ts"
import { until } from "../until.ts"

/** Longer than the lease; every handler takes longer still, so that a stale write finds its successor at work. */
const leases = 1.5

const rate = 4

/** Nine of them, and in a short run still several: one whose worker is frozen before its end comes to nothing. */
const lates = (seconds: number): number => Math.max(8, Math.round(seconds * rate / 9))

/** Freezes right before a settlement: that of one alone may find that nobody has taken over yet. */
const enough = 4

const frozenBySelf = (entries: ReadonlyArray<Entry>): number =>
  entries.filter(({ by, id, kind, word }) => kind === "fault" && word === "thaw" && by === id).length

export const freeze: Fault = {
  id: "F6",
  title: "SIGSTOP of a worker past its lease, then SIGCONT, every 3 s, handlers longer than the freeze",
  isCalm: true,
  strike: async ({ cluster, lease, seconds }) => {
    const frozen = leases * lease / 1000
    const millis = [leases * lease + 200, leases * lease + 1500] as const
    await cluster.startWorkers({ count: 4, concurrency: 20 })
    await cluster.startProducers({
      loads: [{
        kinds: ["Stubborn", "Work"],
        millis,
        rate,
        inFlight: 50,
        late: { every: lates(seconds), seconds: frozen }
      }]
    })
    const freezes: Array<Promise<void>> = []
    await every(3000, seconds, async () => {
      freezes.push(cluster.freezeOne(frozen))
    })
    await Promise.all(freezes)
    await until(async () => frozenBySelf(cluster.entries()) >= enough, 30)
  },
  judge: (run) => [
    ...strikes(run, "freeze", "thaw"),
    line(`stale settlements attempted ${run.findings.stale.settlements}`, run.findings.stale.settlements > 0)
  ],
  control: {
    without: "fence",
    red: ({ findings: { ghost, stale } }) =>
      line(
        `stale writes accepted ${stale.accepted} of ${stale.attempted}, ghost ${ghost.length}`,
        stale.accepted > 0 && ghost.length > 0
      )
  }
}
