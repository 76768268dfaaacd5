/** A job whose records are soon swept, and what a process that runs it has of its machine. */
import { Job, JobContext } from "capstan"
import { Effect } from "effect"
import process from "node:process"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type { Write } from "../ledger.ts"
import { attempting, success, work } from "./attempt.ts"

/** By count: by age Postgres keeps records of a short time for as long as a partition of history lives, an hour or more. */
export class Soak extends Job.make("Soak", {
  payload: work,
  success,
  retention: { completed: { count: 1000 } }
}) {}

/** What an untidy program keeps of each record, and never lets go. */
const kept: Array<string> = []

export const SoakLive = (write: Write, isTidy: boolean) =>
  Soak.toLayer((given) =>
    attempting(write)(
      given,
      Effect.gen(function*() {
        if (!isTidy) {
          const { id } = yield* JobContext.JobContext
          kept.push(`${id} ${"x".repeat(2000)}`.split("").join(""))
          if (kept.length % 100 === 0) process.on("warning", () => kept.length)
        }
        yield* Effect.sleep(given.millis)
      })
    )
  )

/** Milliseconds between two samples. */
const every = 1000

/** Writes down what is left of the heap after a collection, and how many listeners and open handles there are. */
export const sampling = (write: Write): void => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  setInterval(() => {
    collect()
    write("sample", { n: process.memoryUsage().heapUsed, word: "heap" })
    write("sample", { n: listeners(), word: "listeners" })
    write("sample", {
      n: process.getActiveResourcesInfo().filter((name) => name !== "Timeout").length,
      word: "handles"
    })
  }, every).unref()
}

const listeners = (): number => process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0)
