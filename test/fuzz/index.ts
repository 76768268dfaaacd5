/** All that the run calls, on a store that goes on from call to call. */
import { Jobs, JobSchedules, JobStore } from "capstan"
import { Effect, Layer, Logger } from "effect"
import * as Cli from "./cli.ts"
import * as Core from "./core.ts"
import { type Finding, once, type Tally, type Target } from "./fuzz.ts"
import * as Http from "./http.ts"

type Env = Http.Handler | Jobs.Jobs | JobSchedules.JobSchedules | JobStore.JobStore

export const targets: ReadonlyArray<Target<Env>> = [...Core.targets, ...Http.targets, ...Cli.targets]

const layer = Layer.mergeAll(Jobs.layer, JobSchedules.layer, Http.layer)

export interface Report {
  readonly calls: number
  readonly tallies: ReadonlyMap<string, Tally>
  readonly findings: ReadonlyArray<Finding>
}

/** How many findings are enough. */
const enough = 20

/** Calls of all targets in turn, each with a seed of its own, until it is enough. */
export const run = (
  seed: number,
  goesOn: (calls: number) => boolean,
  store: Layer.Layer<JobStore.JobStore> = JobStore.layerMemory()
): Effect.Effect<Report> =>
  runAll(targets, seed, goesOn).pipe(
    Effect.provide(Layer.provideMerge(layer, store)),
    Effect.provide(Logger.layer([]))
  )

/** The same of these targets alone. */
export const runAll = <R>(
  targets: ReadonlyArray<Target<R>>,
  seed: number,
  goesOn: (calls: number) => boolean
): Effect.Effect<Report, never, R> =>
  Effect.gen(function*() {
    const tallies = new Map(targets.map(({ name }) => [name, { answered: 0, refused: 0 }]))
    const findings: Array<Finding> = []
    let calls = 0
    while (goesOn(calls) && findings.length < enough) {
      const target = targets[calls % targets.length]!
      const finding = yield* once(target, seed * 1_000_000 + calls, tallies.get(target.name))
      if (finding !== undefined) findings.push(finding)
      calls++
      yield* Effect.yieldNow
    }
    return { calls, tallies, findings }
  })

export const describe = ({ input, problem, seed, target }: Finding): string =>
  `${target}, seed ${seed}\n  input: ${input}\n  ${problem.split("\n").slice(0, 8).join("\n  ")}`
