/** What `top` shows in a terminal of a given size. */
import { assert, describe, it } from "@effect/vitest"
import { JobRecord, type JobStore } from "capstan"
import { eventLine, screen } from "../src/internal/live.ts"

const queue = (n: number, given: Partial<JobStore.QueueStats> = {}): JobStore.QueueStats => ({
  queue: `a-rather-long-queue-name-for-tenant-${n}`,
  counts: { blocked: 0, scheduled: 0, ready: 0, running: 1, completed: 1_234_567, cancelled: 0, dead: 0 },
  parked: 0,
  oldestReadyAge: undefined,
  paused: false,
  ...given
})

const worker = (n: number, leaseLeft: number): JobStore.WorkerStats => ({
  worker: `host-${n}-01a21a86-933d-7000-9077-2a727ec92183`,
  holds: 7,
  leaseLeft,
  queues: ["a-rather-long-queue-name-for-tenant-1", "mail"]
})

const many = (queues: number, workers: number): JobStore.Stats => ({
  now: 1_800_000_000_000,
  queues: Array.from({ length: queues }, (_, n) => queue(n)),
  workers: Array.from({ length: workers }, (_, n) => worker(n, 30_000))
})

const size = { columns: 80, rows: 24 }

describe("a screen of 80 by 24", () => {
  it("has all figures of a queue in a line, however long its name is", () => {
    const late = queue(1, {
      queue: "q".repeat(128),
      counts: { blocked: 3, scheduled: 4, ready: 123_456, running: 5, completed: 6, cancelled: 7, dead: 89 },
      oldestReadyAge: 3_600_000
    })
    const [, , , title, row] = screen(many(0, 0), { ...many(0, 1), queues: [late] }, size)
    assert.match(title!, /^QUEUE +READY +RUN +LATER +BLOCKED +DEAD +OLDEST$/)
    assert.match(row!, /^q+…q+ +123456 +5 +4 +3 +89 +1 h$/)
    assert.isAtMost([...row!].length, 80)
  })

  it("shows the queue that waits longest first, and workers beside any number of queues", () => {
    const stats = many(50, 30)
    const lines = screen(stats, {
      ...stats,
      queues: [...stats.queues, queue(99, { oldestReadyAge: 60_000 })],
      workers: [...stats.workers, worker(99, -5000)]
    }, size)
    assert.isAtMost(lines.length, 23)
    assert.match(lines[4]!, /^a-rather.*-99 /)
    const workers = lines.findIndex((line) => line.startsWith("WORKER"))
    assert.match(lines[workers + 1]!, /^host-99-.* over for 5 s /)
    assert.match(lines.at(-1)!, /^… \d+ more workers$/)
    const told = lines.filter((line) => line.startsWith("…")).map((line) => Number(/\d+/.exec(line)![0]))
    const seen = lines.filter((line) => line.startsWith("a-rather") || line.startsWith("host-")).length
    assert.strictEqual(seen + told.reduce((sum, count) => sum + count, 0), 51 + 31)
    for (const line of lines) assert.isAtMost([...line].length, 80)
  })

  it("leaves the room that few of one need to the other", () => {
    const lines = screen(many(2, 30), many(2, 30), size)
    assert.strictEqual(lines.filter((line) => line.startsWith("host-")).length, 14)
    assert.strictEqual(screen(many(30, 1), many(30, 1), size).filter((line) => line.startsWith("a-rather")).length, 15)
  })

  it("fits any terminal", () => {
    for (const rows of [3, 5, 10, 60]) {
      for (const columns of [20, 60, 200]) {
        const lines = screen(many(50, 30), many(50, 30), { columns, rows })
        assert.isBelow(lines.length, rows)
        for (const line of lines) assert.isAtMost([...line].length, columns)
      }
    }
  })
})

describe("an event", () => {
  const id = "01a21b1f-2073-7000-ab71-46b7558f9909"
  const event = (given: Partial<JobStore.RecordEvent> = {}): JobStore.RecordEvent => ({
    type: "completed",
    id: JobRecord.JobId(id),
    tag: "SendMail",
    queue: "mail",
    at: 1_800_000_000_000,
    attempt: 1,
    ...given
  })

  it("is one line of 80 columns, with the whole id, the job and why", () => {
    assert.strictEqual(eventLine(event(), 80), `08:00:00 completed ${id} SendMail#1 mail`)
    assert.strictEqual(eventLine(event({ type: "enqueued", attempt: 0 }), 80), `08:00:00 enqueued  ${id} SendMail mail`)
    const long = { tag: `billing/${"x".repeat(110)}`, queue: "q".repeat(128), attempt: 12 }
    const dead = eventLine(event({ ...long, type: "dead", reason: "Refused" }), 80)
    assert.match(dead, new RegExp(`^08:00:00 dead      ${id} bil\\w*…x+#12 Refused$`))
    assert.match(eventLine(event({ tag: "SendMail", type: "dead", reason: "r".repeat(500) }), 80), /SendMail#1 r+…$/)
    for (const columns of [20, 60, 80, 81, 100, 120, 400]) {
      for (
        const one of [event(), event(long), event({ ...long, reason: "r".repeat(500) }), event({ reason: "Refused" })]
      ) {
        assert.isAtMost([...eventLine(one, columns)].length, columns)
        if (columns >= 60) assert.include(eventLine(one, columns), id)
      }
    }
  })

  it("has its queue too where there is room, and moves no cursor", () => {
    const line = eventLine(event({ type: "dead", queue: "tenant\u001b[2J", reason: "\u202eno" }), 120)
    assert.strictEqual(line, `08:00:00 dead      ${id} SendMail#1 tenant\\u001b[2J \\u202eno`)
  })
})
