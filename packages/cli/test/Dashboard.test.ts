/** `capstan dashboard` over real HTTP, on a memory store: who gets in, and who does not. */
import { JobsApi, type Permission } from "@capstan/http"
import { assert, describe, it } from "@effect/vitest"
import { Jobs, JobStore } from "capstan"
import { Effect, type Scope } from "effect"
import { type IncomingHttpHeaders, request } from "node:http"
import { fileURLToPath } from "node:url"
import { run, running, SendMail } from "./harness.ts"

const fact = (name: string, test: () => Effect.Effect<void, unknown, JobStore.JobStore | Scope.Scope>) =>
  it.live(name, () => Effect.provide(Effect.scoped(test()), JobStore.layerMemory(), { local: true }))

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

interface Asked {
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: unknown
}

/** As a client that may say anything, also of its host. */
const ask = (url: string, { body, headers = {}, method = "GET" }: Asked = {}): Effect.Effect<Answer, Error> =>
  Effect.callback((resume) => {
    const sent = request(url, { method, headers, agent: false }, (response) => {
      let text = ""
      response.setEncoding("utf8").on("data", (part: string) => text += part)
      response.on(
        "end",
        () => resume(Effect.succeed({ status: response.statusCode!, headers: response.headers, body: text }))
      )
    })
    sent.on("error", (error) => resume(Effect.fail(error)))
    sent.end(body === undefined ? undefined : JSON.stringify(body))
  })

/** A dashboard that nobody has opened yet. */
const open = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const { err, line } = yield* running("dashboard", "--port", "0", ...args)
  const url = new URL(line)
  return { address: line, origin: url.origin, token: url.searchParams.get("token")!, err }
})

const cookieOf = ({ headers }: Answer): string => headers["set-cookie"]![0]!.split(";")[0]!

/** A dashboard that this browser has opened. */
const opened = Effect.fnUntraced(function*(...args: ReadonlyArray<string>) {
  const dashboard = yield* open(...args)
  const cookie = cookieOf(yield* ask(dashboard.address))
  const { origin } = dashboard
  return {
    ...dashboard,
    cookie,
    get: (path: string, headers: Asked["headers"] = {}) => ask(`${origin}${path}`, { headers: { cookie, ...headers } }),
    /** As the page asks for a change. */
    change: (path: string, body: unknown = {}, headers: Asked["headers"] = {}) =>
      ask(`${origin}/capstan/api${path}`, {
        method: "POST",
        body,
        headers: { cookie, origin, [JobsApi.changeHeader]: "1", "content-type": "application/json", ...headers }
      })
  }
})

/** The page, its files, the API, its event stream, what is there for nobody, and what no router likes. */
const everywhere = [
  "/",
  "/login",
  "/capstan",
  "/capstan/queues",
  "/capstan/icon.svg",
  "/capstan/api/stats",
  "/capstan/api/events",
  "/capstan/api/openapi.json",
  "/capstan/api/nothing",
  "/nothing",
  "//",
  "/capstan/%",
  "/CAPSTAN/api/stats"
]

describe("the address", () => {
  fact(
    "is one line, on loopback, with another long token each time",
    Effect.fnUntraced(function*() {
      const [one, other] = [yield* open(), yield* open("--role", "admin")]
      assert.match(one.address, /^http:\/\/127\.0\.0\.1:\d+\/login\?token=[\w-]{43}$/)
      assert.notStrictEqual(one.token, other.token)
      assert.include(one.err.join("\n"), "as operator, until Ctrl-C")
      assert.include(other.err.join("\n"), "as admin, until Ctrl-C")
    })
  )

  fact(
    "is a document with --json",
    Effect.fnUntraced(function*() {
      const { line } = yield* running("dashboard", "--port", "0", "--role", "viewer", "--json")
      assert.hasAllKeys(JSON.parse(line), ["url", "role"])
    })
  )

  fact(
    "makes a session of the browser that opens it first, and sends it to the page",
    Effect.fnUntraced(function*() {
      const { address, origin } = yield* open()
      const login = yield* ask(address)
      assert.deepInclude(login, { status: 303, body: "" })
      assert.deepInclude(login.headers, {
        location: "/capstan",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer"
      })
      const [cookie, ...attributes] = login.headers["set-cookie"]![0]!.split("; ")
      assert.match(cookie!, new RegExp(`^capstan-${new URL(origin).port}=[\\w-]{43}$`))
      assert.deepStrictEqual(attributes.toSorted(), ["HttpOnly", "Path=/", "SameSite=Strict"])
      assert.notInclude(cookie!, new URL(address).searchParams.get("token")!)

      const headers = { cookie: cookie! }
      const page = yield* ask(`${origin}/capstan`, { headers })
      assert.strictEqual(page.status, 200)
      assert.include(page.body, `<base href="/capstan/">`)
      assert.strictEqual((yield* ask(`${origin}/capstan/icon.svg`, { headers })).status, 200)
      const stats = yield* ask(`${origin}/capstan/api/stats`, { headers })
      assert.deepInclude(JSON.parse(stats.body), { queues: [] })
      assert.deepInclude((yield* ask(`${origin}/`, { headers })).headers, { location: "/capstan" })
    })
  )

  fact(
    "opens nothing a second time, and says what to do",
    Effect.fnUntraced(function*() {
      const { address, get, token } = yield* opened()
      const again = yield* ask(address)
      assert.strictEqual(again.status, 403)
      assert.match(again.body, /used already.*start it again/)
      assert.isUndefined(again.headers["set-cookie"])
      // The browser that is in need not know that.
      const own = yield* get(`/login?token=${token}`)
      assert.deepInclude(own, { status: 303 })
      assert.isUndefined(own.headers["set-cookie"])
    })
  )

  fact(
    "opens one session only of two that come at once",
    Effect.fnUntraced(function*() {
      const { address } = yield* open()
      const all = yield* Effect.all(Array.from({ length: 8 }, () => ask(address)), { concurrency: "unbounded" })
      assert.deepStrictEqual(all.map(({ status }) => status).toSorted(), [303, ...Array(7).fill(403)])
    })
  )

  fact(
    "is not used up by who only looks at it, nor by another site that makes the browser come",
    Effect.fnUntraced(function*() {
      const { address } = yield* open()
      assert.strictEqual((yield* ask(address, { method: "HEAD" })).status, 401)
      for (const site of ["cross-site", "same-site"]) {
        for (const url of [address, ...Array(12).fill(`${address}x`)]) {
          assert.strictEqual((yield* ask(url, { headers: { "sec-fetch-site": site } })).status, 403)
        }
      }
      assert.strictEqual((yield* ask(address, { headers: { "sec-fetch-site": "none" } })).status, 303)
    })
  )
})

describe("who is not in", () => {
  fact(
    "gets nothing, and is told where the address stands",
    Effect.fnUntraced(function*() {
      const { cookie, origin, token } = yield* opened()
      const name = cookie.split("=")[0]!
      const strangers = [{}, { cookie: `${name}=` }, { cookie: `${name}=${token}` }, {
        cookie: `${cookie.slice(0, -1)}${cookie.endsWith("A") ? "B" : "A"}`
      }, { authorization: `Bearer ${token}` }]
      for (const headers of strangers) {
        for (const path of everywhere) {
          const { body, status } = yield* ask(`${origin}${path}`, { headers })
          assert.strictEqual(status, 401, path)
          assert.include(body, "in the terminal where it runs", path)
        }
      }
      const api = yield* ask(`${origin}/capstan/api/stats`)
      assert.deepInclude(JSON.parse(api.body), { _tag: "Unauthorized" })
    })
  )

  fact(
    "has no session before somebody has opened it, whatever it sends",
    Effect.fnUntraced(function*() {
      const { origin } = yield* open()
      const headers = { cookie: `capstan-${new URL(origin).port}=` }
      assert.strictEqual((yield* ask(`${origin}/capstan/api/stats`, { headers })).status, 401)
    })
  )

  fact(
    "guesses ten times, and then the right token opens nothing",
    Effect.fnUntraced(function*() {
      const wrong = (origin: string) => ask(`${origin}/login?token=${"A".repeat(43)}`)
      const { address, err, origin } = yield* open()
      for (let i = 0; i < 9; i++) assert.strictEqual((yield* wrong(origin)).status, 401)
      assert.strictEqual((yield* ask(address)).status, 303)

      const other = yield* open()
      for (const short of ["", "A"]) {
        assert.strictEqual((yield* ask(`${other.origin}/login?token=${short}`)).status, 401)
      }
      for (let i = 0; i < 8; i++) assert.strictEqual((yield* wrong(other.origin)).status, 401)
      const right = yield* ask(other.address)
      assert.strictEqual(right.status, 403)
      assert.match(right.body, /10 wrong tokens.*start it again/)
      assert.include(other.err.join("\n"), "10 wrong tokens")
      assert.notInclude(err.join("\n"), "wrong tokens")
    })
  )

  fact(
    "comes by a name of its own for this machine: refused, also with the token and the session",
    Effect.fnUntraced(function*() {
      const hosts = ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", "0.0.0.0"]
      const fresh = yield* open()
      for (const host of hosts) {
        assert.strictEqual((yield* ask(fresh.address, { headers: { host } })).status, 403, host)
      }
      // Another port is a tunnel's.
      assert.strictEqual((yield* ask(fresh.address, { headers: { host: "localhost:9000" } })).status, 303)
      const { get } = yield* opened()
      for (const host of hosts) {
        for (const path of everywhere) assert.strictEqual((yield* get(path, { host })).status, 403, `${host}${path}`)
      }
      assert.strictEqual((yield* get("/capstan/api/stats", { host: "localhost:9000" })).status, 200)
    })
  )

  fact(
    "has the session of another dashboard",
    Effect.fnUntraced(function*() {
      const [one, other] = [yield* opened(), yield* opened()]
      assert.strictEqual((yield* other.get("/capstan/api/stats", { cookie: one.cookie })).status, 401)
      // A browser sends the cookies of a host to all of its ports.
      const cookie = `${one.cookie}; ${other.cookie}`
      for (const { get } of [one, other]) {
        assert.strictEqual((yield* get("/capstan/api/stats", { cookie })).status, 200)
      }
    })
  )
})

describe("a role", () => {
  const cases: ReadonlyArray<readonly [given: Permission.Role | undefined, pause: number, remove: number]> = [
    ["viewer", 403, 403],
    ["operator", 200, 403],
    ["admin", 200, 200],
    [undefined, 200, 403]
  ]
  for (const [role, pause, remove] of cases) {
    fact(
      `${role ?? "that is not said"} pauses with ${pause}, deletes with ${remove}`,
      Effect.fnUntraced(function*() {
        const { id } = yield* SendMail.enqueue({ to: "ada@example.com" })
        const { change, get } = yield* opened(...role === undefined ? [] : ["--role", role])
        assert.strictEqual((yield* get("/capstan/api/stats")).status, 200)
        assert.strictEqual((yield* change("/queues/mail/pause")).status, pause)
        assert.strictEqual((yield* change("/records/delete", { where: { ids: [id] } })).status, remove)
        const { queues } = yield* Effect.provide(Jobs.Jobs.use(({ stats }) => stats), Jobs.layer)
        const mail = queues.find(({ queue }) => queue === "mail")
        assert.strictEqual(mail?.paused, pause === 200)
        assert.strictEqual(mail?.counts.ready, remove === 200 ? 0 : 1)
      })
    )
  }

  fact(
    "changes nothing for a page of another port",
    Effect.fnUntraced(function*() {
      const { change } = yield* opened()
      const { status } = yield* change("/queues/mail/pause", {}, { origin: "http://127.0.0.1:1" })
      assert.strictEqual(status, 403)
    })
  )
})

describe("flags", () => {
  fact(
    "--app brings the schemas by which payloads are edited",
    Effect.fnUntraced(function*() {
      const app = fileURLToPath(new URL("app.ts", import.meta.url))
      const { get } = yield* opened("--app", app)
      const { body } = yield* get("/capstan/api/declarations")
      assert.include(body, "SendMail")
    })
  )

  fact(
    "a port that is taken or none is said in a sentence",
    Effect.fnUntraced(function*() {
      const { origin } = yield* open()
      const taken = yield* run("dashboard", "--port", new URL(origin).port)
      assert.strictEqual(taken.code, 1)
      assert.match(taken.err, /port \d+ is taken.*give --port/)
      assert.strictEqual((yield* run("dashboard", "--port", "65536")).code, 2)
    })
  )
})
