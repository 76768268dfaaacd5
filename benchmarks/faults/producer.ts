/** A producer process of another system: the pace and the choices of ours, and the same ledger. */
import { Choices } from "../../chaos/src/choices.ts"
import * as Ledger from "../../chaos/src/ledger.ts"
import { loadPeer, type PeerClient } from "../../chaos/src/peer.ts"
import { type ProducerTask, serve } from "../../chaos/src/processes.ts"
import { sleep } from "../src/system.ts"

const [name] = process.argv.slice(2)
const peer = await loadPeer(name!)

process.on("unhandledRejection", (error) => console.error("unhandled", error))

serve<ProducerTask>((task, tell) => {
  const { first, folder, load, name, seed, step } = task
  const write = Ledger.open(folder, name)
  const choices = new Choices(seed, name)
  const state = { isStopped: false, inFlight: 0 }

  const enqueue = async (client: PeerClient, count: number): Promise<void> => {
    const n = first + count * step
    const work = { n, millis: choices.between(...load.millis) }
    const isLate = load.late !== undefined && count % load.late.every === 3
    write("sent", { n })
    try {
      const id = await client.enqueue(isLate ? { ...work, frozen: load.late!.seconds } : work)
      write("acknowledged", { n, id })
    } catch (error) {
      // Whether it happened is not said.
      write("unknown", { n, word: String(error).slice(0, 200) })
    }
  }

  const produce = async (): Promise<void> => {
    const client = await peer.client(task)
    tell({ _tag: "ready" })
    let count = 0
    let owed = 0
    let last = Ledger.now()
    while (!state.isStopped && count < (load.most ?? Infinity)) {
      const now = Ledger.now()
      owed = Math.min(owed + (now - last) * load.rate / 1000, load.inFlight)
      last = now
      while (owed >= 1 && state.inFlight < load.inFlight && count < (load.most ?? Infinity)) {
        owed--
        state.inFlight++
        void enqueue(client, count++).finally(() => state.inFlight--)
      }
      await sleep(10)
    }
    while (state.inFlight > 0) await sleep(10)
    tell({ _tag: "stopped" })
  }
  void produce()
  return { stop: () => void (state.isStopped = true) }
})
