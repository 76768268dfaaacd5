/** A bounded wait for what nobody announces: a file, a process that another one ends. */
import { setInterval } from "node:timers/promises"

/** Polls until `check` answers something, and fails with what it waited for. */
export const until = async <A>(
  what: string,
  check: () => A | undefined | false,
  seconds: number = 30
): Promise<A> => {
  const end = performance.now() + seconds * 1000
  for await (const _ of setInterval(10)) {
    const found = check()
    if (found !== undefined && found !== false) return found
    if (performance.now() > end) break
  }
  throw new Error(`waited ${seconds} s in vain until ${what}`)
}

/** The same for what is asked of another process. One that does not answer has not said yes. */
export const untilTrue = async (
  what: string,
  check: () => Promise<boolean>,
  seconds: number = 30
): Promise<void> => {
  const end = performance.now() + seconds * 1000
  for await (const _ of setInterval(10)) {
    if (await check().catch(() => false)) return
    if (performance.now() > end) break
  }
  throw new Error(`waited ${seconds} s in vain until ${what}`)
}
