/**
 * The order of a process's fibers, from the seed: whichever is ready may run next, and each yields when it may be least
 * expected. So a race that the usual order of fibers never shows comes up, and comes up again with the seed.
 */
import { Scheduler } from "effect"
import { Choices } from "./choices.ts"

/** A fiber yields after this many operations at most: more often than the 2,048 of a real scheduler. */
const mostOperations = 64

export const make = (seed: number): Scheduler.Scheduler => {
  const choices = new Choices(~seed)
  const ready: Array<() => void> = []
  const turns = new Scheduler.MixedScheduler().makeDispatcher()
  let isScheduled = false
  const runAll = () => {
    isScheduled = false
    while (ready.length > 0) {
      const index = choices.between(0, ready.length - 1)
      const task = ready[index]!
      ready[index] = ready[ready.length - 1]!
      ready.pop()
      task()
    }
  }
  const dispatcher: Scheduler.SchedulerDispatcher = {
    scheduleTask: (task) => {
      ready.push(task)
      if (isScheduled) return
      isScheduled = true
      turns.scheduleTask(runAll, 0)
    },
    flush: runAll
  }
  return {
    executionMode: "async",
    shouldYield: (fiber) => fiber.currentOpCount >= choices.between(1, mostOperations),
    makeDispatcher: () => dispatcher
  }
}
