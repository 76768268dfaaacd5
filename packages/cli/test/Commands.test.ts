import { assert, describe, it } from "@effect/vitest"
import { Job, JobSchedules, JobStore } from "capstan"
import { Effect, Layer, Redacted, Schema, Stream } from "effect"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { enqueueUnmatched } from "../../testing/src/internal/unmatched.ts"
import { documents, lines, run, SendMail, work } from "./harness.ts"

const app = fileURLToPath(new URL("app.ts", import.meta.url))

const fact = (name: string, test: () => Effect.Effect<void, unknown, JobStore.JobStore>) =>
  it.live(name, () => Effect.provide(test(), JobStore.layerMemory(), { local: true }))

/** Two that are done, one that is dead. */
const some = Effect.gen(function*() {
  yield* SendMail.enqueue({ to: "ada@example.com" }, { tags: ["first"] })
  yield* SendMail.enqueue({ to: "grace@example.com" })
  const { id } = yield* SendMail.enqueue({ to: "bad@example.com" })
  yield* work
  return id
})

describe("looking", () => {
  fact(
    "stats names queues, their counts, and says when there is no worker",
    Effect.fnUntraced(function*() {
      const empty = yield* run("stats")
      assert.deepStrictEqual(lines(empty.out), ["no queue has a record", "no worker is registered"])
      yield* some
      const { code, out } = yield* run("stats")
      assert.strictEqual(code, 0)
      assert.match(out, /^mail +0 +0 +0 +0 +2 +0 +1/m)
      const [json] = documents((yield* run("stats", "--json")).out)
      assert.deepInclude(json, { workers: [] })
    })
  )

  fact(
    "list says at how many records the store looked where it stopped, and how to go on",
    Effect.fnUntraced(function*() {
      const id = yield* enqueueUnmatched("SendMail")
      const first = yield* run("list", "--job", "SendMail", "--queue", "other")
      assert.deepStrictEqual(lines(first.out), ["no record matches so far, looked at 10000 records"])
      const cursor = /^looked at 10000 records; go on: --cursor (\S+)/m.exec(first.err)![1]!
      const second = yield* run("list", "--job", "SendMail", "--queue", "other", "--cursor", cursor)
      assert.include(second.out, `${id} `)
      assert.notInclude(second.err, "--cursor")
    })
  )

  fact(
    "list and export find what stands in the payload, among what another flag leaves",
    Effect.fnUntraced(function*() {
      yield* some
      const order = Job.make("Order", {
        payload: Schema.Struct({ id: Schema.Number, who: Schema.Struct({ name: Schema.String }) })
      })
      yield* order.enqueueMany([{ id: 42, who: { name: "ada" } }, { id: 43, who: { name: "42" } }])
      const found = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
        return documents((yield* run("list", "--json", ...args)).out).map(({ payload }) => payload)
      })
      const ada = `{"to":"ada@example.com"}`
      assert.deepStrictEqual(yield* found("--job", "SendMail", "--data", "/to=ada@example.com"), [ada])
      assert.deepStrictEqual(yield* found("--since", "1h", "--data", "/to=ada@example.com"), [ada])
      assert.deepStrictEqual(yield* found("--state", "dead", "--data", "/to=ada@example.com"), [])
      const first = `{"id":42,"who":{"name":"ada"}}`
      const second = `{"id":43,"who":{"name":"42"}}`
      assert.deepStrictEqual(yield* found("--job", "Order", "--data", "/id=42"), [first])
      assert.deepStrictEqual(yield* found("--job", "Order", "--data", "/who/name=ada", "--data", "/id=42"), [first])
      assert.deepStrictEqual(yield* found("--job", "Order", "--data", "/who/name=ada", "--data", "/id=43"), [])
      assert.deepStrictEqual(yield* found("--job", "Order", "--data", "/who/name=\"42\""), [second])
      const read = yield* run("list", "--job", "Order", "--data", "/who/name=42")
      assert.strictEqual(
        read.out,
        "no record matches (42 was sought as a number; as a text it is --data '/who/name=\"42\"')"
      )
      const exported = yield* run("export", "--job", "SendMail", "--data", "/to=ada@example.com")
      assert.deepStrictEqual(documents(exported.out).map(({ payload }) => payload), [ada])
      assert.strictEqual(exported.err, "1 record")
      for (
        const [args, message] of [
          [["--data", "/to=ada@example.com"], "give --job, --queue, --since or such beside it"],
          [["--job", "Order", "--data", "id=42"], "such as /to=ada@example.com, it is id=42"],
          [["--job", "Order", "--data", "/id"], "such as /to=ada@example.com, it is /id"],
          [["--job", "Order", "--data", "/id=1", "--data", "/id=2"], "--data has /id twice"],
          [["--job", "Order", "--data", "/who={}"], "give the place of each"]
        ] as const
      ) {
        for (const command of ["list", "export"]) {
          const { code, err } = yield* run(command, ...args)
          assert.strictEqual(code, 2, args.join(" "))
          assert.include(err, message)
        }
      }
    })
  )

  fact(
    "list says where it stopped when it looked for what stands in the payload, and export goes on to the end",
    Effect.fnUntraced(function*() {
      yield* SendMail.enqueue({ to: "first@example.com" })
      yield* SendMail.enqueueMany(Array.from({ length: 20_500 }, () => ({ to: "other@example.com" })))
      const wanted = ["--job", "SendMail", "--data", "/to=first@example.com"]
      const first = yield* run("list", ...wanted)
      assert.strictEqual(first.out, "no record matches so far, looked at 10000 records")
      const cursor = /^looked at 10000 records; go on: --cursor (\S+)/m.exec(first.err)![1]!
      assert.notInclude((yield* run("list", ...wanted, "--cursor", cursor)).err, "more:")
      const { err, out } = yield* run("export", ...wanted)
      assert.strictEqual(documents(out).length, 1)
      assert.deepStrictEqual(lines(err), [
        "1 record of 10000 that were looked at …",
        "1 record of 20000 that were looked at …",
        "1 record"
      ])
    })
  )

  fact(
    "list selects by every flag, pages, and says where the next page begins",
    Effect.fnUntraced(function*() {
      const dead = yield* some
      const ids = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
        return documents((yield* run("list", "--json", ...args)).out).map(({ id }) => id)
      })
      assert.strictEqual((yield* ids()).length, 3)
      for (
        const flags of [["--state", "dead"], ["--error", "Refused"], ["--dead", "Failed"], [
          "--state",
          "dead",
          "--job",
          "SendMail"
        ]]
      ) assert.deepStrictEqual(yield* ids(...flags), [dead], flags.join(" "))
      assert.strictEqual((yield* ids("--tag", "first")).length, 1)
      assert.strictEqual((yield* ids("--queue", "none")).length, 0)
      assert.strictEqual((yield* ids("--since", "1h")).length, 3)
      for (const early of ["2001-01-01", "2001-01-01T00:00Z", "2001-01-01 00:00+01:00"]) {
        assert.strictEqual((yield* ids("--since", early)).length, 3)
      }
      assert.strictEqual((yield* ids("--before", "1h")).length, 0)
      assert.strictEqual((yield* ids("--state", "dead", "--state", "completed")).length, 3)

      const first = yield* run("list", "--json", "--limit", "2", "--order", "oldest")
      const cursor = /--cursor (\S+)/.exec(first.err)![1]!
      const second = yield* ids("--limit", "2", "--order", "oldest", "--cursor", cursor)
      assert.deepStrictEqual(second, [dead])
      const table = yield* run("list", "--state", "dead")
      assert.match(table.out, /^ID +JOB +QUEUE +STATE +ATTEMPT +AGE +WHY$/m)
      assert.include(table.out, "Failed, Refused: bad@example.com is on a list")
    })
  )

  fact(
    "a flag that makes no sense is refused, says why, and changes nothing",
    Effect.fnUntraced(function*() {
      for (
        const [args, message] of [
          [["list", "--since", "yesterday"], "--since must be an instant"],
          // Bare numbers, which JavaScript reads as a year or a month: an age has a unit.
          [["list", "--since", "5"], "--since must be an instant"],
          [["list", "--since", "2026-11-27T08:00"], "--since must be an instant"],
          [["list", "--before", "2026-11-27 08:00"], "--before must be an instant"],
          [["list", "--before", "45"], "--before must be an instant"],
          [["delete", "--before", "2045"], "--before must be an instant"],
          [["reschedule", "--all", "--at", "5"], "--at must be an instant"],
          [["reschedule", "--all", "--at", "soon", "--dry-run"], "--at must be an instant"],
          [["list", "--limit", "0"], "must be an integer from 1 to 1000"],
          [["retry"], "retry what? Give ids, or flags"],
          [["limits", "set", "mail"], "Give --concurrency"],
          [["top", "--every", "0"], "from 1 to 60"],
          [["inspect", "nope"], "\"nope\" is no id of a record"],
          [["cancel", "nope", "--yes"], "\"nope\" is no id of a record"],
          [["replay", "nope"], "\"nope\" is no id of a record"],
          [["list", "--parent", "nope"], "\"nope\" is no id of a record"]
        ] as const
      ) {
        const { code, err, out } = yield* run(...args)
        assert.strictEqual(code, 2, args.join(" "))
        assert.include(err + out, message)
      }
      assert.strictEqual((yield* run("list", "--state", "asleep")).code, 1)
    })
  )

  fact(
    "inspect shows attempts and errors, masks what is secret, and knows when there is none",
    Effect.fnUntraced(function*() {
      const dead = yield* some
      const { out } = yield* run("inspect", dead)
      assert.match(out, /^state +dead: Failed, Refused: bad@example.com is on a list$/m)
      assert.match(out, /^attempts$\n^ +1 .* dead /m)
      const { id } = yield* SendMail.enqueue({ to: "x@example.com", token: Redacted.make("s3cret") })
      for (const args of [["inspect", id], ["inspect", id, "--json"], ["list", "--json"], ["export"]]) {
        assert.notInclude((yield* run(...args)).out, "s3cret")
      }
      const missing = yield* run("inspect", "01a2166b-0000-7000-8000-000000000000")
      assert.strictEqual(missing.code, 3)
      assert.include(missing.err, "there is no record")
    })
  )

  fact(
    "text from outside moves no cursor and turns no line",
    Effect.fnUntraced(function*() {
      const { id } = yield* SendMail.enqueue({ to: "\u001b[2Jgone\u202egnorw\u0007" }, { tags: ["\u001b]0;title"] })
      for (const args of [["inspect", id], ["list"], ["inspect", id, "--json"]]) {
        const { out } = yield* run(...args)
        // oxlint-disable-next-line no-control-regex
        assert.notMatch(out, /[\u0000-\u0009\u000b-\u001f\u202e]/)
      }
    })
  )

  fact(
    "export writes every record as a line, oldest first, and a file only when it is whole",
    Effect.fnUntraced(function*() {
      const dead = yield* some
      const { err, out } = yield* run("export")
      assert.strictEqual(documents(out).length, 3)
      assert.strictEqual(documents(out).at(-1)!["id"], dead)
      assert.include(err, "3 records")
      const folder = mkdtempSync(join(tmpdir(), "capstan-cli-"))
      try {
        const file = join(folder, "all.ndjson")
        assert.strictEqual((yield* run("export", "--out", file)).code, 0)
        assert.strictEqual(readFileSync(file, "utf8"), `${out}\n`)
        const again = yield* run("export", "--out", file)
        assert.strictEqual(again.code, 2)
        assert.include(again.err, `${file} is there already: --out is for a file that is not there yet`)
        assert.notInclude(again.err, "3 records")
        assert.strictEqual(readFileSync(file, "utf8"), `${out}\n`)
        // What another one is writing stays.
        const other = join(folder, "other.ndjson")
        writeFileSync(`${other}.part`, "half")
        const beside = yield* run("export", "--out", other)
        assert.strictEqual(beside.code, 2)
        assert.include(beside.err, "another export writes it, or one was cut off: remove it")
        assert.deepStrictEqual(readdirSync(folder).toSorted(), ["all.ndjson", "other.ndjson.part"])
        assert.strictEqual(readFileSync(`${other}.part`, "utf8"), "half")
      } finally {
        rmSync(folder, { recursive: true })
      }
    })
  )
})

describe("acting", () => {
  fact(
    "asks how many first: nobody answers, so nothing changes",
    Effect.fnUntraced(function*() {
      const dead = yield* some
      const dry = yield* run("retry", "--job", "SendMail", "--dry-run")
      assert.strictEqual(dry.out, "would retry 1 record")
      const asked = yield* run("retry", "--job", "SendMail")
      assert.strictEqual(asked.code, 2)
      assert.include(asked.err, "retry 1 record? Nobody is there to answer: say --yes")
      const meant = yield* run("retry", "--job", "SendMail", "--yes")
      assert.deepInclude(meant, { code: 0, out: "1 record to run again" })
      assert.strictEqual(documents((yield* run("inspect", dead, "--json")).out)[0]!["state"], "ready")
    })
  )

  fact(
    "cancels, promotes, reschedules, reprioritises and deletes what is named",
    Effect.fnUntraced(function*() {
      const state = Effect.fnUntraced(function*(id: string) {
        return documents((yield* run("inspect", id, "--json")).out)[0]
      })
      const { id } = yield* SendMail.enqueue({ to: "later@example.com" }, { delay: "1 hour" })
      yield* run("reschedule", id, "--at", "2099-01-01T00:00Z", "--yes")
      assert.deepInclude(yield* state(id), { state: "scheduled", dueAt: Date.parse("2099-01-01T00:00Z") })
      assert.strictEqual((yield* run("reschedule", id, "--at", "soon", "--yes")).code, 2)
      assert.strictEqual((yield* run("reprioritise", id, "--priority", "1000", "--yes")).code, 2)
      yield* run("promote", id, "--yes")
      assert.deepInclude(yield* state(id), { state: "ready" })
      yield* run("reprioritise", id, "--priority", "7", "--yes")
      assert.deepInclude(yield* state(id), { priority: 7 })
      yield* run("cancel", id, "--reason", "a mistake", "--yes")
      assert.deepInclude(yield* state(id), { state: "cancelled" })
      const again = yield* run("cancel", id, "--yes")
      assert.strictEqual(again.out, "0 records cancelled, 1 left as they were")
      yield* run("delete", id, "--yes")
      assert.strictEqual((yield* run("inspect", id)).code, 3)
      assert.strictEqual((yield* run("delete", id, "--yes")).code, 3)
    })
  )

  fact(
    "pauses, resumes and drains a queue",
    Effect.fnUntraced(function*() {
      yield* SendMail.enqueueMany([{ to: "a@example.com" }, { to: "b@example.com" }])
      assert.strictEqual((yield* run("pause", "mail")).out, "mail is paused")
      assert.strictEqual((yield* run("pause", "mail")).out, "mail was paused already")
      assert.match((yield* run("stats")).out, /paused/)
      assert.strictEqual((yield* run("resume", "mail")).out, "mail gives out again")
      assert.strictEqual((yield* run("drain", "mail", "--dry-run")).out, "would cancel 2 records")
      assert.strictEqual((yield* run("drain", "mail", "--yes")).out, "2 records cancelled")
      for (const args of [["drain", "none", "--yes"], ["pause", "none"]]) {
        const { code, err, out } = yield* run(...args)
        assert.strictEqual(code, 3, args.join(" "))
        assert.include(err + out, "there is no queue none, but mail")
      }
      assert.strictEqual((yield* run("pause", "soon", "--ahead")).out, "soon is paused")
    })
  )

  fact(
    "enqueues through the application's schema, or says that it does not",
    Effect.fnUntraced(function*() {
      const good = yield* run("enqueue", "Count", `{"at":"2026-11-26T00:00:00.000Z"}`, "--app", app, "--key", "once")
      assert.match(good.out, /^[0-9a-f-]{36} {2}Inserted$/)
      const twice = yield* run(
        "enqueue",
        "Count",
        `{"at":"2026-11-26T00:00:00.000Z"}`,
        "--app",
        app,
        "--key",
        "once",
        "--json"
      )
      assert.deepInclude(documents(twice.out)[0], { id: good.out.split(" ")[0], outcome: "Existing" })
      const bad = yield* run("enqueue", "Count", `{"at":3}`, "--app", app)
      assert.strictEqual(bad.code, 2)
      assert.match(bad.err, /the payload is not what Count takes: .*at/s)
      assert.strictEqual((yield* run("enqueue", "Count", "{", "--app", app)).code, 2)
      const unknown = yield* run("enqueue", "Cuont", "{}", "--app", app)
      assert.include(unknown.err, "exports no job Cuont, but Count, Page, SendMail")
      const unchecked = yield* run("enqueue", "Count", "3")
      assert.include(unchecked.err, "unchecked")
      const priorityOf = (...more: ReadonlyArray<string>) =>
        Effect.gen(function*() {
          const { out } = yield* run("enqueue", "Page", "null", "--app", app, ...more)
          const [record] = documents((yield* run("inspect", out.split(" ")[0]!, "--json")).out)
          return record!["priority"]
        })
      assert.deepStrictEqual([yield* priorityOf(), yield* priorityOf("--priority", "0")], [10, 0])
      for (const names of [["%zz"], ["Count", "--queue", "a b"]]) {
        const [name, ...queue] = names
        const misnamed = yield* run("enqueue", name!, "3", ...queue)
        assert.strictEqual(misnamed.code, 2)
        assert.match(misnamed.err, /must start with a letter .* it is "(%zz|a b)"$/)
      }
      yield* work
      const [record] = documents((yield* run("inspect", good.out.split(" ")[0]!, "--json")).out)
      assert.deepInclude(record, { state: "completed" })
    })
  )

  fact(
    "replays one record, also with another payload through the schema",
    Effect.fnUntraced(function*() {
      const dead = yield* some
      const without = yield* run("replay", dead, "--payload", `{"to":"good@example.com"}`)
      assert.strictEqual(without.code, 2)
      const wrong = yield* run("replay", dead, "--payload", `{"to":1}`, "--app", app)
      assert.strictEqual(wrong.code, 2)
      const right = yield* run("replay", dead, "--payload", `{"to":"good@example.com"}`, "--app", app)
      assert.strictEqual(right.out, `${dead} runs again with the new payload`)
      yield* work
      assert.deepInclude(documents((yield* run("inspect", dead, "--json")).out)[0], { state: "completed" })
      assert.strictEqual((yield* run("replay", "01a2166b-0000-7000-8000-000000000000")).code, 3)
    })
  )
})

describe("replay", () => {
  const cancelled = Effect.fnUntraced(function*(payload: string) {
    const id = (yield* run("enqueue", "SendMail", payload, "--queue", "mail")).out.split(" ")[0]!
    yield* run("cancel", id, "--yes")
    return id
  })

  fact(
    "says what would run again and whether each payload decodes, and changes nothing",
    Effect.fnUntraced(function*() {
      const dead = yield* some
      const unreadable = yield* cancelled(`{"to":3}`)
      yield* run("enqueue", "Gone", "{}", "--queue", "mail")
      const gone = documents((yield* run("list", "--job", "Gone", "--json")).out)[0]!["id"] as string
      const before = (yield* run("export")).out

      const good = yield* run("replay", "--state", "dead", "--app", app, "--dry-run")
      assert.strictEqual(good.code, 0, good.err)
      assert.match(good.out, new RegExp(`^${dead} +SendMail +mail +dead +1 +runs again +decodes$`, "m"))
      assert.match(good.out, /^would replay 1 record; all payloads decode$/m)

      const unchecked = yield* run("replay", "--job", "SendMail", "--dry-run")
      assert.strictEqual(unchecked.code, 0)
      assert.match(unchecked.out, /^would replay 2 records; payloads are unchecked: give --app$/m)

      const all = yield* run("replay", dead, unreadable, gone, "--app", app, "--dry-run")
      assert.strictEqual(all.code, 4)
      // What is to be seen to comes first.
      const [, first, second, third, summary] = lines(all.out)
      assert.match(first!, new RegExp(`^${unreadable} .* does not decode: .*\\["to"\\]`))
      assert.match(
        second!,
        new RegExp(`^${gone} +Gone +mail +ready +1 +is left +does not decode: .*exports no job Gone$`)
      )
      assert.match(third!, new RegExp(`^${dead} `))
      assert.strictEqual(summary, "would replay 2 records, leave 1 as they are; 1 payload would not decode")
      assert.include(all.err, "1 payload would not decode")

      const json = yield* run("replay", dead, unreadable, "--app", app, "--dry-run", "--json")
      assert.strictEqual(json.code, 4)
      const [{ records, ...counts }] = documents(json.out) as [{ records: ReadonlyArray<Record<string, unknown>> }]
      assert.deepStrictEqual(counts as unknown, { matched: 2, isAtLeast: false, runs: 2, undecodable: 1 })
      const about = { job: "SendMail", queue: "mail", version: 1, runs: true }
      assert.deepStrictEqual(records.find(({ id }) => id === dead), {
        ...about,
        id: dead,
        state: "dead",
        payload: "decodes"
      })
      assert.deepInclude(records.find(({ id }) => id === unreadable), { ...about, payload: "does not decode" })
      assert.strictEqual((yield* run("export")).out, before)

      assert.strictEqual((yield* run("replay", "--job", "None", "--dry-run")).code, 3)
      assert.strictEqual((yield* run("replay", "--dry-run")).code, 2)
    })
  )

  fact(
    "reads what is masked as it is stored, and does not show it",
    Effect.fnUntraced(function*() {
      const { id } = yield* SendMail.enqueue({ to: "bad@example.com", token: Redacted.make("s3cret") })
      yield* work
      const { code, out } = yield* run("replay", id, "--app", app, "--dry-run", "--json")
      assert.strictEqual(code, 0)
      assert.notInclude(out, "s3cret")
    })
  )

  fact(
    "leaves what is masked as it is stored in a payload that somebody has written from what they were shown",
    Effect.fnUntraced(function*() {
      const { id } = yield* SendMail.enqueue({ to: "bad@example.com", token: Redacted.make("s3cret") })
      yield* work
      const shown = documents((yield* run("inspect", id, "--json")).out)[0]!["payload"] as string
      const payload = shown.replace("bad@", "good@")
      assert.include(payload, "<redacted>")
      const dry = yield* run("replay", id, "--payload", payload, "--app", app, "--dry-run")
      assert.deepInclude(dry, { code: 0, out: `${id} would run again with the new payload` })
      assert.strictEqual((yield* run("replay", id, "--payload", payload, "--app", app)).code, 0)
      const stored = yield* Effect.flatMap(JobStore.JobStore, ({ get }) => get(id))
      assert.deepStrictEqual(JSON.parse(stored!.payload), { to: "good@example.com", token: "s3cret" })
    })
  )

  fact(
    "runs nothing again of what would not decode, and asks before it runs many",
    Effect.fnUntraced(function*() {
      const dead = yield* some
      const unreadable = yield* cancelled(`{"to":3}`)
      const refused = yield* run("replay", "--job", "SendMail", "--app", app, "--yes")
      assert.strictEqual(refused.code, 2)
      assert.include(refused.err, `1 payload would not decode, such as that of ${unreadable}`)
      assert.include((yield* run("inspect", dead)).out, "dead")
      const asked = yield* run("replay", "--state", "dead", "--app", app)
      assert.include(asked.err, "replay 1 record? Nobody is there to answer: say --yes")
      const done = yield* run("replay", "--state", "dead", "--app", app, "--yes")
      assert.deepInclude(done, { code: 0, out: "1 record to run again" })
    })
  )

  fact(
    "reads every payload, however many there are, before it runs any again",
    Effect.fnUntraced(function*() {
      const many = 10_200
      const unreadable = yield* cancelled(`{"to":3}`)
      yield* SendMail.enqueueMany(Array.from({ length: many }, (_, i) => ({ to: `${i}@example.com` })))
      yield* run("cancel", "--job", "SendMail", "--yes")
      const command = ["replay", "--job", "SendMail", "--app", app] as const
      const dry = yield* run(...command, "--dry-run")
      assert.strictEqual(dry.code, 4)
      assert.match(dry.out, new RegExp(`^${unreadable} .* does not decode: `, "m"))
      assert.include(
        dry.out,
        `\nand ${many + 1 - 100} more\nwould replay ${many + 1} records; 1 payload would not decode`
      )
      assert.include(dry.err, "10000 payloads read …")
      const [json] = documents((yield* run(...command, "--dry-run", "--json")).out)
      const { records, ...counts } = json as { readonly records: ReadonlyArray<Record<string, unknown>> }
      assert.deepStrictEqual(counts as unknown, { matched: many + 1, isAtLeast: false, runs: many + 1, undecodable: 1 })
      assert.deepStrictEqual([records.length, records[0]!["id"]], [10_000, unreadable])
      assert.strictEqual((yield* run(...command, "--yes")).code, 2)
      yield* run("delete", unreadable, "--yes")
      const asked = yield* run(...command)
      assert.include(asked.err, `replay ${many} records? Nobody is there to answer: say --yes`)
      const done = yield* run(...command, "--yes")
      assert.deepInclude(done, { code: 0, out: `${many} records to run again` })
      assert.include(done.err, "10000 run again …")
      // Without --app there is nothing to read.
      yield* run("cancel", "--job", "SendMail", "--yes")
      const unchecked = yield* run("replay", "--job", "SendMail", "--dry-run")
      assert.match(unchecked.out, /^would replay at least 10000 records; payloads are unchecked: give --app$/m)
    })
  )

  fact(
    "leaves what comes to match meanwhile and would not decode",
    Effect.fnUntraced(function*() {
      const good = yield* cancelled(`{"to":"ada@example.com"}`)
      const later = yield* cancelled(`{"to":3}`)
      const store = yield* JobStore.JobStore
      // It is there once the payloads were read, and is asked whether they may run.
      let isThere = false
      const late = JobStore.JobStore.of({
        ...store,
        query: (request) =>
          Effect.map(store.query(request), (reply) => {
            const records = isThere ? reply.records : reply.records.filter(({ id }) => id !== later)
            isThere = true
            return { ...reply, records }
          })
      })
      const done = yield* Effect.provideService(
        run("replay", "--job", "SendMail", "--app", app, "--yes"),
        JobStore.JobStore,
        late
      )
      assert.strictEqual(done.out, "1 record to run again, 1 left that came meanwhile and would not decode")
      const stateOf = Effect.fnUntraced(function*(id: string) {
        return documents((yield* run("inspect", id, "--json")).out)[0]!["state"]
      })
      assert.deepStrictEqual([yield* stateOf(good), yield* stateOf(later)], ["ready", "cancelled"])
    })
  )

  fact(
    "with another payload it is checked, and with --dry-run not stored",
    Effect.fnUntraced(function*() {
      const dead = yield* some
      const wrong = yield* run("replay", dead, "--payload", `{"to":1}`, "--app", app, "--dry-run")
      assert.strictEqual(wrong.code, 2)
      const right = yield* run("replay", dead, "--payload", `{"to":"good@example.com"}`, "--app", app, "--dry-run")
      assert.deepInclude(right, { code: 0, out: `${dead} would run again with the new payload` })
      const record = documents((yield* run("inspect", dead, "--json")).out)[0]!
      assert.deepInclude(record, { state: "dead", payload: `{"to":"bad@example.com"}` })
      const two = yield* run("replay", dead, dead, "--payload", "{}", "--app", app)
      assert.strictEqual(two.code, 2)
    })
  )
})

describe("schedules, limits and the state of a store", () => {
  fact(
    "lists, pauses, resumes and runs schedules",
    Effect.fnUntraced(function*() {
      yield* Effect.provide(
        Effect.flatMap(JobSchedules.JobSchedules, (schedules) =>
          schedules.upsert("nightly", SendMail, {
            cron: "0 3 * * *",
            timeZone: "UTC",
            payload: { to: "a@example.com" }
          })),
        JobSchedules.layer
      )
      assert.match((yield* run("schedules", "list")).out, /^nightly +SendMail +0 3 \* \* \* UTC +active +\d{4}-/m)
      assert.strictEqual((yield* run("schedules", "pause", "nightly", "--reason", "moving")).out, "nightly is paused")
      assert.match((yield* run("schedules", "list")).out, /paused: Operator/)
      assert.match((yield* run("schedules", "run", "nightly")).out, /^enqueued [0-9a-f-]{36}$/)
      assert.strictEqual((yield* run("schedules", "resume", "nightly")).out, "nightly ticks again")
      assert.strictEqual((yield* run("schedules", "pause", "none")).code, 3)
    })
  )

  fact(
    "sets and clears limits, and lists keys",
    Effect.fnUntraced(function*() {
      for (const name of ["mail", "@accounts"]) {
        const { code, err, out } = yield* run("limits", "set", name, "--concurrency", "3")
        assert.strictEqual(code, 3, name)
        assert.include(err + out, "--ahead")
      }
      assert.deepStrictEqual((yield* run("limits", "list")).out, "no limit is set")
      yield* SendMail.enqueue({ to: "a@example.com" })
      const set = yield* run("limits", "set", "mail", "--concurrency", "3", "--rate", "100", "--per", "1 minute")
      assert.match(set.out, /^mail +concurrency 3, 100 per 1 min +concurrency 3/m)
      assert.match((yield* run("limits", "list")).out, /^mail +concurrency 3/m)
      const wrong = yield* run("limits", "set", "mail", "--rate", "1", "--per", "often")
      assert.notStrictEqual(wrong.code, 0)
      yield* run("limits", "set", "@accounts", "--concurrency", "2", "--ahead")
      const mistaken = yield* run("limits", "set", "accounts", "--concurrency", "1")
      assert.strictEqual(mistaken.code, 3)
      assert.include(mistaken.err + mistaken.out, "there is no queue accounts, but mail: the limit by key is @accounts")
      const limits = documents((yield* run("limits", "list", "--json")).out)
      assert.deepStrictEqual(limits.map(({ of, release }) => [of, release]), [[{ queue: "mail" }, null], [
        { key: "accounts" },
        null
      ]])
      yield* run("limits", "clear", "mail")
      assert.notMatch((yield* run("limits", "list")).out, /concurrency 3/)
      assert.strictEqual((yield* run("limits", "keys", "@none")).out, "no key waits, runs or is limited")
      assert.strictEqual((yield* run("limits", "keys", "mail")).code, 2)
    })
  )

  fact(
    "check is content with a store at rest, and names what waits for nobody",
    Effect.fnUntraced(function*() {
      const rested = yield* run("check")
      assert.strictEqual(rested.code, 0, rested.out)
      assert.match(rested.out, /^ok {4}store: memory/m)
      yield* SendMail.enqueue({ to: "a@example.com" })
      const waiting = yield* run("check")
      assert.strictEqual(waiting.code, 4)
      assert.match(waiting.out, /^WARN {2}queue mail: 1 ready record, and no worker$/m)
    })
  )

  fact(
    "top without a terminal is one look",
    Effect.fnUntraced(function*() {
      yield* some
      assert.strictEqual((yield* run("top")).out, (yield* run("stats")).out)
      assert.hasAllKeys(
        documents((yield* run("top", "--json")).out)[0],
        documents((yield* run("stats", "--json")).out)[0]!
      )
    })
  )
})

describe("repair", () => {
  /** A store of 25,000 records that says so of its repair, and how often it was repaired. */
  const repairable = (found: Partial<JobStore.Repairing> = {}) => {
    const made = { dry: 0, real: 0 }
    const all = { records: 25_000, seen: 0, missing: 0, lost: 0, lacking: [] }
    const told = Array.from({ length: 50 }, (_, i) => ({ ...all, seen: (i + 1) * 500, ...i === 49 ? found : {} }))
    const layer = Layer.effect(
      JobStore.JobStore,
      Effect.map(JobStore.JobStore, (store): JobStore.Shape => ({
        ...store,
        repair: ({ dryRun }) =>
          Stream.fromIterable(told).pipe(
            Stream.rechunk(1),
            Stream.onEnd(Effect.sync(() => void made[dryRun ? "dry" : "real"]++))
          )
      }))
    ).pipe(Layer.provide(JobStore.layerMemory()))
    return { layer, made }
  }
  const broken = { missing: 3, lacking: ["a", "b"] }

  fact(
    "says that a store has nothing that it could repair",
    Effect.fnUntraced(function*() {
      const { code, err } = yield* run("repair", "--yes")
      assert.strictEqual(code, 2)
      assert.include(err, "memory has nothing to repair")
      assert.include(err, "`capstan check`")
    })
  )

  it.live("looks at all without changing any, and 4 says that something is missing", () => {
    const { layer, made } = repairable(broken)
    return Effect.gen(function*() {
      const { code, err, out } = yield* run("repair", "--dry-run")
      assert.strictEqual(code, 4)
      assert.strictEqual(out, "looked at the indexes of 25000 records; 3 not in all of them; incomplete: a, b")
      assert.deepStrictEqual(lines(err).slice(0, 2), [
        "looked at 10000 of 25000 records …",
        "looked at 20000 of 25000 records …"
      ])
      const json = yield* run("repair", "--dry-run", "--json")
      assert.deepStrictEqual(documents(json.out), [{ dryRun: true, records: 25_000, seen: 25_000, lost: 0, ...broken }])
      assert.deepStrictEqual(made, { dry: 2, real: 0 })
    }).pipe(Effect.provide(layer, { local: true }))
  })

  it.live("asks first, says how far it is, and what came of it", () => {
    const { layer, made } = repairable(broken)
    return Effect.gen(function*() {
      const asked = yield* run("repair")
      assert.strictEqual(asked.code, 2)
      assert.include(asked.err, "looked at the indexes of 25000 records; 3 not in all of them; incomplete: a, b")
      assert.match(asked.err, /Make all indexes of 25000 records anew\? .* say --yes/)
      assert.strictEqual(made.real, 0)
      const done = yield* run("repair", "--yes")
      assert.deepInclude(done, {
        code: 0,
        out: "made the indexes of 25000 records anew; 3 not in all of them; incomplete: a, b"
      })
      assert.include(done.err, "looked at 20000 of 25000 records …\n")
      assert.include(done.err, "made anew 20000 of 25000 records …")
      assert.strictEqual(made.real, 1)
    }).pipe(Effect.provide(layer, { local: true }))
  })

  it.live("is content with a store that is whole, and 4 says what cannot be made so", () =>
    Effect.gen(function*() {
      const whole = repairable()
      const looked = yield* Effect.provide(run("repair", "--dry-run"), whole.layer, { local: true })
      assert.deepInclude(looked, { code: 0, out: "looked at 25000 records: nothing is missing" })
      const lost = repairable({ lost: 2 })
      const done = yield* Effect.provide(run("repair", "--yes"), lost.layer, { local: true })
      assert.strictEqual(done.code, 4)
      assert.include(done.out, "2 with a part of their own lost, which nothing makes anew")
    }))
})

describe("the guide", () => {
  fact(
    "names every command, and no other",
    Effect.fnUntraced(function*() {
      const guide = readFileSync(new URL("../../../docs/cli.md", import.meta.url), "utf8")
      const rows = guide.split("## Commands")[1]!.split("\n\n")[1]!.split("\n").slice(2)
      const named = rows.flatMap((row) =>
        [...row.split("|")[1]!.matchAll(/`([a-z][a-z ]*)/g)].flatMap(([, words]) => words!.trim().split(" "))
      )
      const { out } = yield* run("--help")
      const offered = out.split("SUBCOMMANDS")[1]!.split("\n").flatMap((line) => /^ {2}([a-z]+)/.exec(line)?.[1] ?? [])
      for (const group of ["schedules", "limits", "migrate"]) {
        const help = (yield* run(group, "--help")).out.split("SUBCOMMANDS")[1]!
        offered.push(...help.split("\n").flatMap((line) => /^ {2}([a-z]+)/.exec(line)?.[1] ?? []))
      }
      assert.deepStrictEqual([...new Set(named)].toSorted(), [...new Set(offered)].toSorted())
    })
  )
})
