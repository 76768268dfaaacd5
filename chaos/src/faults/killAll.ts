import { lease } from "../cluster.ts"
import { type Fault, line, rescuedWithin, strikes } from "../fault.ts"
import { until } from "../until.ts"

const inFlight = 2000

const workers = 4

export const killAll: Fault = {
  id: "F2",
  title: `kill -9 of all workers with ${inFlight} in flight, and a restart`,
  isLong: true,
  strike: async ({ cluster, saw }) => {
    await cluster.startWorkers({ count: workers, concurrency: inFlight / workers })
    await cluster.startProducers({
      loads: [{ kinds: ["Held"], millis: [60_000, 60_000], rate: 1000, inFlight: 500, most: inFlight }]
    })
    const running = () => cluster.server.running(cluster.namespace)
    await until(async () => await running() === inFlight, 60)
    await cluster.replaceAll(
      async (worker) => {
        await worker.kill()
        cluster.note("kill", worker.name)
      },
      async () => saw("in flight", await running())
    )
  },
  judge: (run) => {
    const [held = 0] = run.seen.get("in flight") ?? []
    const { recovery } = run.findings
    return [
      ...strikes(run, "kill"),
      line(`in flight ${held}`, held === inFlight),
      rescuedWithin(run, lease + 1000),
      line(`claimed again ${recovery.length}`, recovery.length === inFlight)
    ]
  }
}
