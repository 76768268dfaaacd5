/**
 * What a running worker must refuse.
 */
import type { JobWorker } from "capstan"
import { describe, expect, test } from "tstyche"

declare const worker: JobWorker.Shape

describe("resize", () => {
  test("takes the share of a queue", () => {
    expect(worker.resize).type.toBeCallableWith({ concurrency: 2, queues: { mail: { concurrency: 1, weight: 3 } } })
  })

  test("refuses a limit, which is the store's", () => {
    expect(worker.resize).type.not.toBeCallableWith({ queues: { mail: { limit: { concurrency: 1 } } } })
  })
})
