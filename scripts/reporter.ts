/**
 * How a run of the tests reads: one line per file when it ends, then the failures in full, and no summary: the type
 * tests are still to come when the last file has ended.
 *
 * What passing tests print is held back: warnings belong to what many of them provoke. That of a failed test, and of its
 * file's hooks, stands below the file's line, and so does what a test has annotated.
 */
import { relative } from "node:path"
import type { SerializedError, UserConsoleLog } from "vitest"
import type { Reporter, TestModule, Vitest } from "vitest/node"

/** What ran so far. */
export interface Counts {
  passed: number
  failed: number
}

/** The line of one test file. */
export const fileLine = (
  name: string,
  counts: Counts & { readonly skipped: number },
  milliseconds: number
): string => {
  const parts = [`${counts.passed} passed`]
  if (counts.failed > 0) parts.push(`${counts.failed} failed`)
  if (counts.skipped > 0) parts.push(`${counts.skipped} skipped`)
  return `${counts.failed > 0 ? "FAIL" : "  ok"}  ${name}  ${parts.join(", ")}  ${(milliseconds / 1000).toFixed(1)} s`
}

/** What files have printed that have not ended. */
export class Held {
  private logs: Array<UserConsoleLog> = []

  add(log: UserConsoleLog): void {
    this.logs.push(log)
  }

  /** What a file and its tests have printed, which is forgotten then. */
  take(module: string): ReadonlyArray<UserConsoleLog> {
    const isOurs = ({ taskId }: UserConsoleLog) => taskId === module || (taskId ?? "").startsWith(`${module}_`)
    const ours = this.logs.filter(isOurs)
    this.logs = this.logs.filter((log) => !isOurs(log))
    return ours
  }
}

/** Prints the lines and the failures, and counts into `counts`. */
export const makeReporter = (counts: Counts): Reporter => {
  let vitest: Vitest

  const name = (module: TestModule): string => relative(process.cwd(), module.moduleId)

  const held = new Held()

  const print = ({ content, type }: UserConsoleLog) => {
    const stream = type === "stderr" ? process.stderr : process.stdout
    stream.write(content)
  }

  return {
    onInit(instance) {
      vitest = instance
    },

    onUserConsoleLog(log: UserConsoleLog) {
      if (log.taskId === undefined) print(log)
      else held.add(log)
    },

    onTestModuleEnd(module) {
      const file = { passed: 0, failed: hookFailures(module).length, skipped: 0 }
      for (const test of module.children.allTests()) {
        const { state } = test.result()
        if (state !== "pending") file[state]++
      }
      counts.passed += file.passed
      counts.failed += file.failed
      const { collectDuration, duration } = module.diagnostic()
      console.log(fileLine(name(module), file, collectDuration + duration))
      for (const test of module.children.allTests()) {
        for (const { message } of test.annotations()) console.log(`      ${message}`)
      }
      const printed = held.take(module.id)
      if (file.failed === 0) return
      const passed = new Set([...module.children.allTests("passed")].map(({ id }) => id))
      for (const log of printed) if (!passed.has(log.taskId!)) print(log)
    },

    onTestRunEnd(modules, unhandled) {
      const report = (title: string, errors: ReadonlyArray<unknown>, module?: TestModule) => {
        process.stderr.write(`\nFAIL  ${title}\n`)
        const options = module === undefined ? {} : { project: module.project }
        for (const error of errors) vitest.logger.printError(error, options)
      }
      for (const module of modules) {
        for (const failure of hookFailures(module)) {
          report([name(module), failure.title].join(" > "), failure.errors, module)
        }
        for (const test of module.children.allTests("failed")) {
          report(`${name(module)} > ${test.fullName}`, test.result().errors ?? [], module)
        }
      }
      counts.failed += unhandled.length
      if (unhandled.length > 0) report("outside of any test", unhandled)
    }
  }
}

interface HookFailure {
  readonly title: string
  readonly errors: ReadonlyArray<SerializedError>
}

/** A file that does not load, or a suite whose hooks fail, is one failure although none of its tests ran. */
const hookFailures = (module: TestModule): ReadonlyArray<HookFailure> => {
  const failures: Array<HookFailure> = []
  if (module.errors().length > 0) failures.push({ title: "(file)", errors: module.errors() })
  for (const suite of module.children.allSuites()) {
    if (suite.errors().length > 0) failures.push({ title: suite.fullName, errors: suite.errors() })
  }
  return failures
}
