/** Looks again and again until it is so, and not longer than so many seconds. */
import { setTimeout as sleep } from "node:timers/promises"
import { now } from "./ledger.ts"

export const until = async (isSo: () => Promise<boolean>, seconds: number): Promise<void> => {
  const end = now() + seconds * 1000
  while (!await isSo() && now() < end) await sleep(100)
}
