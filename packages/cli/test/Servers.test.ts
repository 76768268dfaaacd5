/** The program as a process, on the servers of the tests. */
import { PgJobStore } from "@capstan/pg"
import { RedisJobStore } from "@capstan/redis"
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { PgClient } from "@effect/sql-pg"
import { Job, type JobStore } from "capstan"
import { Effect, Layer, Redacted, Schema } from "effect"
import { Redis } from "effect/persistence"
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { closeSync, openSync } from "node:fs"
import { connect } from "node:net"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { Client } from "pg"
import { afterAll, afterEach, assert, beforeAll, describe, it, vi } from "vitest"
import { documents, type Ran, SendMail, work } from "./harness.ts"

// Each is several processes: what takes longer hangs, also on a machine that has other things to do.
vi.setConfig({ testTimeout: 120_000 })

const app = fileURLToPath(new URL("app.ts", import.meta.url))
const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

const running = new Set<ChildProcess>()

const start = (
  env: Record<string, string>,
  args: ReadonlyArray<string>,
  output: "pipe" | number = "pipe"
): ChildProcess => {
  const child = spawn(process.execPath, ["--conditions=@capstan/source", bin, ...args], {
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", output, "pipe"]
  })
  running.add(child)
  child.once("exit", () => running.delete(child))
  return child
}

// A test that fails leaves nobody behind.
afterEach(() => {
  for (const child of running) child.kill("SIGKILL")
})

const capstan = (env: Record<string, string>) => async (...args: ReadonlyArray<string>): Promise<Ran> => {
  const child = start(env, args)
  let out = ""
  let err = ""
  child.stdout!.setEncoding("utf8").on("data", (text: string) => out += text)
  child.stderr!.setEncoding("utf8").on("data", (text: string) => err += text)
  const [code] = await once(child, "close")
  return { code, out, err }
}

const pg = process.env["CAPSTAN_TEST_PG_URL"]!
const redis = process.env["CAPSTAN_TEST_REDIS_URL"]!
const name = `cli_${process.pid}`

const stores: ReadonlyArray<{
  readonly title: string
  readonly env: Record<string, string>
  readonly where: ReadonlyArray<string>
  readonly layer: () => Layer.Layer<JobStore.JobStore, unknown>
  /** An index, and how it gets lost. */
  readonly index: string
  readonly lose: () => Promise<unknown>
}> = [
  {
    title: "Postgres",
    env: { CAPSTAN_STORE: pg },
    where: ["--schema", name],
    layer: () => PgJobStore.layer({ schema: name }).pipe(Layer.provide(PgClient.layer({ url: Redacted.make(pg) }))),
    index: "history_ended",
    lose: () => admin.query(`DROP INDEX ${name}.history_ended`)
  },
  {
    title: "Redis",
    env: { CAPSTAN_STORE: redis },
    where: ["--prefix", name],
    layer: () => RedisJobStore.layer({ prefix: name }).pipe(Layer.provide(NodeRedis.layer({ url: redis }))),
    index: `{${name}}:ok:0`,
    lose: () =>
      Effect.flatMap(Redis.Redis, ({ send }) => send("DEL", `{${name}}:ok:0`)).pipe(
        Effect.provide(NodeRedis.layer({ url: redis })),
        Effect.runPromise
      )
  }
]

const admin = new Client({ connectionString: pg })
beforeAll(() => admin.connect())
afterAll(async () => {
  await admin.query(`DROP SCHEMA IF EXISTS ${name} CASCADE`)
  await admin.end()
})

describe("migrate", () => {
  const run = capstan({ CAPSTAN_STORE: pg })

  it("says that there is no schema, makes it once, and then that it is there", async () => {
    const before = await run("migrate", "status", "--schema", name)
    assert.strictEqual(before.code, 4, before.out)
    assert.include(before.err, "schema")
    const early = await run("list", "--schema", name)
    assert.strictEqual(early.code, 1)
    const { rows } = await admin.query("SELECT 1 FROM pg_namespace WHERE nspname = $1", [name])
    assert.strictEqual(rows.length, 0, "a command that looks has made a schema")

    const up = await run("migrate", "up", "--schema", name, "--json")
    assert.strictEqual(up.code, 0, up.err)
    assert.deepInclude(documents(up.out)[0], { schema: name, from: 0 })
    assert.match((await run("migrate", "up", "--schema", name)).out, /has version \d+ already/)
    assert.strictEqual((await run("migrate", "status", "--schema", name)).code, 0)
  })

  it("prints the script without a server", async () => {
    const { code, out } = await capstan({ CAPSTAN_STORE: "" })("migrate", "print", "--schema", "elsewhere")
    assert.strictEqual(code, 0)
    assert.match(out, /CREATE TABLE "?elsewhere"?\.record /)
    const later = await capstan({ CAPSTAN_STORE: "" })("migrate", "print", "--schema", "elsewhere", "--from", "1")
    assert.notMatch(later.out, /CREATE TABLE "?elsewhere"?\.record /)
    assert.include(later.out, "this script is for version 1")
  })

  it("has nothing to do on Redis", async () => {
    assert.strictEqual((await capstan({ CAPSTAN_STORE: redis })("migrate", "up")).code, 2)
  })
})

describe.each(stores)("on $title", ({ env, index, layer, lose, title, where }) => {
  const run = capstan(env)

  it("lists what died, tells what happens while it does, and runs the dead again", async () => {
    const dead = await Effect.gen(function*() {
      yield* SendMail.enqueue({ to: "ada@example.com" })
      const { id } = yield* SendMail.enqueue({ to: "bad@example.com" })
      yield* work
      return id
    }).pipe(Effect.provide(layer()), Effect.runPromise)

    const listed = await run("list", "--state", "dead", "--json", ...where)
    assert.deepStrictEqual(documents(listed.out).map(({ id }) => id), [dead])

    const tail = start(env, ["tail", "--job", "SendMail", "--json", ...where])
    const [listening] = await once(createInterface({ input: tail.stderr! }), "line")
    assert.include(listening, "listening")
    const told = once(createInterface({ input: tail.stdout! }), "line")
    const enqueued = await run("enqueue", "SendMail", `{"to":"grace@example.com"}`, "--queue", "mail", ...where)
    const [event] = await told
    assert.deepInclude(JSON.parse(event), { id: enqueued.out.split(" ")[0], tag: "SendMail", type: "enqueued" })
    tail.kill("SIGINT")
    const [code] = await once(tail, "exit")
    assert.strictEqual(code, 130)
    const retried = await run("retry", dead, "--yes", ...where)
    assert.strictEqual(retried.out, "1 record to run again\n")
  })

  it.each([
    "export",
    "list --json",
    "list",
    "stats --json",
    ...(title === "Postgres" ? ["migrate print"] : [])
  ])("says that its output has no room, where half of it would pass for the whole: %s", async (command) => {
    const full = openSync("/dev/full", "w")
    const child = start(env, [...command.split(" "), ...where], full)
    let err = ""
    child.stderr!.setEncoding("utf8").on("data", (text: string) => err += text)
    const [code] = await once(child, "close")
    closeSync(full)
    assert.strictEqual(code, 1)
    assert.include(err, "the output cannot be written: ENOSPC")
  })

  it("ends when nobody reads any more what it prints", async () => {
    const tail = start(env, ["tail", "--job", "Unread", ...where])
    await once(createInterface({ input: tail.stderr! }), "line")
    tail.stdout!.destroy()
    const ended = once(tail, "exit")
    // The first words may still find room in the pipe.
    const speak = async (): Promise<void> => {
      const { out } = await run("enqueue", "Unread", "null", "--queue", "unread", ...where)
      await run("delete", out.split(" ")[0]!, "--yes", ...where)
      if (tail.exitCode === null) await speak()
    }
    await speak()
    assert.deepStrictEqual(await ended, [0, null])
  })

  it("shows the dashboard, and ends within five seconds of Ctrl-C with pages open", async () => {
    const dashboard = start(env, ["dashboard", "--port", "0", ...where])
    const [address] = await once(createInterface({ input: dashboard.stdout! }), "line")
    const { origin, port } = new URL(address)
    const login = await fetch(address, { redirect: "manual" })
    const cookie = login.headers.get("set-cookie")!.split(";")[0]!
    const headers = { cookie }
    const stats = await fetch(`${origin}/capstan/api/stats`, { headers })
    assert.include(await stats.text(), `"mail"`)
    // A page that listens, a connection that a browser has opened ahead, and one on which a request has only begun.
    const events = await fetch(`${origin}/capstan/api/events`, { headers })
    assert.strictEqual(events.status, 200)
    const stream = events.body!.getReader()
    await stream.read()
    await Promise.all(["", "GET /capstan HTTP/1.1\r\nHost: localhost\r\n"].map(async (text) => {
      const ahead = connect(Number(port), "127.0.0.1").on("error", () => {})
      await once(ahead, "connect")
      ahead.write(text)
    }))
    // Answered after what was sent before it.
    await (await fetch(`${origin}/capstan`, { headers })).text()
    const told = performance.now()
    dashboard.kill("SIGINT")
    const [code] = await once(dashboard, "exit")
    assert.strictEqual(code, 130)
    assert.isBelow(performance.now() - told, 5000)
    await stream.cancel().catch(() => {})
  })

  it("says what a replay would come to, by the application's schemas", async () => {
    const [readable, unreadable] = await Effect.gen(function*() {
      const old = { delay: "1 hour" } as const
      const readable = yield* SendMail.enqueue({ to: "ada@example.com" }, old)
      const unreadable = yield* Job.make("SendMail", { payload: { to: Schema.Number }, queue: "mail" }).enqueue({
        to: 3
      }, old)
      return [readable.id, unreadable.id] as const
    }).pipe(Effect.provide(layer()), Effect.runPromise)
    const dry = await run("replay", readable, unreadable, "--app", app, "--dry-run", "--json", ...where)
    assert.strictEqual(dry.code, 4, dry.err)
    const { records, ...counts } = JSON.parse(dry.out)
    assert.deepStrictEqual(counts, { matched: 2, isAtLeast: false, runs: 2, undecodable: 1 })
    const payloads = new Map(records.map(({ id, payload }: Record<string, string>) => [id, payload]))
    assert.deepStrictEqual([payloads.get(readable), payloads.get(unreadable)], ["decodes", "does not decode"])
  })

  it("check names the store, its durability, and what it lacks", async () => {
    const { code, out } = await run("check", ...where)
    assert.match(out, /^ok {4}wake-ups: a subscription opens$/m)
    // The servers of the tests keep nothing for ever, and other commands say nothing of it.
    assert.match(out, /^WARN {2}settings: .*an acknowledged enqueue survives/m)
    assert.match(out, /^ok {4}durability: /m)
    // Two records wait, and nobody works.
    assert.strictEqual(code, 4)
    assert.match(out, /^WARN {2}queue mail: 2 ready records, and no worker$/m)
    assert.match(out, /^ok {4}indexes: /m)
  })

  it("check names an index that is not there any more", async () => {
    await lose()
    const { code, out } = await run("check", "--json", ...where)
    assert.strictEqual(code, 4)
    const findings: ReadonlyArray<Record<string, unknown>> = JSON.parse(out)
    const about = findings.filter(({ what }) => what === "indexes")
    assert.deepStrictEqual(about.map(({ is }) => is), ["warning"])
    assert.include(about[0]!["detail"], index)
  })

  it("repairs what is derived from records, where that can get lost without them", async () => {
    const looked = await run("repair", "--dry-run", "--json", ...where)
    if (title === "Postgres") {
      assert.strictEqual(looked.code, 2)
      assert.match(looked.err, /postgres .* has nothing to repair/)
      return
    }
    assert.strictEqual(looked.code, 4, looked.err)
    assert.deepInclude(JSON.parse(looked.out), { dryRun: true, lost: 0, lacking: [index] })
    assert.strictEqual((await run("repair", ...where)).code, 2)
    const made = await run("repair", "--yes", ...where)
    assert.strictEqual(made.code, 0, made.err)
    assert.match(made.out, /^made the indexes of \d+ records anew; \d+ not in all of them; incomplete: /m)
    assert.include(made.out, index)
    const again = await run("repair", "--dry-run", ...where)
    assert.match(again.out, /^looked at \d+ records: nothing is missing$/m)
    assert.strictEqual(again.code, 0)
  })
})

describe("the dashboard's packages", () => {
  it.each(["@capstan/dashboard", "@capstan/http"])("are asked for where %s is not installed", async (missing) => {
    const hook = `import { registerHooks } from "node:module"
registerHooks({ resolve: (name, context, next) => next(name === "${missing}" ? "not-installed" : name, context) })`
    const env = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(hook)}`, CAPSTAN_STORE: redis }
    const { code, err } = await capstan(env)("dashboard")
    assert.strictEqual(code, 1)
    assert.include(err, "the dashboard needs @capstan/dashboard and @capstan/http beside @capstan/cli")
    // What needs none of them works without.
    assert.strictEqual((await capstan(env)("stats", "--prefix", name)).code, 0)
  })
})

describe("an address", () => {
  it.each(["postgres://ada:s3cret@127.0.0.1:1/x", "redis://ada:s3cret@127.0.0.1:1", "http://ada:s3cret@x"])(
    "never stands in an error with its password: %s",
    async (url) => {
      const { code, err, out } = await capstan({ CAPSTAN_STORE: url })("stats")
      assert.notStrictEqual(code, 0)
      assert.notInclude(err + out, "s3cret")
    }
  )
})
