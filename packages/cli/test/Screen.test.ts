/** What `top` shows in a terminal of a given size. */
import { assert, describe, it } from "@effect/vitest"
import { JobRecord, type JobStore } from "capstan"
import { eventLine, screen, wholeLine } from "../src/internal/live.ts"
import { briefWorkerTable, recordTable, workersText } from "../src/internal/view.ts"

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

  it("tells a snooze from a failure, on a screen and in a file", () => {
    const snoozed = event({ type: "retried", snoozed: true })
    assert.strictEqual(eventLine(snoozed, 80), `08:00:00 snoozed   ${id} SendMail#1 mail`)
    assert.match(wholeLine(snoozed), /Z {2}snoozed {4}/)
    assert.match(wholeLine(event({ type: "retried", reason: "Busy" })), /Z {2}retried {4}.*Busy$/)
  })
})

describe("a list of records", () => {
  const now = 1_800_000_000_000
  const record = (given: Partial<JobRecord.JobRecord> = {}): JobRecord.JobRecord => ({
    id: JobRecord.JobId("01a21b1f-2073-7000-ab71-46b7558f9909"),
    tag: "SendMail",
    version: 1,
    queue: "mail",
    priority: 0,
    payload: "{}",
    state: "completed",
    attempt: 1,
    fence: 1,
    crashes: 0,
    enqueuedAt: now - 59.9 * 60_000,
    sensitive: { payload: [], result: [], error: [], progress: [] },
    tags: [],
    headers: {},
    failures: [],
    attempts: [],
    logs: [],
    ...given
  } as JobRecord.JobRecord)
  const message = "the address bad@example.com is on a list of those that do not exist"
  const dead = record({
    tag: `billing/${"x".repeat(100)}`,
    queue: "q".repeat(100),
    state: "dead",
    deadReason: "Failed",
    failures: [{ attempt: 1, kind: "Declared", at: now, tag: "Refused", message }]
  } as Partial<JobRecord.JobRecord>)

  it("fits any terminal from 80 columns on, with the id whole and why", () => {
    for (let columns = 80; columns <= 260; columns++) {
      const lines = recordTable([record(), dead, record({ state: "scheduled" })], now, columns).split("\n")
      for (const line of lines) {
        assert.isAtMost([...line].length, columns)
      }
      assert.strictEqual(lines.filter((line) => line.startsWith(record().id)).length, 3)
      assert.match(lines.join("\n"), /Failed, Refus/)
    }
  })

  it("says why on a line of its own where there is no room beside", () => {
    const lines = recordTable([record(), dead], now, 80).split("\n")
    assert.match(lines[0]!, /^ID +JOB +STATE +TRY +AGE$/)
    assert.strictEqual(lines.length, 4)
    assert.match(lines[3]!, /^ {2}Failed, Refused: the address bad@example\.com is on a list .*…$/)
  })

  it("uses what a wider terminal has", () => {
    const [title, , row] = recordTable([record(), dead], now, 240).split("\n")
    assert.match(title!, /^ID +JOB +QUEUE +STATE +TRY +AGE +WHY$/)
    assert.include(row!, message)
    assert.include(recordTable([record()], now, 100), "SendMail")
  })

  it("is as wide as its cells in a file", () => {
    const [title, row] = recordTable([dead], now).split("\n")
    assert.match(title!, /^ID +JOB +QUEUE +STATE +ATTEMPT +AGE +WHY$/)
    assert.isAbove(row!.length, 160)
  })
})

describe("workers", () => {
  const at = (n: number, appVersion: string | undefined, leaseLeft = 30_000): JobStore.WorkerStats => ({
    ...worker(n, leaseLeft),
    process: { host: `web-${n}`, pid: 4000 + n, capstanVersion: "0.1.0", appVersion }
  })

  it("are told with where they run, and which versions of the code are beside each other", () => {
    const text = workersText([at(1, "2.0"), at(2, "2.0"), at(3, "1.9"), worker(4, 30_000)])
    assert.match(text, /^WORKER +HOLDS +LEASE +RUNS ON +VERSION +CAPSTAN +QUEUES$/m)
    assert.match(text, /30 s +web-1#4001 +2\.0 +0\.1\.0 +a-rather/)
    assert.include(
      text,
      "3 versions of the application at work: 2.0 (2 workers), 1.9 (1 worker), one that says none (1 worker)"
    )
    assert.include(text, "2 versions of capstan at work: 0.1.0 (3 workers), one that says none (1 worker)")
  })

  it("of one version, or that are gone, are no skew", () => {
    assert.notInclude(workersText([at(1, "2.0"), at(2, "2.0"), at(3, "1.9", -5)]), "versions")
    assert.notInclude(workersText([at(1, undefined)]), "versions")
  })

  it("say where they run in a wide terminal", () => {
    const wide = briefWorkerTable([at(1, "2.0")], 120).split("\n")
    assert.match(wide[0]!, /^WORKER +HOLDS +LEASE +RUNS ON +VERSION +QUEUES$/)
    assert.include(wide[1]!, "web-1#4001  2.0")
    assert.notInclude(briefWorkerTable([at(1, "2.0")], 80), "web-1#")
  })
})
