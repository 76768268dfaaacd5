/** An audit that cannot fail is no evidence: each of its words is found in a ledger that deserves it, and in no other. */
import { describe, expect, it } from "vitest"
import { audit, type Findings, wallClock } from "../chaos/src/audit.ts"
import { inversions } from "../chaos/src/faults/chain.ts"
import { blame } from "../chaos/src/faults/poison.ts"
import { balancesAfter, opening } from "../chaos/src/jobs/bank.ts"
import { doubledOf, instantsOf, missedOf, period } from "../chaos/src/jobs/ticks.ts"
import type { Entry, Kind } from "../chaos/src/ledger.ts"
import { shiftClock } from "../chaos/src/shiftClock.ts"
import type { Framing, Piece, Stored } from "../chaos/src/store.ts"
import { store } from "../chaos/src/stores/pg.ts"
import { store as redis } from "../chaos/src/stores/redis.ts"
import { names, removes } from "../chaos/src/stores/redisSafeguards.ts"

type Told = readonly [by: string, kind: Kind, about?: Partial<Entry>]

/** In the order of time, 1 ms apart. */
const ledger = (...told: ReadonlyArray<Told>): ReadonlyArray<Entry> =>
  told.map(([by, kind, about], i) => ({ kind, by, at: i + 1, n: 0, id: "", fence: 0, word: "", ...about }))

const a1 = { n: 1, id: "a", fence: 1 }
const a3 = { n: 1, id: "a", fence: 3 }

const sent: ReadonlyArray<Told> = [["producer", "sent", { n: 1 }], ["producer", "acknowledged", { n: 1, id: "a" }]]

/** A whole attempt, with the answer to its settlement. */
const attempt = (by: string, of: Partial<Entry>, answer = "Done"): ReadonlyArray<Told> => [
  [by, "claim", of],
  [by, "start", of],
  [by, "end", of],
  [by, "ask", { ...of, word: "settle" }],
  [by, "answer", { ...of, word: `settle ${answer}` }]
]

const stored = (about: Partial<Stored> = {}): Stored => ({
  id: "a",
  tag: "Work",
  payload: "{\"n\":1}",
  state: "completed",
  result: "{\"fence\":1}",
  attempt: 1,
  failed: [],
  deaths: [],
  ...about
})

const words = ({ doneTwice, duplicated, ghost, lost, stale, unexpected }: Findings) => ({
  lost: lost.length,
  unexpected: unexpected.length,
  duplicated,
  doneTwice: doneTwice.length,
  ghost: ghost.length,
  staleAccepted: stale.accepted,
  staleRefused: stale.refused
})

const clean = {
  lost: 0,
  unexpected: 0,
  duplicated: 0,
  doneTwice: 0,
  ghost: 0,
  staleAccepted: 0,
  staleRefused: 0
}

const result3 = { result: "{\"fence\":3}" }

describe("the audit", () => {
  it("finds nothing in a run without faults", () => {
    expect(words(audit(ledger(...sent, ...attempt("w1", a1)), [stored()]))).toEqual(clean)
  })

  it.each<readonly [string, ReadonlyArray<Told>, ReadonlyArray<Stored>, Partial<typeof clean>]>([
    ["what is acknowledged and not there", sent, [], { lost: 1 }],
    ["what is acknowledged and only waits", sent, [stored({ state: "waiting", result: undefined })], { lost: 1 }],
    ["what died of its workers' deaths", sent, [stored({ state: "dead", result: undefined })], { lost: 1 }],
    ["what nobody sent", attempt("w1", a1), [stored()], { unexpected: 1 }],
    [
      "what was refused and runs all the same",
      [["producer", "sent", { n: 1 }], ["producer", "refused", { n: 1 }], ...attempt("w1", a1)],
      [stored()],
      { unexpected: 1 }
    ],
    [
      "what was stored twice",
      [...sent, ...attempt("w1", a1), ...attempt("w1", { ...a1, id: "b" })],
      [stored(), stored({ id: "b" })],
      { unexpected: 1 }
    ],
    ["what is completed, and no handler has ended", sent, [stored()], { unexpected: 1 }],
    [
      "a second run after a death",
      [...sent, ["w1", "claim", a1], ["w1", "start", a1], ...attempt("w2", a3)],
      [stored(result3)],
      { duplicated: 1 }
    ],
    [
      "two rows of one record",
      [...sent, ...attempt("w1", a1)],
      [stored(), stored()],
      { doneTwice: 1 }
    ],
    [
      "two completions that were taken",
      [...sent, ...attempt("w1", a1), ...attempt("w2", a3)],
      [stored(result3)],
      { duplicated: 1, doneTwice: 1 }
    ],
    [
      "a completion by a stale attempt",
      [
        ...sent,
        ["w1", "claim", a1],
        ["w1", "start", a1],
        ["w2", "claim", a3],
        ["w2", "start", a3],
        ["w1", "end", a1],
        ["w1", "ask", { ...a1, word: "settle" }],
        ["w1", "answer", { ...a1, word: "settle Done" }]
      ],
      [stored()],
      { duplicated: 1, ghost: 1, staleAccepted: 1 }
    ],
    [
      "a stale write that was refused",
      [...sent, ...attempt("w1", a1, "LeaseLost"), ...attempt("w2", a3)],
      [stored(result3)],
      { duplicated: 1, staleRefused: 1 }
    ],
    [
      "progress of a stale attempt",
      [
        ...sent,
        ["w1", "claim", a1],
        ["w1", "start", a1],
        ...attempt("w2", a3),
        ["w1", "ask", { ...a1, word: "write" }],
        ["w1", "answer", { ...a1, word: "write Done" }]
      ],
      [stored(result3)],
      { duplicated: 1, staleAccepted: 1 }
    ]
  ])("finds %s", (_, told, records, found) => {
    expect(words(audit(ledger(...told), records))).toEqual({ ...clean, ...found })
  })

  it("takes a settlement that is sent again for one", () => {
    const again: ReadonlyArray<Told> = [
      ["w1", "unanswered", { ...a1, word: "settle" }],
      ["w1", "ask", { ...a1, word: "settle" }],
      ["w1", "answer", { ...a1, word: "settle Done" }]
    ]
    expect(words(audit(ledger(...sent, ...attempt("w1", a1).slice(0, 4), ...again), [stored()]))).toEqual(clean)
  })

  it("measures from a death to the next claim of what was held", () => {
    const entries = ledger(
      ...sent,
      ["w1", "claim", a1],
      ["w1", "start", a1],
      ["runner", "fault", { id: "w1", word: "kill" }],
      ...attempt("w2", a3)
    )
    expect(audit(entries, [stored(result3)]).recovery).toEqual([1])
  })

  it("counts how many attempts of a key run at a time, until they end or their process dies", () => {
    const of = (id: string) => ({ id, fence: 1, word: "Narrow/k" })
    const entries = ledger(
      ["w1", "start", of("a")],
      ["w1", "start", of("b")],
      ["w1", "end", of("a")],
      ["runner", "fault", { id: "w1", word: "kill" }],
      ["w2", "start", of("c")]
    )
    expect(audit(entries, []).highest.get("Narrow/k")).toBe(2)
  })
})

/** The same bytes come out, however they arrive. */
const passThrough = (framing: Framing, bytes: Buffer, size: number): ReadonlyArray<Piece> => {
  const take = framing()
  const pieces: Array<Piece> = []
  for (let at = 0; at < bytes.length; at += size) pieces.push(...take(bytes.subarray(at, at + size)))
  expect(Buffer.concat(pieces.map((piece) => piece.bytes))).toEqual(bytes)
  return pieces
}

const tick = (name: "once" | "all", at: number): Stored =>
  stored({ id: `${name} ${at}`, tag: "Tick", payload: JSON.stringify({ name, at }) })

describe("poison", () => {
  const poison = (by: string): ReadonlyArray<Told> => [[by, "claim", { id: "p" }], [by, "start", { id: "p" }]]
  const beside = (by: string): Told => [by, "claim", { id: "s" }]
  /** After so many entries of the ledger. */
  const death = (after: number, charged: boolean) => ({ at: wallClock + after + 0.5, charged })
  const judged = (told: ReadonlyArray<Told>, ofPoison: Stored["deaths"], ofOther: Stored["deaths"] = []) => {
    const { nobody, others, runs } = blame({
      entries: ledger(...told),
      stored: [stored({ id: "p", tag: "Poison", deaths: ofPoison }), stored({ id: "s", deaths: ofOther })]
    })
    return { runs, others, nobody: nobody.length }
  }

  it("is charged with each of its runs", () => {
    expect(judged([...poison("w1"), ...poison("w2")], [death(2, true), death(4, true)]))
      .toEqual({ runs: 2, others: 0, nobody: 0 })
  })

  it("is not where its worker held one that had crashed others before, and was charged instead", () => {
    const told = [beside("w1"), ...poison("w1"), beside("w2"), ...poison("w2")]
    const ofPoison = [death(3, true), death(6, false)]
    expect(judged(told, ofPoison, [death(3, true), death(6, true)])).toEqual({ runs: 2, others: 1, nobody: 0 })
    // Its worker had not been told.
    expect(judged([...told.slice(0, 3), ...poison("w2")], [death(3, true), death(5, false)], [
      death(3, true),
      death(5, true)
    ])).toEqual({ runs: 2, others: 1, nobody: 0 })
    // Charged at the same time, and no suspect; a suspect that was not charged; one that another worker had.
    expect(judged(told, ofPoison, [death(6, true)])).toEqual({ runs: 2, others: 0, nobody: 1 })
    expect(judged(told, ofPoison, [death(3, true), death(6, false)])).toEqual({ runs: 2, others: 0, nobody: 1 })
    const apart = [...told.slice(0, 3), beside("w3"), ...poison("w2")]
    expect(judged(apart, ofPoison, [death(3, true), death(6, true)])).toEqual({ runs: 2, others: 0, nobody: 1 })
  })

  it("that nobody was charged with is found", () => {
    expect(judged(poison("w1"), [death(2, false)])).toEqual({ runs: 1, others: 0, nobody: 1 })
    expect(judged(poison("w1"), [])).toEqual({ runs: 1, others: 0, nobody: 1 })
  })
})

describe("the instants of a schedule", () => {
  it.each<readonly [string, ReadonlyArray<number>, { readonly missed: number; readonly doubled: number }]>([
    ["each has its record", [1, 2, 3], { missed: 0, doubled: 0 }],
    ["one has none", [1, 3], { missed: 1, doubled: 0 }],
    ["one has two", [1, 2, 2, 3], { missed: 0, doubled: 1 }]
  ])("%s", (_, seconds, found) => {
    const instants = instantsOf([...seconds.map((at) => tick("all", at * period)), tick("once", 7 * period)], "all")
    expect({ missed: missedOf(instants), doubled: doubledOf(instants) }).toEqual(found)
  })
})

describe("the accounts of a bank", () => {
  it("have what completed transfers have moved, and nothing else", () => {
    const transfer = (about: Partial<Stored>) =>
      stored({ tag: "Transfer", payload: "{\"n\":1,\"from\":1,\"to\":2,\"amount\":5}", ...about })
    const balances = balancesAfter([transfer({}), transfer({ state: "waiting" })])
    expect(balances.slice(0, 3)).toEqual([opening - 5, opening + 5, opening])
  })
})

describe("a chain", () => {
  const link = (id: string, n: number, about: Partial<Stored> = {}) => stored({ id, payload: `{"n":${n}}`, ...about })
  const run = (id: string): ReadonlyArray<Told> => [["w1", "start", { id, fence: 1 }], ["w1", "end", { id, fence: 1 }]]

  it("has no inversion where each link begins after the end of the one before", () => {
    expect(inversions({ entries: ledger(...run("a"), ...run("b")), stored: [link("b", 2), link("a", 1)] })).toEqual([])
  })

  it("has one where a link begins before the last end of the one before", () => {
    const again = ledger(...run("a"), ...run("b"), ...run("a"))
    expect(inversions({ entries: again, stored: [link("a", 1), link("b", 2)] })).toHaveLength(1)
  })
})

describe("a clock that is off", () => {
  it("shows in every way in which a program asks for the time, and nowhere else", () => {
    const real = globalThis.Date
    shiftClock(600_000)
    const shifted = [Date.now(), new Date().getTime()]
    const fixed = new Date(5).getTime()
    globalThis.Date = real
    for (const at of shifted) expect(at - Date.now()).toBeGreaterThan(599_000)
    expect(fixed).toBe(5)
  })
})

describe("the controls of Redis", () => {
  it.each(names)("find %s in the scripts, to take it away", (safeguard) => {
    expect(() => removes(safeguard)).not.toThrow()
  })
})

describe("the framing of Redis", () => {
  const replies = ["*2\r\n$1\r\na\r\n*1\r\n:1\r\n", "$4\r\n\r\n\r\n\r\n", "$-1\r\n", ":17\r\n", "_\r\n"]
  const others = [
    "+OK\r\n",
    "-NOSCRIPT none\r\n",
    "%1\r\n$6\r\nserver\r\n$5\r\nredis\r\n",
    "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n",
    "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\nhint\r\n",
    ">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$4\r\nhint\r\n"
  ]
  const bytes = Buffer.from([...others, ...replies, ...others].join(""))

  it.each([1, 3, 1000])("lets whole replies to scripts be lost, and nothing else, in chunks of %s", (size) => {
    const pieces = passThrough(redis.framing, bytes, size)
    expect(pieces.filter(({ isReply }) => isReply).map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(replies)
    expect(pieces).toHaveLength(replies.length + 2 * others.length)
  })
})

describe("the framing of Postgres", () => {
  const message = (type: string, body: string): Buffer => {
    const bytes = Buffer.alloc(5 + body.length)
    bytes.write(type)
    bytes.writeUInt32BE(4 + body.length, 1)
    bytes.write(body, 5)
    return bytes
  }
  const startUp = Buffer.concat([message("R", "0000"), message("Z", "I")])
  const reply = Buffer.concat([message("2", ""), message("D", "row"), message("C", "SELECT 1"), message("Z", "I")])

  const pass = (bytes: Buffer, size: number) => passThrough(store.framing, bytes, size)

  it.each([1, 3, 1000])("takes a reply as one piece that may be lost, in chunks of %s", (size) => {
    expect(pass(Buffer.concat([startUp, reply]), size).filter(({ isReply }) => isReply).map(({ bytes }) => bytes))
      .toEqual([reply])
  })

  it("lets no reply be lost before its transaction is committed", () => {
    expect(pass(Buffer.concat([startUp, message("C", "BEGIN"), message("Z", "T")]), 7).some(({ isReply }) => isReply))
      .toBe(false)
  })

  it("does not hold up a notification", () => {
    expect(pass(Buffer.concat([startUp, message("A", "hint")]), 1000)).toHaveLength(2)
  })
})
