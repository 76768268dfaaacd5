/** What the answers to an enqueue come to: of all that are not here, nothing of their call is stored. */
import type { JobId } from "../JobRecord.ts"
import type { Enqueued } from "../StoreWork.ts"

/** An enqueue that was not refused. */
export interface Stored {
  readonly id: JobId
  readonly outcome: "Inserted" | "Existing" | "Replaced" | "Deferred"
}

const stores: Readonly<Record<Enqueued["outcome"], boolean>> = {
  Inserted: true,
  Existing: true,
  Replaced: true,
  Deferred: true,
  UniqueConflict: false,
  Begun: false,
  Refused: false
}

/** A handle is made of nothing else. */
export const isStored = (answer: Enqueued): answer is Stored => stores[answer.outcome]
