/**
 * What follows the deaths of records whose job has an `onFailure`: one record for each death, whether an attempt decided it or the
 * store did. Of the latter a record tells which somebody may cancel, or which dies with its workers: then nothing follows.
 */
import { JobRecord, JobStore } from "capstan"
import type { World } from "./world.ts"

const followed: ReadonlySet<string> = new Set(["Urgent", "Poison"])

/** It tells of the death of another one, and answers nothing. */
export const tells = ({ headers }: JobRecord.JobRecord): boolean => headers[JobStore.endedHeader] !== undefined

export class Deaths {
  private readonly times = new Map<string, number>()
  /** Of records that died and were run again before they were looked at; or something else happened to them as often. */
  private readonly unseen = new Map<string, number>()

  see(was: JobRecord.JobRecord | undefined, is: JobRecord.JobRecord): void {
    if (tells(is) || !followed.has(is.tag)) return
    const rises = is.fence - (was?.fence ?? 0)
    if (rises > 1) this.unseen.set(is.id, (this.unseen.get(is.id) ?? 0) + Math.floor(rises / 2))
    if (is.state !== "dead" || was?.state === "dead") return
    this.times.set(is.id, (this.times.get(is.id) ?? 0) + 1)
  }

  check(records: ReadonlyMap<string, JobRecord.JobRecord>, world: World): void {
    const followers = new Map<string, number>()
    const lost = new Map<string, number>()
    const count = (counts: Map<string, number>, id: string) => counts.set(id, (counts.get(id) ?? 0) + 1)
    for (const record of records.values()) {
      if (record.parent === undefined) continue
      if (record.tag === "Told") count(followers, record.parent)
      else if (tells(record) && JobRecord.isFinal(record.state) && record.state !== "completed") {
        count(lost, record.parent)
      }
    }
    for (const [id, follows] of followers) {
      const died = this.times.get(id) ?? 0
      if (follows > died + (this.unseen.get(id) ?? 0)) {
        world.violate(`${follows} records follow ${died} deaths of ${id}`)
      }
    }
    for (const [id, died] of this.times) {
      const follows = (followers.get(id) ?? 0) + (lost.get(id) ?? 0)
      if (follows < died) world.violate(`${follows} records follow ${died} deaths of ${id}`)
    }
  }
}
