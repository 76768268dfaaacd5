/** Checks the files of this folder, and runs what they describe on loopback. `README.md` says what is left out. */
import assert from "node:assert/strict"
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { basename, join, resolve } from "node:path"
import { setTimeout as pause } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import { startPostgres, startRedis } from "../../scripts/servers/index.ts"
import { parseYaml, wrongWith } from "./client/index.ts"
import { take } from "./steps.ts"

const here = fileURLToPath(new URL(".", import.meta.url))
const read = (path: string) => readFileSync(resolve(here, path), "utf8")

const composeText = read("docker-compose.yaml")
const compose = parseYaml(composeText)
const services: Record<string, any> = compose.services

// The schema, and that it would have found something.
assert.deepEqual(wrongWith(compose), [])
for (
  const [right, wrong] of [
    ["condition: service_healthy", "condition: service_awake"],
    ["restart: unless-stopped", "restarts: unless-stopped"],
    ["interval: 10s", "intervall: 10s"],
    ["command: [postgres,", "command: [{},"],
    ["postgres: {}\n", "postgres: []\n"]
  ] as const
) {
  assert.ok(composeText.includes(right), right)
  assert.notDeepEqual(wrongWith(parseYaml(composeText.replace(right, wrong))), [], wrong)
}
console.log("docker-compose.yaml: as the Compose schema has it")

// What one part says of another.
const mounts = (name: string): ReadonlyArray<readonly [source: string, target: string]> =>
  (services[name].volumes ?? []).map((mount: string) => mount.split(":"))
for (const [name, service] of Object.entries(services)) {
  for (const needed of Array.isArray(service.depends_on) ? service.depends_on : Object.keys(service.depends_on ?? {})) {
    assert.ok(needed in services, `${name} waits for ${needed}`)
    if (service.depends_on[needed]?.condition === "service_healthy") assert.ok(services[needed].healthcheck, needed)
  }
  for (const secret of service.secrets ?? []) assert.ok(secret in compose.secrets, `${name} has the secret ${secret}`)
  for (const value of Object.values<string>(service.environment ?? {})) {
    const [, secret] = /^\/run\/secrets\/(.*)$/.exec(value) ?? []
    if (secret !== undefined) assert.ok(service.secrets.includes(secret), `${name} reads ${value}`)
  }
  for (const [source] of mounts(name)) {
    assert.ok(
      source.startsWith(".") ? existsSync(resolve(here, source)) : source in compose.volumes,
      `${name}: ${source}`
    )
  }
  for (const port of service.ports ?? []) {
    assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, `${name} is for this machine alone`)
  }
}
const mounted = (name: string, target: string): string => {
  const [source] = mounts(name).find(([, to]) => to === target) ??
    assert.fail(`nothing is mounted at ${target} of ${name}`)
  return resolve(here, source)
}
const provisioned = "/etc/grafana/provisioning"
const { datasources: [source] } = parseYaml(
  readFileSync(mounted("grafana", `${provisioned}/datasources/capstan.yaml`), "utf8")
)
assert.equal(source.url, `http://prometheus:${services.prometheus.ports[0].split(":").at(-1)}`)
const { providers: [provider] } = parseYaml(
  readFileSync(mounted("grafana", `${provisioned}/dashboards/capstan.yaml`), "utf8")
)
const home: string = services.grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH
assert.equal(resolve(home, ".."), provider.options.path)
const dashboard = JSON.parse(readFileSync(mounted("grafana", home), "utf8"))
assert.equal(dashboard.templating.list.find(({ type }: any) => type === "datasource").query, source.type)
console.log("docker-compose.yaml: what its parts say of each other is so")

const folder = mkdtempSync(join(tmpdir(), "capstan-compose-"))
const running: Array<ChildProcess> = []
const stops: Array<() => Promise<void>> = []

/** A program until the end. What it prints is shown when it ends too early. */
const start = (
  command: string,
  args: ReadonlyArray<string>,
  options: { cwd?: string; env?: Record<string, string> }
) => {
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: options.env ?? process.env,
    stdio: ["ignore", "pipe", "pipe"]
  })
  running.push(child)
  let output = ""
  child.stdout.on("data", (data) => output += data)
  child.stderr.on("data", (data) => output += data)
  child.on("error", (error) => output += error.message)
  return { child, output: () => output }
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  return port
}

/** Asks until it is so. */
const until = async <A>(what: string, ask: () => Promise<A | undefined>, seconds = 60): Promise<A> => {
  const end = performance.now() + seconds * 1000
  let last: unknown
  while (performance.now() < end) {
    try {
      const answer = await ask()
      if (answer !== undefined) return answer
    } catch (error) {
      last = error
    }
    await pause(100)
  }
  throw new Error(`${what}: not within ${seconds} s`, { cause: last })
}

const tool = (name: string): string => {
  const found = (process.env.PATH ?? "").split(":").map((path) => join(path, name)).find((path) => existsSync(path))
  if (found === undefined) throw new Error(`${name} is missing: apt-get install prometheus`)
  return found
}

/** As mounted files and secrets are found on this machine. */
const secrets = Object.keys(compose.secrets).map((name) => {
  const path = join(folder, name)
  writeFileSync(path, randomBytes(24).toString("hex"))
  return [name, path] as const
})
const secretOf = (name: string) => readFileSync(join(folder, name), "utf8")

const check = async () => {
  const command = (name: string): ReadonlyArray<string> => services[name].command

  const [postgresProgram, ...postgresArgs] = command("postgres")
  assert.equal(postgresProgram, "postgres")
  const settings = Object.fromEntries(
    postgresArgs.filter((arg) => arg !== "-c").map((arg) => arg.split("=") as [string, string])
  )
  const version = Number(services.postgres.image.split(":")[1])
  const postgres = await startPostgres({ version, settings: { ...settings, fsync: "off" } })
  stops.push(() => postgres.stop())

  const [redisProgram, ...redisArgs] = command("redis")
  assert.equal(redisProgram, "redis-server")
  const redisSettings: Record<string, string> = {}
  for (let i = 0; i < redisArgs.length; i += 2) redisSettings[redisArgs[i]!.replace(/^--/, "")] = redisArgs[i + 1]!
  const redis = await startRedis({ settings: redisSettings })
  stops.push(() => redis.stop())
  for (const [name, value] of Object.entries(redisSettings)) {
    assert.deepEqual(await redis.command("CONFIG", "GET", name), [name, value])
  }
  console.log(`Postgres ${version} and Redis run with the settings of their commands`)

  const image = services["app-postgres"].build
  const app = join(folder, "app")
  const [program, ...args] = take(resolve(here, image.context, image.dockerfile), resolve(here, image.context), app)
  assert.equal(program, "node")
  console.log("app: the steps of its Dockerfile are taken")

  const apps = await Promise.all((["app-postgres", "app-redis"] as const).map(async (name) => {
    const port = await freePort()
    const service = services[name]
    const env: Record<string, string> = {
      ...service.environment,
      PATH: process.env.PATH!,
      HOST: "127.0.0.1",
      PORT: String(port)
    }
    for (const [secret, path] of secrets) {
      for (const [variable, value] of Object.entries(env)) if (value === `/run/secrets/${secret}`) env[variable] = path
    }
    env.ORDERS_URL = name === "app-postgres" ? postgres.url : redis.url
    const { child, output } = start(process.execPath, args, { cwd: app, env })
    const url = `http://127.0.0.1:${port}`
    await until(`${name} is healthy`, async () => {
      if (child.exitCode !== null) throw new Error(output())
      return (await fetch(`${url}/healthy`)).ok || undefined
    })
    // Its own health check, with its own port.
    const [, node, ...probe] = service.healthcheck.test
    assert.equal(node, "node")
    const probed = spawnSync(process.execPath, probe.map((arg: string) => arg.replace(":3000/", `:${port}/`)))
    assert.equal(probed.status, 0)
    const refused = spawnSync(
      process.execPath,
      probe.map((arg: string) => arg.replace(":3000/healthy", `:${port}/nothing`))
    )
    assert.equal(refused.status, 1)

    assert.equal((await fetch(`${url}/capstan/api/stats`)).status, 401)
    const post = (token: string) =>
      fetch(`${url}/sign-in`, { method: "POST", body: new URLSearchParams({ token }), redirect: "manual" })
    assert.equal((await post("nothing of the kind, and long")).status, 401)
    const signedIn = await post(secretOf("operator-token"))
    assert.equal(signedIn.headers.get("location"), "/capstan")
    const cookie = signedIn.headers.get("set-cookie")!.split(";")[0]!
    const page = await fetch(`${url}/capstan`, { headers: { cookie } })
    assert.match(await page.text(), /<title>/)
    const completed = await until(`${name}: orders go through`, async () => {
      const { queues } = await (await fetch(`${url}/capstan/api/stats`, { headers: { cookie } })).json()
      const many = queues.reduce((sum: number, { counts }: any) => sum + counts.completed, 0)
      return many > 3 ? many : undefined
    })
    console.log(`${name}: healthy, signed in, ${completed} records completed`)
    return { name, child, port }
  }))

  const places: ReadonlyArray<readonly [string, string]> = [
    ...mounts("prometheus").filter(([from]) => from.startsWith(".")).map(([from, to]) =>
      [to, resolve(here, from)] as const
    ),
    ...secrets.map(([name, path]) => [`/run/secrets/${name}`, path] as const),
    ...apps.map(({ name, port }) => [`${name}:3000`, `127.0.0.1:${port}`] as const)
  ]
  const config = join(folder, "prometheus.yaml")
  // As often as it takes not to wait here.
  let text = read("prometheus.yaml").replaceAll("interval: 15s", "interval: 1s")
  for (const [from, to] of places) text = text.replaceAll(from, to)
  assert.doesNotMatch(text, /\/run\/|\/etc\/|:3000/)
  writeFileSync(config, text)
  const promtool = tool("promtool")
  for (const what of [["config", config], ["rules", mounted("prometheus", "/etc/prometheus/alerts.yaml")]]) {
    const { status, stderr, stdout } = spawnSync(promtool, ["check", ...what], { encoding: "utf8" })
    assert.equal(status, 0, `${stdout}${stderr}`)
    console.log(`promtool check ${what[0]} ${basename(what[1]!)}: ok`)
  }

  const port = await freePort()
  const flags = command("prometheus").map((flag) =>
    flag.replace("/etc/prometheus/prometheus.yaml", config).replace("=/prometheus", `=${join(folder, "tsdb")}`)
  )
  const prometheus = start(tool("prometheus"), [...flags, `--web.listen-address=127.0.0.1:${port}`], { cwd: folder })
  const ask = async (path: string) => {
    if (prometheus.child.exitCode !== null) throw new Error(prometheus.output())
    const answer = await (await fetch(`http://127.0.0.1:${port}/api/v1/${path}`)).json()
    if (answer.status !== "success") throw new Error(`${path}: ${answer.error}`)
    return answer.data
  }
  await until("both stores are scraped", async () => {
    const { activeTargets } = await ask("targets")
    const failed = activeTargets.find(({ lastError }: any) => lastError !== "")
    if (failed !== undefined) throw new Error(failed.lastError)
    return activeTargets.length === 2 && activeTargets.every(({ health }: any) => health === "up") || undefined
  })
  const stores = await until("the depth of both stores is known", async () => {
    const { result } = await ask(`query?query=${encodeURIComponent("count by (store) (capstan_records)")}`)
    return result.length === 2 ? result.map(({ metric }: any) => metric.store).toSorted() : undefined
  })
  assert.deepEqual(stores, ["postgres", "redis"])
  const rules = await until("the rules are evaluated", async () => {
    const all = (await ask("rules")).groups.flatMap(({ rules }: any) => rules)
    const failed = all.find(({ health }: any) => health === "err")
    if (failed !== undefined) throw new Error(`${failed.name}: ${failed.lastError}`)
    return all.length > 0 && all.every(({ health }: any) => health === "ok") ? all.length : undefined
  })
  const expressions: ReadonlyArray<string> = dashboard.panels.flatMap(({ targets, title }: any) =>
    (targets ?? []).map(({ expr }: any) => {
      const query = expr.replaceAll("$queue", ".*").replaceAll("$__rate_interval", "1m").replaceAll("$__range", "1m")
      assert.doesNotMatch(query, /\$/, `${title}: a variable that Grafana has not`)
      return query
    })
  )
  // A rate wants two scrapes; what needs a crash or a schedule has nothing to show.
  const answered = await until("most of the dashboard has something to show", async () => {
    const silent: Array<string> = []
    for (const query of expressions) {
      const { result } = await ask(`query?query=${encodeURIComponent(query)}`)
      if (result.length === 0) silent.push(query)
    }
    if (silent.length > expressions.length / 2) throw new Error(`nothing for:\n${silent.join("\n")}`)
    return expressions.length - silent.length
  })
  console.log(
    `Prometheus: scrapes both, evaluates ${rules} rules, takes the dashboard's ${expressions.length} expressions, ${answered} of which have something to show`
  )

  for (const { child, name } of apps) {
    child.kill("SIGTERM")
    await until(`${name} ends`, async () => child.exitCode !== null || child.signalCode !== null || undefined, 40)
  }
  console.log("app: ends by SIGTERM within its stop_grace_period")
}

try {
  chmodSync(folder, 0o755)
  await check()
} finally {
  for (const child of running) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill("SIGKILL")
    await once(child, "exit")
  }
  for (const stop of stops) await stop()
  rmSync(folder, { recursive: true, force: true })
}
process.exit()
