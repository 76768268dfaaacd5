/**
 * In which order test files begin: those that take long first, so that none of them is alone at the end.
 *
 * Vitest knows durations only where it has run before, and keeps them per project; here they are the same everywhere.
 */
import { availableParallelism } from "node:os"
import { BaseSequencer, type TestSpecification } from "vitest/node"

/**
 * One more than there are cores: a file often waits, for a server or for a process of its own. On two cores 3 took 5 min 22 s
 * where 2 took 6 min 30 s; with 3 no core is idle.
 */
export const workers = availableParallelism() + 1

/** What took more than half a minute on two cores, the longest first. */
const long: ReadonlyArray<string> = [
  "packages/testing/test/Simulation.test.ts",
  "packages/pg/test/Twins.test.ts",
  "test/pack.test.ts",
  "packages/redis/test/Simulation.test.ts",
  "packages/redis/test/PartitionsSuite.test.ts",
  "packages/testing/test/LostReplies.test.ts",
  "packages/pg/test/Simulation.test.ts",
  "packages/pg/test/Locks.test.ts",
  "packages/pg/test/Releases.test.ts",
  "packages/cli/test/Servers.test.ts",
  "examples/webhooks/test/demo.test.ts",
  "packages/pg/test/Pglite.test.ts",
  "packages/pg/test/PgJobStore.test.ts"
]

const rank = ({ moduleId }: TestSpecification): number => {
  const at = long.findIndex((name) => moduleId.endsWith(`/${name}`))
  return at < 0 ? long.length : at
}

export class LongestFirst extends BaseSequencer {
  override async sort(files: Array<TestSpecification>): Promise<Array<TestSpecification>> {
    // oxlint-disable-next-line unicorn/no-array-sort -- it is the sequencer's, no array's
    const usual = await super.sort(files)
    return usual.toSorted((a, b) => rank(a) - rank(b))
  }
}
