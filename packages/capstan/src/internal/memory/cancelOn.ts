/** Rows that something is to cancel, by its name, while they have not ended. */
import type { EnqueueRequest } from "../../JobStore.ts"
import { cancel } from "./control.ts"
import type { Row } from "./row.ts"
import type { MemoryState } from "./state.ts"

export class Listening {
  private readonly rows = new Map<string, Set<Row>>()

  add(row: Row): void {
    for (const name of row.spec.cancelOn ?? none) {
      const rows = this.rows.get(name)
      if (rows === undefined) this.rows.set(name, new Set([row]))
      else rows.add(row)
    }
  }

  remove(row: Row): void {
    for (const name of row.spec.cancelOn ?? none) {
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

export const cancelOn = (state: MemoryState, cancels: NonNullable<EnqueueRequest["cancels"]>, now: number): void => {
  for (const { on, reason } of cancels) for (const row of state.listening.of(on)) cancel(state, row, reason, now)
}
