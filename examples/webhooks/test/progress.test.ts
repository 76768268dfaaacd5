/** The live view, as a terminal shows it. */
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobStore, JobWorker } from "capstan"
import { Effect, Fiber, Layer, Schedule, Schema } from "effect"
import { TestClock } from "effect/testing"
import { afterEach, beforeEach, vi } from "vitest"
import { show } from "../src/progress.ts"
import type { Sent } from "../src/sender.ts"
import { redrawn } from "../src/terminal.ts"

/** A stream that does with what is written what a terminal does: lines, the way up, lines that are cleared or cut. */
class Screen {
  readonly isTTY: boolean
  readonly columns: number
  written = ""
  readonly rows: Array<string> = [""]
  row = 0
  wraps = true

  constructor({ columns = 120, isTTY = true }: { readonly columns?: number; readonly isTTY?: boolean } = {}) {
    this.columns = columns
    this.isTTY = isTTY
  }

  readonly write = (text: string): void => {
    this.written += text
    // eslint-disable-next-line no-control-regex
    for (const [, up, control, plain] of text.matchAll(/\u001b\[(\d+)A|\u001b\[([?\d]+[a-zA-Z])|([^\u001b\n]+|\n)/g)) {
      if (up !== undefined) this.row -= Number(up)
      else if (control === "2K") this.rows[this.row] = ""
      else if (control === "?7l" || control === "?7h") this.wraps = control === "?7h"
      else if (plain === "\n") this.rows[++this.row] ??= ""
      else if (plain !== undefined) this.put(plain)
    }
  }

  private put(text: string): void {
    const row = this.rows[this.row]! + text
    assert.isFalse(this.wraps && row.length > this.columns, "a line wraps")
    this.rows[this.row] = row.slice(0, this.columns)
  }
}

const sent = (id: string): Sent => ({ id, event: "push", isForged: false, isRepetition: false, status: 202 })
const full = (size: number) => "█".repeat(size)
const empty = (size: number) => "░".repeat(size)

class Mail extends Job.make("Mail", {
  queue: "mail",
  payload: Schema.Literals(["done", "retried", "dead"]),
  error: Schema.Literals(["retried", "dead"]),
  retry: Schedule.spaced("1 hour").pipe(Schedule.while(({ input }) => Effect.succeed(input !== "dead")))
}) {}
const worker = JobWorker.layer(JobGroup.make(Mail), { shutdownGrace: 0 }).pipe(
  Layer.provide(Mail.toLayer((what) => what === "done" ? Effect.void : Effect.fail(what)))
)
const Live = Layer.provideMerge(Jobs.layer, JobStore.layerMemory())

beforeEach(() => void vi.stubEnv("NO_COLOR", undefined))
afterEach(() => void vi.unstubAllEnvs())

describe("the live view", () => {
  it.effect("draws a bar per queue, draws over it ten times a second, and leaves the last figures", () =>
    Effect.gen(function*() {
      const screen = new Screen()
      const answers: Array<Sent> = []
      yield* Mail.enqueueMany(["done", "done", "retried", "dead"])
      const view = yield* Effect.forkChild(show(answers, 4, screen))
      yield* TestClock.adjust(0)
      const before = [`  delivered  ${empty(40)} 0/4`, `  mail       ${empty(40)} 0/4  `, ""]
      assert.deepStrictEqual(screen.rows, before)

      answers.push(sent("a"), sent("b"))
      yield* Layer.build(worker)
      yield* TestClock.adjust("99 millis")
      assert.deepStrictEqual(screen.rows, before)
      yield* TestClock.adjust("1 millis")
      const half = full(20) + empty(20)
      const notes = "1 will be tried again · 1 dead"
      assert.deepStrictEqual(screen.rows, [`  delivered  ${half} 2/4`, `  mail       ${half} 2/4  ${notes}`, ""])

      answers.push(sent("c"), sent("d"))
      yield* Fiber.interrupt(view)
      const after = [`  delivered  ${full(40)} 4/4`, `  mail       ${half} 2/4  ${notes}`, ""]
      assert.deepStrictEqual(screen.rows, after)
      // What comes next stands below it, and wraps again.
      assert.deepStrictEqual([screen.row, screen.wraps], [2, true])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(screen.rows, after)
    }).pipe(Effect.scoped, Effect.provide(Live)))

  it.effect("has shorter bars where there is less room", () =>
    Effect.gen(function*() {
      const screen = new Screen({ columns: 99 })
      const view = yield* Effect.forkChild(show([sent("a")], 2, screen))
      yield* TestClock.adjust(0)
      yield* Fiber.interrupt(view)
      assert.deepStrictEqual(screen.rows, [`  delivered  ${full(8)}${empty(8)} 1/2`, ""])
    }).pipe(Effect.provide(Live)))

  for (const [where, stub] of [["that is no terminal", undefined], ["of a terminal without colours", "1"]] as const) {
    it.effect(`writes nothing to an output ${where}`, () =>
      Effect.gen(function*() {
        vi.stubEnv("NO_COLOR", stub)
        const screen = new Screen({ isTTY: stub !== undefined })
        const view = yield* Effect.forkChild(show([sent("a")], 2, screen))
        yield* TestClock.adjust("1 second")
        yield* Fiber.interrupt(view)
        assert.strictEqual(screen.written, "")
      }).pipe(Effect.provide(Live)))
  }

  it("cuts a line that is too long, and draws over fewer lines with more", () => {
    const screen = new Screen({ columns: 10 })
    const redraw = redrawn(screen)
    redraw(["x".repeat(25), "second"])
    assert.deepStrictEqual(screen.rows, ["x".repeat(10), "second", ""])
    redraw(["first", "second", "third"])
    assert.deepStrictEqual(screen.rows, ["first", "second", "third", ""])
    assert.strictEqual(screen.row, 3)
  })
})
