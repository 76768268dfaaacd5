/** The memory store's state with nobody beside it: no worker is woken, no event is heard. */
import { MemoryState } from "../src/internal/memory/state.ts"

const nobody = () => {}

export const silent = (maxFinished: number) =>
  new MemoryState({
    maxCrashes: 3,
    maxFinished,
    hints: {
      ready: nobody,
      later: nobody,
      keyLater: nobody,
      work: nobody,
      worker: nobody,
      all: nobody,
      isAwaiting: () => false,
      heard: false,
      event: nobody
    }
  })
