/** What one reads of a run of the tests: a line per file, and what was printed of what failed. */
import type { UserConsoleLog } from "vitest"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import type { TestModule } from "vitest/node"
import { fileLine, makeReporter } from "../scripts/reporter.ts"

let shown: Array<string>

beforeEach(() => {
  shown = []
  const show = (text: unknown) => shown.push(String(text).trim()) > 0
  vi.spyOn(process.stdout, "write").mockImplementation(show)
  vi.spyOn(process.stderr, "write").mockImplementation(show)
  vi.spyOn(console, "log").mockImplementation(show)
})

afterEach(() => vi.restoreAllMocks())

const log = (taskId: string | undefined, content: string): UserConsoleLog =>
  ({ taskId, content, type: "stdout", time: 0, size: content.length }) as UserConsoleLog

/** A file with a test that passes, and one that ends in this state. */
const fileOf = (state: "passed" | "failed"): TestModule => {
  const tests = [["1_0", "passed"], ["1_1", state]] as const
  return {
    id: "1",
    moduleId: `${process.cwd()}/a.test.ts`,
    errors: () => [],
    diagnostic: () => ({ collectDuration: 400, duration: 600 }),
    children: {
      allSuites: () => [],
      allTests: (only?: string) =>
        tests.filter(([, state]) => only === undefined || state === only)
          .map(([id, state]) => ({
            id,
            result: () => ({ state }),
            annotations: () => id === "1_0" ? [{ message: "said" }] : []
          }))
    }
  } as unknown as TestModule
}

const report = (state: "passed" | "failed") => {
  const counts = { passed: 0, failed: 0 }
  const reporter = makeReporter(counts)
  for (const [task, content] of [["1", "file"], ["1_0", "first"], ["1_1", "second"], ["10_0", "other file"]]) {
    reporter.onUserConsoleLog!(log(task, content!))
  }
  reporter.onUserConsoleLog!(log(undefined, "of nobody"))
  reporter.onTestModuleEnd!(fileOf(state))
  return counts
}

describe("the reporter", () => {
  it("a line says the file, its counts and its time", () => {
    expect(fileLine("a.test.ts", { passed: 2, failed: 0, skipped: 0 }, 1234)).toBe("  ok  a.test.ts  2 passed  1.2 s")
    expect(fileLine("a.test.ts", { passed: 2, failed: 1, skipped: 3 }, 1234)).toBe(
      "FAIL  a.test.ts  2 passed, 1 failed, 3 skipped  1.2 s"
    )
  })

  it("what passing tests print is not shown, what they annotate is", () => {
    const counts = report("passed")
    expect(shown).toEqual(["of nobody", "ok  a.test.ts  2 passed  1.0 s", "said"])
    expect(counts).toEqual({ passed: 2, failed: 0 })
  })

  it("what a failed test and its file print is shown below the file's line", () => {
    const counts = report("failed")
    expect(shown).toEqual(["of nobody", "FAIL  a.test.ts  1 passed, 1 failed  1.0 s", "said", "file", "second"])
    expect(counts).toEqual({ passed: 1, failed: 1 })
  })
})
