/** The program of docs/partitions.md, word for word as it stands there: here it runs. */
import { RedisJobStore } from "@capstan/redis"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, JobStore, JobWorker } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { readFileSync } from "node:fs"
import * as Harness from "./harness.ts"

const prefix = Harness.prefixOf("guide")

// begin
class SendMail extends Job.make("SendMail", {
  payload: { tenant: Schema.String, to: Schema.String },
  queue: "mail",
  partition: ({ tenant }) => tenant,
  unique: { key: ({ tenant, to }) => `${tenant}/${to}` },
  concurrency: { key: ({ tenant }) => tenant, limit: 2 }
}) {}

const StoreLive = RedisJobStore.layer({ prefix, partitions: { mail: 8 } })
// end

class Group extends JobGroup.make(SendMail) {}

describe("the program of the guide", () => {
  it("stands there", () => {
    const own = readFileSync(new URL(import.meta.url), "utf8")
    const program = /\/\/ begin\n([^]*?)\/\/ end\n/.exec(own)![1]!
    assert.include(readFileSync(new URL("../../../docs/partitions.md", import.meta.url), "utf8"), program.trim())
  })

  it.live("keeps its limit and its unique keys in each partition, and runs everything", () =>
    Effect.gen(function*() {
      yield* Harness.emptyAll(prefix)
      yield* Effect.gen(function*() {
        const running = new Map<string, number>()
        let most = 0
        const worker = JobWorker.layer(Group, { concurrency: 50 }).pipe(
          Layer.provide(Group.toLayer({
            SendMail: ({ tenant }) =>
              Effect.gen(function*() {
                running.set(tenant, (running.get(tenant) ?? 0) + 1)
                most = Math.max(most, running.get(tenant)!)
                yield* Effect.sleep("2 millis")
                running.set(tenant, running.get(tenant)! - 1)
              })
          }))
        )
        const tenants = Array.from({ length: 12 }, (_, i) => `tenant ${i}`)
        const mails = tenants.flatMap((tenant) => Array.from({ length: 10 }, (_, i) => ({ tenant, to: `${i % 5}` })))
        const answers = yield* SendMail.enqueueMany(mails)
        assert.strictEqual(answers.filter(({ outcome }) => outcome === "Inserted").length, 60)
        yield* Layer.build(worker)
        const store = yield* JobStore.JobStore
        yield* Harness.until(
          "all have run",
          Effect.map(store.stats, ({ queues }) => queues.some(({ counts }) => counts.completed === 60))
        )
        assert.isAtMost(most, 2)
      }).pipe(Effect.scoped, Effect.provide(StoreLive))
      yield* Harness.emptyAll(prefix)
    }).pipe(Effect.provide(Harness.client())))
})
