/**
 * What is committed of the faults: a row for each of them, for its control, and for each other system that it strikes, and in
 * each row how often it really struck. `npm run chaos -- --long` writes it.
 */
import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { faults, faultsOf, isQuick } from "../chaos/src/faults/index.ts"
import { growth } from "../chaos/src/faults/soak.ts"
import type { Entry } from "../chaos/src/ledger.ts"
import { auditPeer } from "../chaos/src/peerAudit.ts"
import { format, type Results, type Row } from "../chaos/src/report.ts"
import { faultsIn } from "../chaos/src/results.ts"
import { loadStore, stores } from "../chaos/src/store.ts"

const kept = (name: string): Results =>
  JSON.parse(readFileSync(new URL(`../chaos/results/${name}.json`, import.meta.url), "utf8"))

it("every fault of the proof's table can strike", () => {
  const ids = new Set(faults.map(({ id }) => id))
  expect(Array.from({ length: 21 }, (_, i) => `F${i + 1}`).filter((id) => !ids.has(id))).toEqual([])
})

it.each(stores)(
  "a quick run on %s has what each change is to stand, and says on its page what it leaves out",
  async (name) => {
    const all = faultsOf(await loadStore(name))
    const quick = new Set(all.filter((fault) => isQuick(fault, name)).map(({ id }) => id))
    const needed = ["F1", "F3", "F4", "F5", "F6", "F8", "F11", "F19", "F21", ...(name === "pg" ? ["F20"] : [])]
    expect(needed.filter((id) => !quick.has(id))).toEqual([])
    const page = readFileSync(new URL("../chaos/README.md", import.meta.url), "utf8")
    const [, told] = /`--quick` leaves out ([^.]+)\./.exec(page)!
    const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => `F${from + i}`)
    const named = new Set(
      told!.split(", and on Postgres ").slice(0, name === "pg" ? 2 : 1).flatMap((part) =>
        [...part.matchAll(/F(\d+)(?: to F(\d+))?/g)].flatMap(([, from, to]) => range(Number(from), Number(to ?? from)))
      )
    )
    expect(all.filter(({ id }) => quick.has(id) === named.has(id)).map(({ id }) => id)).toEqual([])
  }
)

describe.each(stores)("the results of %s", (name) => {
  it("have every fault, and every row says how often it struck", async () => {
    expect(faultsIn(name, await loadStore(name), kept(name))).toEqual([])
  })

  it("are found wanting without a row, and with one whose fault never struck", async () => {
    const store = await loadStore(name)
    const { rows, ...others } = kept(name)
    const [first, second, ...rest] = rows as readonly [Row, Row, ...ReadonlyArray<Row>]
    expect(faultsIn(name, store, { ...others, rows: [second, ...rest] })).toHaveLength(1)
    for (const struck of [{}, { ...first.figures.struck, kill: 0 }] as ReadonlyArray<Row["figures"]["struck"]>) {
      const never = { ...first, figures: { ...first.figures, struck } }
      expect(faultsIn(name, store, { ...others, rows: [never, second, ...rest] })).toHaveLength(1)
    }
  })

  it("lack all of it when they are empty", async () => {
    const lacking = faultsIn(name, await loadStore(name), { server: "", format, rows: [] })
    for (const id of ["F16", "F17", "F18"]) expect(lacking).toContain(`${id} capstan: no row`)
    expect(lacking.filter((line) => /bullmq|pg-boss|graphile/.test(line)).length).toBeGreaterThanOrEqual(3)
  })
})

/** What the tables of the page say is what `npm run figures` fills them with (`scale.test.ts`); this is what its words say of them. */
it("the page says how many were replayed and how often poison ran, as was found", () => {
  const page = readFileSync(new URL("../chaos/README.md", import.meta.url), "utf8").replaceAll(/\s+/g, " ")
  const ours = (name: string) =>
    kept(name).rows.filter(({ system, without }) => system === "capstan" && without === undefined)
  const replayed = (name: string) => ours(name).reduce((sum, { figures }) => sum + figures.replayed, 0)
  const poison = (name: string) => ours(name).find(({ fault }) => fault === "F8")!.figures.struck["killed itself"]
  const said = (words: RegExp) => words.exec(page)?.slice(1).map(Number)
  expect(said(/(\d+) records of ours that three deaths hit by chance/)).toEqual([replayed("pg")])
  expect(said(/(\d+) records of ours were replayed/)).toEqual([replayed("redis")])
  expect(said(/there were (\d+) runs on Postgres and (\d+) on Redis in the runs below/)).toEqual([
    poison("pg"),
    poison("redis")
  ])
})

describe("the audit of other systems", () => {
  const entry = (at: number, kind: Entry["kind"], of: Partial<Entry>): Entry => ({
    kind,
    at: at * 1000,
    by: "w1",
    n: 1,
    id: "a",
    fence: 1,
    word: "",
    ...of
  })
  const sent = [entry(0, "sent", {}), entry(0, "acknowledged", {})]
  /** Frozen in its attempt, which another worker takes over. */
  const twice = [
    ...sent,
    entry(1, "start", {}),
    entry(2, "fault", { id: "w1", word: "freeze" }),
    entry(5, "start", { by: "w2", fence: 2 }),
    entry(6, "end", {}),
    entry(9, "end", { by: "w2", fence: 2 })
  ]
  const wall = Date.now() - Number(process.hrtime.bigint()) / 1e6
  const record = (second: number | undefined) => [{
    id: "a",
    n: 1,
    state: second === undefined ? "waiting" as const : "completed" as const,
    completedAt: second === undefined ? undefined : wall + second * 1000
  }]

  it("finds what was acknowledged and is not done", () => {
    expect(auditPeer(sent, record(undefined)).lost).toHaveLength(1)
    expect(auditPeer([...sent, entry(1, "start", {}), entry(2, "end", {})], record(2)).lost).toHaveLength(0)
  })

  it("finds what was sent once and is there twice", () => {
    const runs = [
      entry(1, "start", {}),
      entry(2, "end", {}),
      entry(3, "start", { id: "b" }),
      entry(4, "end", { id: "b" })
    ]
    const both = [...record(2), ...record(4).map((one) => ({ ...one, id: "b" }))]
    expect(auditPeer([...sent, ...runs], both).unexpected).toEqual(["1 is there 2 times"])
    expect(auditPeer([...sent, ...runs.slice(0, 2)], record(2)).unexpected).toEqual([])
  })

  it("finds a stale completion that was taken, and knows one that was refused", () => {
    expect(auditPeer(twice, record(6)).stale).toMatchObject({ attempted: 1, accepted: 1, refused: 0 })
    expect(auditPeer(twice, record(6)).ghost).toHaveLength(1)
    expect(auditPeer(twice, record(9)).stale).toMatchObject({ attempted: 1, accepted: 0, refused: 1 })
  })

  it("takes a completion by a third attempt for its own, whatever became of the second", () => {
    const third = [
      ...twice.slice(0, -1),
      entry(10, "start", { by: "w3", fence: 3 }),
      entry(12, "end", { by: "w3", fence: 3 })
    ]
    expect(auditPeer(third, record(12)).ghost).toEqual([])
  })

  it("sees that an attempt was frozen between its end and its settlement", () => {
    const late = [
      ...sent,
      entry(1, "start", {}),
      entry(2, "end", {}),
      entry(2.01, "fault", { id: "w1", word: "freeze" }),
      entry(4, "start", { by: "w2", fence: 2 }),
      entry(6, "fault", { id: "w1", word: "thaw" }),
      entry(9, "end", { by: "w2", fence: 2 })
    ]
    expect(auditPeer(late, record(6)).stale).toMatchObject({ attempted: 1, accepted: 1 })
    expect(auditPeer(late, record(9)).stale).toMatchObject({ attempted: 1, accepted: 0 })
  })

  it("measures from a freeze to the next attempt", () => {
    expect(auditPeer(twice, record(9))).toMatchObject({ duplicated: 1, recovery: [3000] })
  })
})

describe("the growth of a soak", () => {
  it("is seen in a leak, and not in a saw", () => {
    const grownBy = (values: ReadonlyArray<number>) => growth(values).grown / growth(values).mean
    expect(grownBy(Array.from({ length: 600 }, (_, i) => 1000 + i))).toBeGreaterThan(0.3)
    expect(Math.abs(grownBy(Array.from({ length: 600 }, (_, i) => 1000 + 50 * (i % 20))))).toBeLessThan(0.05)
  })
})
