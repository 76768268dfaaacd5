/**
 * What handlers of batches have said of each record: it must end by that, whatever its mates end by.
 */
import type { JobRecord } from "capstan"
import type { World } from "./world.ts"

export const tag = "Batched"

export type Said = "succeeded" | "failed" | "left out"

/** By the tag of the failure that follows from it. */
const failures: Readonly<Record<string, Said>> = { Failed: "failed", Omitted: "left out" }

export class MemberLog {
  private readonly world: World
  private readonly said = new Map<string, Said>()
  /** The most records that have run together. */
  private most = 0

  constructor(world: World) {
    this.world = world
  }

  met(size: number): void {
    this.most = Math.max(this.most, size)
  }

  /** Records that each run alone show nothing. */
  get hasMates(): boolean {
    return this.most > 1
  }

  say(id: string, fence: number, what: Said): void {
    this.said.set(`${id} ${fence}`, what)
  }

  /** A record whose attempt has ended in a step of the store. */
  see(was: JobRecord.JobRecord, is: JobRecord.JobRecord, step: string): void {
    if (is.tag !== tag || was.state !== "running" || is.state === "running") return
    const last = is.failures.at(-1)
    const isFailure = last !== undefined && last.attempt === was.attempt && last.at !== was.failures.at(-1)?.at
    const ended = is.state === "completed" ? "succeeded" : isFailure ? failures[last.tag ?? ""] : undefined
    if (ended === undefined) return
    const said = this.said.get(`${is.id} ${was.fence}`)
    if (said !== ended) {
      this.world.violate(`${step}: ${is.id} has ${ended}, and the handler of its batch said ${said ?? "nothing"} of it`)
    }
  }
}
