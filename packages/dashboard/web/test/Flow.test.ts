/** A flow as a picture and in words: where its nodes stand, what its edges say, and a large one. */
import { Flow } from "capstan"
import { Effect } from "effect"
import { afterAll, assert, beforeAll, describe, it } from "vitest"
import { accessible, Charge, closeBrowser, look, Mail, serve, Sync, type World } from "../../browser/harness.ts"
import { type GraphNode, layout, sizes } from "../src/layout.ts"

class Nightly extends Flow.make("Nightly")
  .node("regions", Sync)
  .list("invoices", Charge, { after: { regions: "fail" } })
  .list("mails", Mail, { after: { regions: "cancelSiblings" } })
  .node("report", Mail, { after: { invoices: "fail", mails: "ignore" } })
  .node("archive", Sync, { after: { report: "fail", regions: "fail" } })
{}

describe("the layout", () => {
  const graph: ReadonlyArray<GraphNode> = [
    { name: "a", after: [] },
    { name: "b", after: [] },
    { name: "x", after: ["b"] },
    { name: "y", after: ["a"] },
    { name: "z", after: ["x", "y", "a"] }
  ]

  it("puts a node right of all that it waits for", () => {
    const { lines, nodes } = layout(graph)
    const layerOf = new Map(nodes.map(({ layer, name }) => [name, layer]))
    assert.deepStrictEqual(Object.fromEntries(layerOf), { a: 0, b: 0, x: 1, y: 1, z: 2 })
    for (const { points } of lines) {
      for (let i = 1; i < points.length; i++) assert.isAbove(points[i]!.x, points[i - 1]!.x)
    }
  })

  it("crosses no edges where it can be avoided", () => {
    const { nodes } = layout(graph)
    const placeOf = (name: string) => nodes.find((node) => node.name === name)!.place
    assert.strictEqual(Math.sign(placeOf("x") - placeOf("y")), Math.sign(placeOf("b") - placeOf("a")))
  })

  it("lets no two nodes overlap, and none stand outside, in a graph of 400 nodes", () => {
    const large = Array.from({ length: 400 }, (_, i): GraphNode => ({
      name: `${i}`,
      after: i < 20 ? [] : [`${i - 20 + i % 7}`, `${i * 7919 % 20}`, `${i - 1 - i % 19}`]
    }))
    const { height, nodes, width } = layout(large)
    assert.strictEqual(nodes.length, 400)
    const layers = Map.groupBy(nodes, ({ layer }) => layer)
    for (const layer of layers.values()) {
      const tops = layer.toSorted((a, b) => a.place - b.place).map(({ at }) => at.y)
      for (let i = 1; i < tops.length; i++) assert.isAtLeast(tops[i]! - tops[i - 1]!, sizes.height)
    }
    for (const { at } of nodes) {
      assert.isAtLeast(at.y, 0)
      assert.isAtMost(at.y + sizes.height, height)
      assert.isAtMost(at.x + sizes.width, width)
    }
  })

  it("leaves out edges to nodes that are not before", () => {
    const { lines } = layout([{ name: "a", after: ["b", "a", "nowhere"] }, { name: "b", after: ["a"] }])
    assert.deepStrictEqual(lines.map(({ from, to }) => [from, to]), [["a", "b"]])
  })
})

describe("the page of a flow", () => {
  let world: World
  const children = 9_990

  beforeAll(async () => {
    world = await serve()
  })
  afterAll(async () => {
    await closeBrowser()
    await world.close()
  })

  const started = (mails: number, amounts: ReadonlyArray<number>) =>
    world.run(Effect.map(
      Nightly.start({
        regions: { account: "z" },
        invoices: amounts.map((amount, i) => ({ order: `${i}`, amount })),
        mails: Array.from({ length: mails }, (_, i) => ({ to: `n${i}@example.com`, body: i })),
        report: { to: "boss", body: 1 },
        archive: { account: "q" }
      }),
      ({ id }) => id
    ))

  it("draws ten thousand children as one node, and answers the keys at once", async () => {
    const id = await started(children, [1, -1])
    const { close, complaints, page } = await look(world, `/flows/${id}`)
    const node = (name: string) =>
      page.getByRole("region", { name: "Graph" }).getByRole("button", { name: new RegExp(`^(${name})\\b`) })
    await node("regions").waitFor()
    await page.getByRole("button", { name: /^mails ×9,990 9,990 blocked.*Waits for regions: if that fails/ }).waitFor()
    assert.strictEqual(await page.locator("main li").count(), 1 + 2 + 50 + 1 + 1)
    await page.getByText("50 of 9,990").waitFor()
    await node("regions").focus()
    for (
      const [key, name] of [
        ["ArrowRight", "invoices|mails"],
        ["ArrowRight", "report"],
        ["ArrowRight", "archive"],
        ["ArrowLeft", "report|regions"],
        ["Home", "regions"]
      ] as const
    ) {
      await page.keyboard.press(key)
      await node(name).and(page.locator(":focus")).waitFor()
    }
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("Enter")
    await page.locator("h2:focus").waitFor()
    const turn = await page.evaluate(() =>
      new Promise<number>((resolve) => {
        const start = performance.now()
        requestAnimationFrame(() => setTimeout(() => resolve(performance.now() - start)))
      })
    )
    assert.isBelow(turn, 500)
    assert.match(await page.locator("h2:focus").innerText(), /^(invoices|mails)$/)
    await accessible(page, "flow")
    assert.deepStrictEqual(complaints, [])
    await close()
  })

  it("says on each edge what a failure means, marks those that it came along, and on a phone says it in words", async () => {
    const id = await started(1, [-1])
    const stop = await world.work()
    const { close, page } = await look(world, `/flows/${id}`)
    const report = page.getByRole("button", { name: /^report dead/ })
    await report.waitFor({ timeout: 20_000 })
    await stop()
    const edges = await page.locator("section[aria-label=Graph] svg g").evaluateAll((groups) =>
      groups.map((
        group
      ) => [group.querySelector("text")!.textContent, group.querySelector("path")!.getAttribute("stroke")])
    )
    assert.sameDeepMembers(edges, [
      ["fail", "var(--faint)"],
      ["cancel siblings", "var(--faint)"],
      ["ignore", "var(--faint)"],
      ["fail", "var(--dead)"],
      ["fail", "var(--dead)"],
      ["fail", "var(--faint)"]
    ])
    await close()
    const phone = await look(world, `/flows/${id}`, { viewport: { width: 390, height: 844 }, isMobile: true })
    await phone.page.getByText("Waits for invoices (fail), mails (ignore)").waitFor()
    assert.isFalse(await phone.page.getByRole("region", { name: "Graph" }).isVisible())
    await phone.close()
  })
})
