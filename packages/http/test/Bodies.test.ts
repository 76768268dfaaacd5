/** How much of what is sent is taken. */
import { JobsHttp } from "@capstan/http"
import { assert, describe, it } from "@effect/vitest"
import { Job, JobGroup, Jobs, JobSchedules, JobStore } from "capstan"
import { Effect, Layer, Schema } from "effect"
import { request } from "node:http"
import { mostOf } from "../src/internal/guard.ts"
import { All, changeOf, credentials, everybody, serve } from "./harness.ts"

const mebibyte = 1024 * 1024

/** A change that is right in all but how much comes before it, which in JSON means nothing. */
const change = JSON.stringify({ where: { queue: "mail" }, reason: "r" })

interface Pushed {
  readonly status: number
  readonly body: any
  /** How many bytes had gone when the answer had come. */
  readonly sent: number
}

/** Sends so much of nothing and a change behind it, as fast as it is taken, until an answer comes. */
const push = (url: string, headers: Record<string, string>, many: number): Effect.Effect<Pushed> =>
  Effect.callback((resume) => {
    const nothing = Buffer.alloc(64 * 1024, " ")
    let sent = 0
    let isAnswered = false
    const out = request(`${url}/records/cancel`, { method: "POST", headers, agent: false }, (response) => {
      isAnswered = true
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => text += chunk)
      response.on("end", () => {
        resume(Effect.succeed({ status: response.statusCode!, body: JSON.parse(text), sent }))
        out.destroy()
      })
    })
    // The connection may be closed under what is still being sent.
    out.on("error", (error) => isAnswered ? undefined : resume(Effect.die(error)))
    const write = (): void => {
      if (isAnswered) return
      if (sent >= many) return void out.end(change)
      sent += nothing.length
      if (out.write(nothing)) setImmediate(write)
      else out.once("drain", write)
    }
    write()
  })

describe("a body that is longer than any has to be", () => {
  it.live.each(["with its length", "in chunks"])(
    "is not taken to its end, whoever sends it (%s)",
    (how) =>
      Effect.gen(function*() {
        const { audited, url } = yield* serve()
        const many = 64 * mebibyte
        const length: Record<string, string> = how === "in chunks"
          ? {}
          : { "content-length": String(many + change.length) }
        for (const who of ["viewer", "admin"]) {
          const { body, sent, status } = yield* push(url, { ...credentials(who), ...changeOf(url), ...length }, many)
          assert.deepStrictEqual([status, body._tag, body.limit], [413, "BodyTooLarge", mebibyte])
          assert.include(body.detail, `more than ${mebibyte} bytes`)
          // What lies in buffers on the way has gone too.
          assert.isBelow(sent, many / 2)
        }
        assert.deepStrictEqual(audited, [])
      }).pipe(Effect.scoped)
  )

  it.live("is taken where it is as long as a body may be", () =>
    Effect.gen(function*() {
      const { url } = yield* serve()
      const headers = { ...credentials("admin"), ...changeOf(url) }
      const { status } = yield* push(url, headers, mebibyte - 64 * 1024)
      assert.strictEqual(status, 200)
    }).pipe(Effect.scoped))

  it.live("is refused by the web handler too", () => {
    const services = Layer.mergeAll(everybody(), Jobs.layer, JobSchedules.layer).pipe(
      Layer.provideMerge(JobStore.layerMemory())
    )
    const { dispose, handler } = JobsHttp.webHandler(services)
    const url = "https://app.example.com/capstan/api"
    return Effect.gen(function*() {
      const response = yield* Effect.promise(() =>
        handler(
          new Request(`${url}/records/cancel`, {
            method: "POST",
            headers: { ...credentials("admin"), ...changeOf(url), host: "app.example.com" },
            body: " ".repeat(2 * mebibyte) + change
          })
        )
      )
      assert.strictEqual(response.status, 413)
      assert.deepInclude(yield* Effect.promise(() => response.json()), { _tag: "BodyTooLarge" })
    }).pipe(Effect.ensuring(Effect.promise(dispose)))
  })
})

describe("how long a body may be", () => {
  class Large extends Job.make("Large", { payload: { text: Schema.String }, maxPayloadBytes: 2 * mebibyte }) {}

  it("is by the largest payload that may be enqueued, and at least 1 MiB", () => {
    assert.strictEqual(mostOf([]), mebibyte)
    assert.strictEqual(mostOf([All]), mebibyte)
    assert.strictEqual(mostOf([All, JobGroup.make(Large)]), 4 * mebibyte + 64 * 1024)
    const Endless = Job.make("Endless", { maxPayloadBytes: Number.MAX_SAFE_INTEGER })
    assert.strictEqual(mostOf([JobGroup.make(Endless)]), Number.MAX_SAFE_INTEGER)
  })

  it.live("lets a payload in of which each character takes twice its place", () =>
    Effect.gen(function*() {
      const { ask } = yield* serve({ groups: [JobGroup.make(Large)] })
      // A quote is two bytes in the payload's JSON, and four in that of the body.
      const payload = JSON.stringify({ text: "\"".repeat(mebibyte - 1024) })
      const { status } = yield* ask("admin", "/records/enqueue", { job: "Large", payload })
      assert.strictEqual(status, 200)
    }).pipe(Effect.scoped))
})
