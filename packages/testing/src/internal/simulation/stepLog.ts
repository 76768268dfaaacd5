/**
 * What is known of steps: which checkpoint the store has had since when, by the fence of the attempt that wrote it. A step
 * that runs after that, in that attempt or a later one, runs again; a stale attempt may, and its write is refused.
 */
import type { JobRecord } from "capstan"
import type { World } from "./world.ts"

/** What a step keeps: the fence of the attempt that ran it. */
const fenceIn = (text: string): number | undefined => {
  const value = text.split("\n")[1]
  return value === undefined ? undefined : Number(value)
}

const isUndoable = (text: string): boolean => text.split("\n")[0]!.includes(`"undo":true`)

export const tag = "Stepped"

export class StepLog {
  private readonly world: World
  /** Texts by record and name, with the fence that the record had when they came. */
  private readonly kept = new Map<string, Map<string, { readonly text: string; readonly fence: number }>>()

  constructor(world: World) {
    this.world = world
  }

  /** A step begins to run, or to be undone. */
  ran(id: string, name: string, fence: number): void {
    const kept = this.kept.get(id)?.get(name)
    if (kept === undefined || fence < kept.fence) return
    this.world.violate(`${name} of ${id} runs again with fence ${fence}: it was kept with ${kept.fence}`)
  }

  /** A record as it stands after a step of the store. */
  see(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord, step: string): void {
    const checkpoints = is.checkpoints ?? {}
    // A life that was completed, or undone, is over; and a completed one shows nothing any more.
    const isNewLife = was !== undefined && isFinal(was.state) && !isFinal(is.state)
    if (isNewLife || is.state === "completed") this.kept.delete(is.id)
    if (is.state === "completed") return
    let kept = this.kept.get(is.id)
    if (kept === undefined) this.kept.set(is.id, kept = new Map())
    for (const [name, { text }] of kept) {
      if (checkpoints[name] !== text) {
        this.world.violate(`${step}: what was kept of ${name} of ${is.id} is lost or another`)
      }
    }
    for (const [name, text] of Object.entries(checkpoints)) {
      if (kept.has(name) || name.startsWith("!") || name.endsWith("~child")) continue
      const writer = fenceIn(text)
      const holder = was?.state === "running" && is.state !== "running" ? was.fence : is.fence
      if (!isNewLife && name.length === 1 && writer !== holder) {
        this.world.violate(
          `${step}: ${name} of ${is.id} was kept by the attempt of fence ${writer}, ${holder} holds it`
        )
      }
      kept.set(name, { text, fence: name.length === 1 && writer !== undefined ? writer : is.fence })
    }
    const isUndone = checkpoints["!undone"] !== undefined
    if (isUnsuccessful(is) && !isUndone && Object.values(checkpoints).some(isUndoable)) {
      this.world.violate(`${step}: ${is.id} is ${is.state}, and its steps are not undone`)
    }
  }
}

const isFinal = (state: JobRecord.State): boolean => state === "completed" || state === "cancelled" || state === "dead"

/** One whose workers die of it again while it undoes is dead as it is. */
const isUnsuccessful = ({ deadReason, state }: JobRecord.JobRecord): boolean =>
  state === "cancelled" || state === "dead" && deadReason !== "Crashed"
