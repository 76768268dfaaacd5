import { describe, expect, it } from "vitest"
import { compare, isClean, type Ledgers, type Verdict } from "../src/ledger.ts"
import type { Figures } from "../src/report.ts"
import type { Sent } from "../src/sender.ts"
import type { Call } from "../src/service.ts"

const sent = (id: string, given: Partial<Sent> = {}): Sent => ({
  id,
  event: "push",
  isForged: false,
  isRepetition: false,
  status: 202,
  ...given
})
const call = (delivery: string, answer: Call["answer"]): Call => ({ delivery, job: "TrackCode", answer })
const row = (given: Partial<Figures> = {}): Figures => ({
  job: "TrackCode",
  records: 2,
  runs: 6,
  retried: 2,
  snoozed: 1,
  dead: 1,
  waits: [],
  durations: [],
  ...given
})

/** Two deliveries, of which the second came twice, and a forged one: four faults, and the second ends as rejected. */
const ledgers: Ledgers = {
  sent: [
    sent("a"),
    sent("b"),
    sent("b", { isRepetition: true, status: 200 }),
    sent("c", { isForged: true, status: 401 })
  ],
  effects: ["a", "b"],
  figures: [row(), row({ job: "TriageIssue", records: 0, runs: 0, retried: 0, snoozed: 0, dead: 0 })],
  calls: [
    call("a", "500"),
    call("b", "no answer after it was done"),
    call("a", "429"),
    call("a", "204 late"),
    call("b", "422"),
    call("a", "204")
  ]
}

const none: Verdict = { lost: [], doubled: [], invented: [], misjudged: [], miscounted: [] }

describe("the ledgers", () => {
  it("agree", () => {
    expect(compare(ledgers)).toEqual(none)
    expect(isClean(compare(ledgers))).toBe(true)
  })

  it.each<[string, Partial<Ledgers>, Partial<Verdict>]>([
    ["an effect that is lost", { effects: ["a"] }, { lost: ["b"] }],
    ["an effect that is doubled", { effects: ["a", "b", "a"] }, { doubled: ["a"] }],
    ["an effect that is invented", { effects: ["a", "b", "x"] }, { invented: ["x"] }],
    ["an effect of a forged delivery", { effects: ["a", "b", "c"] }, { invented: ["c"] }],
    [
      "a forged delivery that was accepted",
      { sent: [...ledgers.sent, sent("d", { event: "fork", isForged: true })], effects: ["a", "b", "d"] },
      { misjudged: ["d"], miscounted: ["TrackCode: 2 records, by the ledger 3"] }
    ],
    ["a repetition that became a record", { sent: [sent("a"), sent("b"), sent("b", { isRepetition: true })] }, {
      misjudged: ["b"],
      miscounted: ["TrackCode: 2 records, by the ledger 3"]
    }],
    ["a delivery that was refused", { sent: [sent("a"), sent("b"), sent("d", { status: 503 })] }, { misjudged: ["d"] }],
    ["a run too few", { figures: [row({ runs: 5 })] }, { miscounted: ["TrackCode: 5 runs, by the ledger 6"] }],
    ["a retry too many", { figures: [row({ retried: 3 })] }, { miscounted: ["TrackCode: 3 retried, by the ledger 2"] }],
    ["a snooze too few", { figures: [row({ snoozed: 0 })] }, { miscounted: ["TrackCode: 0 snoozed, by the ledger 1"] }],
    ["a dead record that is not", { figures: [row({ dead: 0 })] }, {
      miscounted: ["TrackCode: 0 dead, by the ledger 1"]
    }]
  ])("tell of %s", (_, wrong, found) => {
    const verdict = compare({ ...ledgers, ...wrong })
    expect(verdict).toEqual({ ...none, ...found })
    expect(isClean(verdict)).toBe(false)
  })
})
