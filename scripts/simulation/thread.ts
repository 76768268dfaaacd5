/** One thread of `threads.ts`: explores each share of seeds that it is handed. */
import { Simulation } from "@capstan/testing"
import { Effect } from "effect"
import { parentPort } from "node:worker_threads"
import type { Share } from "./threads.ts"

parentPort!.on("message", async ({ kills, seeds }: Share) => {
  // oxlint-disable-next-line unicorn/require-post-message-target-origin
  parentPort!.postMessage(await Effect.runPromise(Simulation.explore(seeds, { kills })))
})
