/** Rows that an event does something to, by its name, while they have not ended. */
import type { EnqueueRequest, NewRecord } from "../../JobStore.ts"
import { cancel } from "./control.ts"
import type { Row } from "./row.ts"
import type { MemoryState } from "./state.ts"
import { complete } from "./write.ts"

export class Listening {
  private readonly rows = new Map<string, Set<Row>>()

  add(row: Row): void {
    for (const name of namesOf(row.spec)) {
      const rows = this.rows.get(name)
      if (rows === undefined) this.rows.set(name, new Set([row]))
      else rows.add(row)
    }
  }

  remove(row: Row): void {
    for (const name of namesOf(row.spec)) {
      const rows = this.rows.get(name)
      rows?.delete(row)
      if (rows?.size === 0) this.rows.delete(name)
    }
  }

  of(name: string): ReadonlyArray<Row> {
    return [...this.rows.get(name) ?? none]
  }
}

const none: ReadonlyArray<never> = []

/** What is done to a record by an event has a name of its own. */
const namesOf = ({ cancelOn = none, completeOn = none }: Pick<NewRecord, "cancelOn" | "completeOn">) =>
  completeOn.length === 0 ? cancelOn : [...cancelOn, ...completeOn]

export const listens = ({ cancelOn, completeOn }: Pick<NewRecord, "cancelOn" | "completeOn">): boolean =>
  cancelOn !== undefined || completeOn !== undefined

/** Does what the events of an enqueue do to others: a call that is sent again finds its own records, which they are not about. */
export const happen = (
  state: MemoryState,
  { cancels = none, completes = none }: EnqueueRequest,
  own: ReadonlySet<Row>,
  now: number
): void => {
  const others = (on: string) => state.listening.of(on).filter((row) => !own.has(row))
  for (const { on, reason } of cancels) for (const row of others(on)) cancel(state, row, reason, now)
  for (const { on, value, waitpoint } of completes) {
    for (const row of others(on)) complete(state, row, waitpoint, value, now)
  }
}
