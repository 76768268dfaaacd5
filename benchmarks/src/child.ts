/**
 * One scenario on one system: `child.ts <task as JSON>` prints its figures as JSON.
 *
 * A process that has just started runs code that is not compiled yet: what a server does for its first tenth of a second.
 * So a scenario is passed several times, each on a fresh system, and the figure is the median of the last three passes;
 * that of the first is printed beside it, as `cold`.
 */
import { loadFeatures, loadServer, loadSystem } from "./load.ts"
import type { Figure } from "./measures.ts"
import { inProcesses } from "./processes.ts"
import { scenarios } from "./scenarios.ts"
import { type Figures, type ServerScenario, serverScenarios, slow } from "./serverScenarios.ts"
import type { MakeSystem } from "./system.ts"
import { installScenario, type Outcome, type Task } from "./task.ts"

const median = (figures: ReadonlyArray<Figure>): Figure => {
  const sorted = figures.toSorted((a, b) => a.value - b.value)
  return sorted[Math.floor(sorted.length / 2)]!
}

const toOutcome = (passes: ReadonlyArray<Figures>, warm: ReadonlyArray<Figures>): Outcome => {
  const [first] = passes
  if (first === undefined) return {}
  return Object.fromEntries(
    Object.entries(first).map(([row, cold]) => [row, {
      warm: median(warm.slice(-3).map((figures) => figures[row]!)),
      ...passes.length > 1 ? { cold } : {}
    }])
  )
}

const inMemory = async ({ scenario, system }: Task): Promise<Outcome> => {
  const make = await loadSystem("memory", system)
  const features = await loadFeatures("memory", system)
  const { measure, passes } = scenarios[scenario]!
  const figures: Array<Figures> = []
  for (let pass = 0; pass < passes; pass++) {
    const figure = await measure(make, features)
    if (figure === undefined) break
    figures.push({ [scenario]: figure })
  }
  return toOutcome(figures, figures)
}

/** How many jobs a database is filled with at a time. */
const part = 100_000

const onServer = async (task: Task, scenarios: ReadonlyArray<ServerScenario>): Promise<Outcome> => {
  const { prefix, quick, store, system, url } = task
  const make = await loadSystem(store, system)
  const features = await loadFeatures(store, system)
  const open = await loadServer(store)
  const server = await open(url, prefix)
  await server.template(system, async (url) => {
    const installed = await make({ run: () => {}, millis: 0, url })
    await installed.close()
  })
  if (task.scenario === installScenario) return {}

  const { jobs, measure, passes, rated } = scenarios.find(({ rows }) => rows[0] === task.scenario)!
  let last = ""
  const on = (url: string, of = make): MakeSystem => (handle) => {
    last = url
    return of({ ...handle, url })
  }
  const afresh = (of: MakeSystem): MakeSystem => async (handle) => on(await server.copy(system), of)(handle)
  const fresh = afresh(make)
  const figures: Array<Figures> = []
  const pass = async (jobs: number): Promise<boolean> => {
    const measured = await measure({
      make: fresh,
      makeProcesses: (workers) => async (handle) => {
        const url = await server.copy(system)
        return inProcesses(store, system, on(url), workers)({ ...handle, url })
      },
      makeFilled: async (waiting) => {
        const name = `${system}_${waiting}`
        await server.template(name, async (url) => {
          const filling = await make({ run: () => {}, millis: 0, url })
          // In parts: millions at once do not fit.
          for (let from = 0; from < waiting; from += part) {
            const count = Math.min(part, waiting - from)
            await (filling.enqueueBulk?.(from, count) ?? filling.enqueue(from, count, 100))
          }
          await filling.close()
          await server.analyze(url)
        })
        return on(await server.copy(name))
      },
      features: features && {
        keyed: afresh(features.keyed),
        traced: afresh(features.traced),
        behind: (waiting) => afresh(features.behind(waiting)),
        flows: (leaves) => afresh(features.flows(leaves)),
        fair: (big) => afresh(features.fair(big)),
        ticking: async (given) => features.ticking({ ...given, url: await server.copy(system) })
      },
      server,
      hold: () => server.hold!(last),
      analyze: () => server.analyze(last),
      jobs,
      quick
    })
    if (measured === undefined) return false
    figures.push(
      Object.fromEntries(Object.entries(measured).map(([row, figure]) => [row, { jobs, ...figure }]))
    )
    return true
  }

  let count = rated ? Math.min(jobs / 10, 5000) : jobs
  const until = performance.now() + (quick ? 3000 : 15_000)
  for (let i = 0; i < passes; i++) {
    if (i >= (rated ? 2 : 1) && performance.now() > until) break
    if (!await pass(count)) break
    if (i === 0 && rated) count = task.jobs ?? (figures[0]![task.scenario]!.value < slow ? jobs / 10 : jobs)
  }
  await server.dropCopies()
  await server.close()
  // The first of several may have had fewer jobs.
  return toOutcome(figures, figures.length > 1 ? figures.slice(1) : figures)
}

const task: Task = JSON.parse(process.argv[2]!)
const outcome = await (task.store === "memory" ? inMemory(task) : onServer(task, serverScenarios[task.store]))
console.log(JSON.stringify(outcome))
process.exit(0)
