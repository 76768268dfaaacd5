/** A worker process: `worker.ts <store> <system>` does what the bench tells it, over the channel that it was forked with. */
import { loadSystem } from "./load.ts"
import type { Command, Report } from "./processes.ts"
import type { System } from "./system.ts"

const [store, name] = process.argv.slice(2)
const make = await loadSystem(store!, name!)

const report = (report: Report) => process.send!(report)

let ran: Array<number> = []
const flush = () => {
  report({ _tag: "ran", jobs: ran })
  ran = []
}
const run = (n: number) => {
  if (ran.length === 0) setTimeout(flush, 5)
  ran.push(n)
}

let system: System | undefined
const perform = async (command: Command): Promise<void> => {
  switch (command._tag) {
    case "make":
      system = await make({ run, millis: command.millis, url: command.url })
      return
    case "start":
      return system!.start(command.concurrency)
    case "close":
      await system!.close()
      flush()
  }
}

process.on("message", (command: Command) => {
  void perform(command).then(() => report({ _tag: "finished" }))
})
process.on("disconnect", () => process.exit(0))
