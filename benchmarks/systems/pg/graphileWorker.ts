import { Logger, makeWorkerUtils, run as runWorkers, type Runner } from "graphile-worker"
import { Failed, type MakeSystem, pooled, sleep, text } from "../../src/system.ts"

// A line per job is not what is measured.
process.env.NO_LOG_SUCCESS = "1"
const logger = new Logger(() => () => {})

export const makeGraphile =
  (worker: NonNullable<GraphileConfig.Preset["worker"]>): MakeSystem => async ({ fails, millis, run, url }) => {
    const preset: GraphileConfig.Preset = { worker: { ...worker, connectionString: url, logger } }
    const utils = await makeWorkerUtils({ preset })
    await utils.migrate()
    const addJobs = async (from: number, count: number, runAt?: Date) => {
      await utils.addJobs(Array.from({ length: count }, (_, i) => ({
        identifier: "work",
        payload: { n: from + i, text },
        ...runAt === undefined ? {} : { runAt }
      })))
    }
    const work = ({ n }: { readonly n: number }): Promise<void> | void => {
      if (fails?.(n) === true) throw new Failed()
      return millis === 0 ? run(n) : sleep(millis).then(() => run(n))
    }
    const runners: Array<Runner> = []
    return {
      enqueue: (from, count, inFlight) => pooled(from, count, inFlight, (n) => utils.addJob("work", { n, text })),
      enqueueBulk: (from, count) => addJobs(from, count),
      enqueueDue: (from, count, instant) => addJobs(from, count, new Date(instant)),
      start: async (concurrency) => {
        runners.push(
          await runWorkers({
            preset,
            concurrency,
            noHandleSignals: true,
            parsedCronItems: [],
            taskList: { work: (payload) => work(payload as { readonly n: number }) }
          })
        )
      },
      canHaveTwoWorkers: true,
      canRetry: true,
      close: async () => {
        await Promise.all(runners.map((runner) => runner.stop()))
        await utils.release()
      }
    }
  }
