/** A program in a process of its own, which ends with the test's scope at the latest. */
import { Effect, type Scope } from "effect"
import { type ChildProcess, spawn } from "node:child_process"
import { fileURLToPath } from "node:url"

export interface Program {
  readonly pid: number
  /** What it has printed so far. */
  readonly output: () => string
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  /** The exit code, or the signal. */
  readonly ended: Effect.Effect<number | NodeJS.Signals>
}

export const run = (program: URL, ...args: ReadonlyArray<string>): Effect.Effect<Program, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, ["--conditions=@capstan/source", fileURLToPath(program), ...args], {
        stdio: ["ignore", "pipe", "pipe"]
      })
      let output = ""
      child.stdout.on("data", (data) => output += data)
      child.stderr.on("data", (data) => output += data)
      const ended = endOf(child)
      return {
        pid: child.pid!,
        output: () => output,
        kill: (signal: NodeJS.Signals) => Effect.andThen(Effect.sync(() => child.kill(signal)), ended),
        ended
      }
    }),
    ({ kill }) => Effect.asVoid(kill("SIGKILL"))
  )

const endOf = (child: ChildProcess): Effect.Effect<number | NodeJS.Signals> => {
  const end = new Promise<number | NodeJS.Signals>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? signal!))
  )
  return Effect.promise(() => end)
}
