/** A record as the outbox keeps it, and as it is handed over some time later. */
import type { JobRecord, JobStore } from "capstan"

const outcomes = ["completed", "cancelled", "dead"] as const

interface Stored extends Omit<JobStore.NewRecord, "retention"> {
  readonly retention: ReadonlyArray<Keep>
}

/** Milliseconds and a number of records; null for no end. */
type Keep = readonly [age: number | null, count: number | null]

/** JSON has no Infinity, which a retention may have. */
export const encode = (record: JobStore.NewRecord): string =>
  JSON.stringify({
    ...record,
    retention: outcomes.map((outcome): Keep => [record.retention[outcome].age, record.retention[outcome].count])
  })

/** What it has waited on the way counts: as a part of its delay, then of the time in which it may start. */
export const decode = (text: string, waited: number): JobStore.NewRecord => {
  const record: Stored = JSON.parse(text)
  const [completed, cancelled, dead] = record.retention.map(
    ([age, count]): JobRecord.Keep => ({ age: age ?? Infinity, count: count ?? Infinity })
  )
  const late = record.runAt === undefined ? Math.max(0, waited - record.delay) : 0
  return {
    ...record,
    retention: { completed: completed!, cancelled: cancelled!, dead: dead! },
    delay: Math.max(0, record.delay - waited),
    ...(record.startBefore === undefined ? {} : { startBefore: Math.max(0, record.startBefore - late) })
  }
}
