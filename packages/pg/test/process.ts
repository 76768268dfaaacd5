/** A program of `test/programs` in a process of its own, which ends with the test's scope at the latest. */
import * as Program from "../../../scripts/servers/program.ts"

export type { Program } from "../../../scripts/servers/program.ts"

export const run = (name: string, ...args: ReadonlyArray<string>) =>
  Program.run(new URL(`./programs/${name}.ts`, import.meta.url), ...args)
