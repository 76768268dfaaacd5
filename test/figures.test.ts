/** The pictures of `docs/figures` show what is committed of the benchmarks and of the fault runs, and nothing else. */
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { type FaultRow, faults } from "../scripts/figures/faults.ts"
import { figures } from "../scripts/figures/read.ts"
import { speed, type SpeedRow } from "../scripts/figures/speed.ts"

const root = fileURLToPath(new URL("../", import.meta.url))
const pictures = figures(root)

it("are what the results say (npm run figures)", () => {
  const found = new Map(
    readdirSync(`${root}docs/figures`).filter((name) => /\.svg$|^chaos-/.test(name))
      .map((name) => [name, readFileSync(`${root}docs/figures/${name}`, "utf8")])
  )
  expect([...found.keys()].toSorted()).toEqual([...pictures.keys()].toSorted())
  expect([...pictures].filter(([name, svg]) => found.get(name) !== svg).map(([name]) => name)).toEqual([])
})

it("are of every store, and of both kinds of seeds", () => {
  const named = (folder: string) => readdirSync(root + folder).filter((name) => name.endsWith(".json"))
  expect(pictures.size).toBe(named("benchmarks/results").length + 2 * named("chaos/results").length + 2)
})

it.each(["pg", "redis"])("chaos-%s.json has a row for each fault and system, and says what was found", (store) => {
  const rows: ReadonlyArray<Record<string, unknown>> = JSON.parse(pictures.get(`chaos-${store}.json`)!)
  const ours = new Set(
    rows.filter(({ system, without }) => system === "capstan" && without === undefined).map(({ fault }) => fault)
  )
  expect(
    Array.from({ length: 21 }, (_, i) => `F${i + 1}`).filter((id) =>
      !ours.has(id) && !(store === "redis" && /^F(15|20)$/.test(id))
    )
  ).toEqual([])
  for (const { figures, pass } of rows) expect([typeof figures, typeof pass]).toEqual(["object", "boolean"])
})

it.each([...pictures].filter(([name]) => name.endsWith(".svg")))(
  "%s is read without this page's scheme, program or font",
  (_, svg) => {
    expect(svg).toContain("prefers-color-scheme: dark")
    expect(svg).toMatch(/^<svg [^>]*role="img" aria-label="[^"]+"/)
    expect(svg).not.toMatch(/<script|href=|url\(|@import/)
  }
)

const row = (given: Partial<SpeedRow>): SpeedRow => ({
  scenario: "drain-c1",
  system: "capstan",
  variant: "",
  unit: "jobs/s",
  median: 1000,
  min: 900,
  max: 1100,
  rounds: 5,
  date: "2026-01-01",
  ...given
})

/** The width of each bar, by its look. */
const bars = (svg: string, look: string) =>
  [...svg.matchAll(new RegExp(`<rect [^>]*width="([\\d.]+)"[^>]*class="${look}"`, "g"))].map(([, width]) =>
    Number(width)
  )

describe("a picture of speed", () => {
  const rival = row({ system: "bullmq", median: 250, min: 240, max: 260 })

  it("has bars as long as their medians, and whiskers from least to greatest", () => {
    const svg = speed("Redis", [row({}), rival])
    const [ours] = bars(svg, "bar-ours")
    const [theirs] = bars(svg, "bar")
    expect(theirs! / ours!).toBeCloseTo(0.25, 2)
    const [, from, to] = /<line x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)" y2="[\d.]+" class="whisker"/.exec(svg)!
    expect((Number(to) - Number(from)) / ours!).toBeCloseTo(0.2, 2)
    expect(svg).toContain(">250 /s (0.3x)<")
  })

  it("puts the better rival first, which is the lesser one of times", () => {
    const order = (unit: string) =>
      [
        ...speed("Redis", [
          row({ unit }),
          row({ unit, system: "bullmq", median: 3 }),
          row({ unit, system: "pg-boss", median: 2 })
        ])
          .matchAll(/>(BullMQ|pg-boss|Capstan)</g)
      ].map(([, name]) => name)
    expect(order("jobs/s")).toEqual(["Capstan", "BullMQ", "pg-boss"])
    expect(order("ms")).toEqual(["Capstan", "pg-boss", "BullMQ"])
  })

  it("says on which days it was measured", () => {
    expect(speed("Redis", [row({}), rival])).toContain(">2026-01-01<")
    expect(speed("Redis", [row({ date: "2026-01-03" }), row({ ...rival, date: "2026-01-02" })]))
      .toContain(">2026-01-02 to 2026-01-03<")
  })

  it("has no panel without a rival, and no pass of cold code", () => {
    expect(bars(speed("Redis", [row({}), row({ system: "limit" })]), "bar-ours")).toEqual([])
    expect(bars(speed("Redis", [row({}), row({ ...rival, variant: "cold" })]), "bar-ours")).toEqual([])
  })
})

describe("a picture of faults", () => {
  const none = { lost: 0, unexpected: 0, doneTwice: 0, ghost: 0, stuck: 0, staleWrites: { accepted: 0 } }
  const fault = (given: Partial<FaultRow>): FaultRow => ({
    fault: "F1",
    title: "kills",
    figures: none,
    seed: 1,
    seconds: 60,
    commit: "c",
    date: "2026-01-01T00:00:00Z",
    pass: true,
    ...given
  })
  const of = (...rows: ReadonlyArray<FaultRow>): string => faults("Postgres", { server: "s", rows })

  it("names each commit of a run that was made in parts, and its last day", () => {
    expect(of(fault({}), fault({ commit: "d", date: "2026-01-02T00:00:00Z" }))).toContain("commit c, d, 2026-01-02")
  })

  it("marks what is above zero, and nothing that is not", () => {
    const svg = of(fault({}), fault({ without: "fence", figures: { ...none, ghost: 3, staleWrites: { accepted: 7 } } }))
    expect(bars(svg, "good").length).toBe(10)
    expect([...svg.matchAll(/class="bad-text"[^>]*>(\d+)</g)].map(([, count]) => count)).toEqual(["3", "7"])
  })

  it("has others beside ours under the same fault, before what is without a safeguard", () => {
    const svg = of(fault({}), fault({ without: "fence" }), fault({ system: "pg-boss", pass: false }))
    expect([...svg.matchAll(/>(Capstan|pg-boss|control: no fence)</g)].map(([, name]) => name))
      .toEqual(["Capstan", "pg-boss", "control: no fence"])
  })

  it("leaves empty what a ledger cannot tell of a system", () => {
    const svg = of(fault({ system: "BullMQ", figures: { lost: 2 } }))
    expect(bars(svg, "good").length).toBe(0)
    expect(bars(svg, "bad").length).toBe(1)
  })
})
