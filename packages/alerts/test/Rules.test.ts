import { AlertRule } from "@capstan/alerts"
import { assert, describe, it } from "vitest"

type Snapshot = Parameters<AlertRule.AlertRule["look"]>[0]

const queue = (over: Partial<Snapshot["queues"][number]> = {}): Snapshot["queues"][number] => ({
  queue: "mail",
  ready: 0,
  completed: 0,
  dead: 0,
  paused: false,
  isServed: true,
  ...over
})

const at = 10_000_000
const snapshot = (over: Partial<Snapshot> = {}): Snapshot => ({ at, queues: [], dead: [], schedules: [], ...over })

const death = (over: Partial<Snapshot["dead"][number]> = {}): Snapshot["dead"][number] => ({
  id: "1",
  job: "SendMail",
  queue: "mail",
  reason: "Failed, Refused",
  finishedAt: at - 1000,
  ...over
})

const titles = (rule: AlertRule.AlertRule, now: Snapshot, before?: Snapshot) =>
  rule.look(now, before).map(({ title }) => title)

describe("rules", () => {
  it("dead: one finding a job, of those that died lately", () => {
    const now = snapshot({
      dead: [death(), death({ id: "2" }), death({ job: "Bill", queue: "bills" }), death({ finishedAt: at - 3_600_000 })]
    })
    assert.deepStrictEqual(titles(AlertRule.dead(), now), ["SendMail: 2 records died", "Bill: 1 record died"])
    assert.deepStrictEqual(titles(AlertRule.dead({ jobs: ["Bill"] }), now), ["Bill: 1 record died"])
    assert.deepStrictEqual(titles(AlertRule.dead({ queues: ["mail"] }), now), ["SendMail: 2 records died"])
    assert.deepStrictEqual(titles(AlertRule.dead({ within: "0 seconds" }), now), [])
  })

  it("crashLoop: only those whose workers died", () => {
    const now = snapshot({ dead: [death(), death({ id: "2", reason: "Crashed" })] })
    assert.deepStrictEqual(titles(AlertRule.crashLoop(), now), ["SendMail: 1 record crashed workers again and again"])
    assert.deepStrictEqual(titles(AlertRule.crashLoop({ atLeast: 2 }), now), [])
  })

  it("oldestReady: beyond the bound, and not where it is paused", () => {
    const rule = AlertRule.oldestReady({ longerThan: "5 minutes" })
    const waits = { ready: 3, oldestReadyAge: 300_001 }
    assert.deepStrictEqual(titles(rule, snapshot({ queues: [queue(waits)] })), [
      "queue mail: the oldest ready record waits for 5m"
    ])
    assert.deepStrictEqual(titles(rule, snapshot({ queues: [queue({ ...waits, oldestReadyAge: 300_000 })] })), [])
    assert.deepStrictEqual(titles(rule, snapshot({ queues: [queue({ ...waits, paused: true })] })), [])
  })

  it("failureRate: doubts where too many may have died since the look before, and only of enough", () => {
    const rule = AlertRule.failureRate({ above: 0.2, atLeast: 10 })
    const before = snapshot({ at: at - 30_000, queues: [queue({ completed: 100, dead: 5 })] })
    const after = (completed: number, dead: number) => snapshot({ queues: [queue({ completed, dead })] })
    const doubts = (now: Snapshot, then?: Snapshot) => rule.look(now, then).map(({ doubt }) => doubt)
    assert.deepStrictEqual(doubts(after(107, 8), before), ["mail"])
    assert.deepStrictEqual(doubts(after(108, 7), before), [])
    // How many have completed is not known: as many may have been removed.
    assert.deepStrictEqual(doubts(after(100, 8), before), ["mail"])
    assert.deepStrictEqual(doubts(after(100, 7), before), [], "of ten it would be a fifth")
    assert.deepStrictEqual(doubts(after(20, 0), before), [])
    assert.deepStrictEqual(doubts(after(107, 8)), [], "the first look")
    // As many dead records were removed as died.
    const lately = [1, 2, 3].map((id) => death({ id: String(id) }))
    assert.deepStrictEqual(doubts({ ...after(100, 5), dead: lately }, before), ["mail"])
    assert.deepStrictEqual(doubts({ ...after(100, 5), dead: [death({ finishedAt: at - 30_000 })] }, before), [])
  })

  it("failureRate: what is heard decides", () => {
    const rule = AlertRule.failureRate({ above: 0.2, atLeast: 30 })
    const before = snapshot({ at: at - 30_000, queues: [queue()] })
    const heard = (completed: number, dead: number, forMillis = 10_000) =>
      rule.look(snapshot({ queues: [queue({ dead: 50, heard: { completed, dead, forMillis } })] }), before)
        .map(({ doubt, title }) => [title, doubt])
    assert.deepStrictEqual(heard(7, 3), [["queue mail: 30 % of what ends is dead", undefined]])
    assert.deepStrictEqual(heard(8, 2), [])
    assert.deepStrictEqual(heard(6, 3), [], "of a third of the time, too few")
    assert.deepStrictEqual(heard(0, 0), [], "it is over")
    assert.deepStrictEqual(heard(0, 0, 0), [["queue mail: 50 records died", "mail"]], "nothing could be heard")
  })

  it("noWorker: something is ready, nobody takes it, and it is not paused", () => {
    const alone = { ready: 1, isServed: false }
    assert.deepStrictEqual(titles(AlertRule.noWorker(), snapshot({ queues: [queue(alone)] })), [
      "queue mail: no worker"
    ])
    for (const over of [{ ready: 0 }, { isServed: true }, { paused: true }]) {
      assert.deepStrictEqual(titles(AlertRule.noWorker(), snapshot({ queues: [queue({ ...alone, ...over })] })), [])
    }
  })

  it("scheduleLate: overdue, declared by nobody, or its last run died", () => {
    const rule = AlertRule.scheduleLate({ by: "1 minute" })
    const schedules = [
      { name: "late", overdue: 60_001 },
      { name: "near", overdue: 60_000 },
      { name: "died", overdue: -5, failed: "dead" },
      { name: "gone", overdue: 0, isVanished: true }
    ]
    assert.deepStrictEqual(titles(rule, snapshot({ schedules })), [
      "schedule late is late",
      "schedule died: the last run is dead",
      "schedule gone does not run"
    ])
  })

  it("refuse options that make no sense", () => {
    assert.throws(() => AlertRule.failureRate({ above: 20 }), /above must be from 0 to 1/)
    assert.throws(() => AlertRule.oldestReady({ longerThan: "Infinity" }), /longerThan must be a finite duration/)
  })
})
