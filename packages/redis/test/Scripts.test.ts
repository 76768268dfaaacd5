/** What goes to the server: one script a verb, whole batches a call, and nothing that grows with what is stored. */
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import { Redis } from "effect/persistence"
import * as Suite from "../../testing/src/internal/suite/harness.ts"
import { Client } from "../src/internal/client.ts"
import { type Scripts, scripts, type Verb } from "../src/internal/scripts.ts"
import { make, usualSettings } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"

const verbs = Object.entries(scripts(undefined, true)) as ReadonlyArray<[Verb, string]>
const asking = (command: string) => verbs.filter(([, text]) => text.includes(`call('${command}'`)).map(([verb]) => verb)

describe("no script", () => {
  it("asks for all keys of the database, or walks them", () =>
    assert.deepStrictEqual([...asking("KEYS"), ...asking("SCAN")], []))

  it("searches a list", () => assert.deepStrictEqual([...asking("LREM"), ...asking("LPOS")], []))

  it("but those of repair walks the records", () =>
    assert.deepStrictEqual(asking("HSCAN"), ["recount", "mend", "examine"]))
})

interface Sent {
  readonly command: string
  /** How often the payload is in what was sent, and in what was answered. */
  readonly sent: number
  readonly answered: number
}

const payload = "the-payload"
const timesIn = (value: unknown): number => JSON.stringify(value).split(payload).length - 1

/** A store, and what it sends. */
const overheard = <A, E>(use: (log: Array<Sent>) => Effect.Effect<A, E, JobStore.JobStore>) => {
  const prefix = Harness.prefixOf("sent")
  return Effect.gen(function*() {
    const redis = yield* Redis.Redis
    const log: Array<Sent> = []
    const listening = {
      ...redis,
      send: <A>(command: string, ...args: ReadonlyArray<string>) =>
        Effect.tap(
          redis.send<A>(command, ...args),
          (reply) => Effect.sync(() => void log.push({ command, sent: timesIn(args), answered: timesIn(reply) }))
        )
    }
    const texts: Scripts = scripts()
    const client = new Client(listening, `{${prefix}}`, texts, yield* Effect.scope)
    const store = yield* make(client, { ...usualSettings, identity: prefix })
    return yield* Effect.provideService(use(log), JobStore.JobStore, store)
  }).pipe(
    Effect.scoped,
    Effect.ensuring(Effect.orDie(Harness.empty(prefix))),
    Effect.provide(Harness.client())
  )
}

describe("a call", () => {
  it.live("is one script, known by its digest when it was called before, and its payloads travel once", () =>
    overheard((log) =>
      Effect.gen(function*() {
        const store = yield* JobStore.JobStore
        const many = 20
        const round = (fence: number) =>
          Effect.gen(function*() {
            const seen: Record<string, ReadonlyArray<Sent>> = {}
            const call = <A, E, R>(name: string, effect: Effect.Effect<A, E, R>) =>
              Effect.tap(effect, () => Effect.sync(() => void (seen[name] = log.splice(0))))
            yield* call("enqueue", Suite.enqueueMany(many, { payload: JSON.stringify(payload) }))
            const claimed = yield* call("claim", Suite.claim("w", many))
            assert.lengthOf(claimed, many)
            yield* call("renew", Suite.renew("w", { holding: claimed, reconcileOlderThan: 0 }))
            yield* call("write", store.write(claimed.map((at) => ({ _tag: "Progress", at, value: "1" }))))
            const settlements = claimed.map(({ fence, id }) => ({
              id,
              fence,
              outcome: Suite.complete,
              finishedAfter: 1
            }))
            yield* call("settle", Suite.exchange("w", { settlements }))
            yield* call("control", Suite.control({ _tag: "Retry" }, ...claimed.map(({ id }) => id)))
            yield* call("maintain", store.maintain)
            yield* call(
              "tick",
              store.tick({
                name: "s",
                revision: fence,
                at: 1,
                overlap: "allow",
                ticks: [{ at: 1, dueAt: 1, record: Suite.record() }],
                next: { nextAt: 2 }
              })
            )
            yield* store.control({
              action: { _tag: "Delete" },
              where: { ids: claimed.map(({ id }) => id) },
              limit: many
            })
            log.length = 0
            return seen
          })
        yield* round(1)
        const sent = yield* round(2)
        const once = { command: "EVALSHA", sent: 0, answered: 0 }
        assert.deepStrictEqual(sent, {
          enqueue: [{ ...once, sent: many }],
          claim: [{ ...once, answered: many }],
          renew: [once],
          write: [once],
          settle: [once],
          control: [once],
          maintain: [once],
          tick: [once]
        })
      })
    ))
})
