/** A worker process of another system under the faults: it writes the ledger that those of ours write. */
import { freeze } from "../../chaos/src/freeze.ts"
import * as Ledger from "../../chaos/src/ledger.ts"
import { loadPeer, type PeerAttempt } from "../../chaos/src/peer.ts"
import { serve, type WorkerTask } from "../../chaos/src/processes.ts"
import { sleep } from "../src/system.ts"

const [name] = process.argv.slice(2)
const peer = await loadPeer(name!)

// What its library does not catch is said, and the process goes on: the run is to show what becomes of the records.
process.on("unhandledRejection", (error) => console.error("unhandled", error))

serve<WorkerTask>((task, tell) => {
  const write = Ledger.open(task.folder, task.name)
  const handler = async ({ fence, frozen, id, millis, n }: PeerAttempt) => {
    const line = { n, id, fence }
    write("start", line)
    await sleep(millis)
    write("end", line)
    if (frozen === undefined || fence > 1) return
    write("fault", { id: task.name, word: "freeze" })
    freeze(process.pid, frozen)
    const before = performance.now()
    const nothing = new Int32Array(new SharedArrayBuffer(4))
    // Until it has happened.
    while (performance.now() - before < frozen * 1000) Atomics.wait(nothing, 0, 0, 10)
    write("fault", { id: task.name, word: "thaw" })
  }
  const begin = async (): Promise<void> => {
    try {
      const client = await peer.client(task)
      await client.work(task.concurrency, handler)
      tell({ _tag: "ready" })
    } catch (error) {
      // What a supervisor does to a program that does not come up.
      console.error("the server is away, the start is tried again", error)
      await sleep(250)
      await begin()
    }
  }
  void begin()
  return { stop: () => process.exit(0) }
})
