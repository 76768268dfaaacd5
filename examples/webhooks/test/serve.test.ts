/** The dashboard of the demo: it opens on live data, and ends in time. */
import { once } from "node:events"
import { createInterface } from "node:readline"
import { assert, it } from "vitest"
import { untilTrue } from "../../../scripts/servers/until.ts"
import { demo, start } from "./programs.ts"

it(
  "serves the page and its API on loopback until Ctrl-C, and ends within five seconds",
  { timeout: 60_000 },
  async () => {
    const child = start("--serve")
    let stdout = ""
    let url = ""
    for await (const line of createInterface({ input: child.stdout })) {
      stdout += `${line}\n`
      url = /^\s+(http:\/\/127\.0\.0\.1:\d+\/capstan)$/.exec(line)?.[1] ?? ""
      if (url !== "") break
    }
    assert.notStrictEqual(url, "", stdout)
    const page = await fetch(url)
    assert.include(await page.text(), "<base href=\"/capstan/\">")
    // A reader of events keeps its connection open: that must not keep the program.
    const events = await fetch(`${url}/api/events`)
    const schedules: any = await (await fetch(`${url}/api/schedules`)).json()
    assert.deepStrictEqual(schedules.schedules.map(({ name }: any) => name), ["count-pushes", "nightly-count"])
    await untilTrue("a webhook was worked off", async () => {
      const { queues }: any = await fetch(`${url}/api/stats`).then((response) => response.json())
      return queues.some(({ counts }: any) => counts.completed > 0)
    })
    const asked = performance.now()
    child.kill("SIGINT")
    const [status] = await once(child, "exit")
    assert.strictEqual(status, 130)
    assert.isBelow(performance.now() - asked, 5000)
    await events.body?.cancel().catch(() => {})
  }
)

it("refuses a port that is none, and what goes with the demo that ends", async () => {
  const port = await demo("--serve", "--port", "http")
  assert.deepInclude(port, { status: 2 })
  assert.match(port.stderr, /--port must be a port, it is http/)
  const broken = await demo("--serve", "--break", "loss")
  assert.deepInclude(broken, { status: 2 })
  assert.match(broken.stderr, /leave out --serve/)
})
