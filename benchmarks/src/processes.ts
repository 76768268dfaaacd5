/**
 * A system whose workers are processes of their own, started and connected before the time runs. Each reports what its
 * handlers ran, some milliseconds' worth at a time, to the ledger here.
 */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { MakeSystem } from "./system.ts"

export type Command =
  | { readonly _tag: "make"; readonly url: string; readonly millis: number }
  | { readonly _tag: "start"; readonly concurrency: number }
  | { readonly _tag: "close" }

export type Report =
  | { readonly _tag: "ran"; readonly jobs: ReadonlyArray<number> }
  | { readonly _tag: "finished" }

/** Processes that outlive a pass, so that the next one finds them warm. */
const idle: Array<ChildProcess> = []

const perform = (worker: ChildProcess, command: Command): Promise<void> =>
  new Promise((resolve, reject) => {
    const onMessage = (report: Report) => {
      if (report._tag === "finished") settle(resolve)
    }
    const onExit = () => settle(() => reject(new Error("a worker process ended")))
    const settle = (then: () => void) => {
      worker.off("message", onMessage)
      worker.off("exit", onExit)
      then()
    }
    worker.on("message", onMessage)
    worker.on("exit", onExit)
    worker.send(command)
  })

export const inProcesses =
  (store: string, system: string, make: MakeSystem, count: number): MakeSystem => async (handle) => {
    const producer = await make(handle)
    while (idle.length < count) {
      idle.push(
        fork(fileURLToPath(new URL("worker.ts", import.meta.url)), [store, system], {
          execArgv: process.execArgv,
          stdio: ["ignore", "ignore", "inherit", "ipc"]
        })
      )
    }
    const workers = idle.splice(0, count)
    const onReport = (report: Report) => {
      if (report._tag === "ran") { for (const n of report.jobs) handle.run(n) }
    }
    for (const worker of workers) {
      worker.on("message", onReport)
      await perform(worker, { _tag: "make", url: handle.url, millis: handle.millis })
    }
    let started = 0
    return {
      ...producer,
      start: (concurrency) => perform(workers[started++]!, { _tag: "start", concurrency }),
      close: async () => {
        for (const worker of workers) {
          await perform(worker, { _tag: "close" })
          worker.off("message", onReport)
          idle.push(worker)
        }
        await producer.close()
      }
    }
  }
