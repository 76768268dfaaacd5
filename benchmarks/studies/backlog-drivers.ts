/**
 * Does a claim's rate depend on the driver and on how much waits? One plain statement that settles and claims, over
 * postgres.js and over @effect/sql-pg, on a fresh table of each size, interleaved:
 *
 *     node scripts/node.mjs benchmarks/studies/backlog-drivers.ts [rounds]
 *
 * `docs/postgres.md` says what came of it.
 */
import { PgClient, PgTypes } from "@effect/sql-pg"
import { Effect, Layer, ManagedRuntime, Redacted, Result } from "effect"
import { readFileSync } from "node:fs"
import postgres from "postgres"
import { startPostgres } from "../../scripts/servers/index.ts"

const rounds = Number(process.argv[2] ?? 3)
const jobs = 30_000
const batch = 100
/** Milliseconds after which a slow one is stopped. */
const patience = 3000

interface Variant {
  readonly name: string
  readonly driver: "postgres.js" | "effect"
  readonly prepared?: false
  /** A driver that sends it as float8 makes another condition of it. */
  readonly mark?: "float8"
  /** Before the first claim: what the planner knows. */
  readonly given?: "analysed" | "planned while empty"
  /** What the server does on its own account, again and again while the claims are timed. */
  readonly meanwhile?: "VACUUM job" | "CHECKPOINT" | "SELECT sum(n) FROM generate_series(1, 1000000) n"
}

const variants: ReadonlyArray<Variant> = [
  ...(["postgres.js", "effect"] as const).flatMap((driver): ReadonlyArray<Variant> => [
    { name: driver, driver },
    { name: `${driver}, unnamed`, driver, prepared: false },
    { name: `${driver}, analysed`, driver, given: "analysed" },
    { name: `${driver}, planned while empty`, driver, given: "planned while empty" },
    { name: `${driver}, beside VACUUM`, driver, meanwhile: "VACUUM job" },
    { name: `${driver}, beside CHECKPOINT`, driver, meanwhile: "CHECKPOINT" },
    { name: `${driver}, beside others`, driver, meanwhile: "SELECT sum(n) FROM generate_series(1, 1000000) n" }
  ]),
  { name: "effect, mark as float8", driver: "effect", mark: "float8" }
]

const ddl: ReadonlyArray<string> = [
  "DROP TABLE IF EXISTS job, done; DROP SEQUENCE IF EXISTS job_seq",
  "CREATE SEQUENCE job_seq CACHE 32",
  `CREATE TABLE job (
    id bigint PRIMARY KEY, seq bigint NOT NULL DEFAULT nextval('job_seq'), started_at timestamptz, worker_id bigint,
    epoch int NOT NULL DEFAULT 0, attempt int NOT NULL DEFAULT 0, state smallint NOT NULL DEFAULT 0,
    priority smallint NOT NULL DEFAULT 0, queue text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL,
    payload json NOT NULL
  ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000)`,
  "CREATE INDEX job_ready ON job (queue, priority, seq) WHERE state = 0",
  "CREATE INDEX job_active ON job (worker_id) WHERE state = 1",
  `CREATE TABLE done (id bigint NOT NULL, finished_at timestamptz NOT NULL DEFAULT now(), started_at timestamptz,
    attempt int NOT NULL, queue text COLLATE "C" NOT NULL, name text COLLATE "C" NOT NULL, payload json, result text)`
]

const fill = (count: number): string =>
  `INSERT INTO job (id, seq, queue, name, payload)
    SELECT n, n, 'q', 'Task', json_build_object('n', n, 'pad', repeat('x', 100)) FROM generate_series(1, ${count}) n`

const statement = (mark: string) => `
WITH a AS (SELECT * FROM unnest($1::bigint[], $2::int[]) a(id, epoch)),
d AS (DELETE FROM job j USING a WHERE j.id = a.id AND j.epoch = a.epoch RETURNING j.*),
h AS (INSERT INTO done (id, started_at, attempt, queue, name, payload)
  SELECT id, started_at, attempt, queue, name, payload FROM d),
c AS (SELECT id FROM job WHERE queue = $3 AND state = 0 AND priority = 0 AND seq > $4::${mark}
  ORDER BY priority, seq LIMIT $5 FOR UPDATE SKIP LOCKED),
u AS (UPDATE job j SET state = 1, epoch = epoch + 1, attempt = attempt + 1, worker_id = 1, started_at = now()
  FROM c WHERE j.id = c.id RETURNING j.id, j.epoch, j.seq, j.payload)
SELECT id::text, epoch, seq::text, payload FROM u`

type Row = Readonly<{ id: string; epoch: number; seq: string }>

interface Connection {
  readonly pid: number
  readonly run: (ids: ReadonlyArray<string>, epochs: ReadonlyArray<number>, mark: number) => Promise<ReadonlyArray<Row>>
  readonly close: () => Promise<void>
}

const overPostgresJs = async (url: string, { mark = "int8", prepared = true }: Variant): Promise<Connection> => {
  const sql = postgres(url, { max: 1, prepare: prepared, onnotice: () => {} })
  const [{ pid }] = await sql`SELECT pg_backend_pid() AS pid` as unknown as [{ readonly pid: number }]
  const text = statement(mark)
  return {
    pid,
    run: (ids, epochs, from) =>
      sql.unsafe<Array<Row>>(text, [ids as Array<string>, epochs as Array<number>, "q", from, batch], {
        prepare: prepared
      }) as unknown as Promise<ReadonlyArray<Row>>,
    close: () => sql.end()
  }
}

const array = (values: ReadonlyArray<unknown>, oid: number) => Result.getOrThrow(PgTypes.array(values, oid))

const overEffect = async (url: string, { mark = "int8", prepared = true }: Variant): Promise<Connection> => {
  const runtime = ManagedRuntime.make(Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 })))
  const sql = await runtime.runPromise(PgClient.PgClient)
  const text = statement(mark)
  const [row] = await runtime.runPromise(sql<{ pid: number }>`SELECT pg_backend_pid() AS pid`)
  return {
    pid: row!.pid,
    run: (ids, epochs, from) => {
      const statement = sql.unsafe<Row>(text, [
        array(ids.map(BigInt), PgTypes.OID.int8),
        array(epochs, PgTypes.OID.int4),
        "q",
        // As the store sends a number: without a type its size decides which.
        mark === "int8" ? BigInt(from) : from + 0.5,
        batch
      ])
      return runtime.runPromise(Effect.withTracerEnabled(prepared ? statement : statement.unprepared, false))
    },
    close: () => runtime.dispose()
  }
}

/** Microseconds of CPU that a process has used. */
const cpuOf = (pid: number): number => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]!.split(" ")
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

interface Figures {
  readonly rate: number
  readonly cpu: number
  readonly slowest: number
  readonly vacuums: number
}

const measure = async (url: string, variant: Variant, waiting: number): Promise<Figures> => {
  const admin = postgres(url, { max: 3, onnotice: () => {} })
  for (const text of ddl) await admin.unsafe(text)
  const connection = await (variant.driver === "effect" ? overEffect : overPostgresJs)(url, variant)
  if (variant.given === "planned while empty") { for (let i = 0; i < 10; i++) await connection.run([], [], 0) }
  await admin.unsafe(fill(waiting + jobs))
  if (variant.given === "analysed") await admin.unsafe("ANALYZE job")
  await admin.unsafe("CHECKPOINT")
  let ids: ReadonlyArray<string> = []
  let epochs: ReadonlyArray<number> = []
  let mark = 0
  let slowest = 0
  const turn = async () => {
    const start = performance.now()
    const rows = await connection.run(ids, epochs, mark)
    slowest = Math.max(slowest, performance.now() - start)
    ids = rows.map(({ id }) => id)
    epochs = rows.map(({ epoch }) => epoch)
    mark = rows.reduce((most, { seq }) => Math.max(most, Number(seq)), mark)
    return rows.length
  }
  for (let i = 0; i < 10; i++) await turn()
  slowest = 0
  const others = { go: variant.meanwhile !== undefined }
  // As many as there are cores here are busy.
  const busy = [1, 2].map(async () => {
    while (others.go) await admin.unsafe(variant.meanwhile!)
  })
  const cpu = cpuOf(connection.pid)
  const start = performance.now()
  let done = 0
  while (done < jobs - 10 * batch && performance.now() - start < patience) done += await turn()
  const elapsed = performance.now() - start
  const spent = cpuOf(connection.pid) - cpu
  others.go = false
  await Promise.all(busy)
  await connection.close()
  const [row] = await admin.unsafe<Array<{ n: number }>>(
    "SELECT (autovacuum_count + autoanalyze_count)::int AS n FROM pg_stat_user_tables WHERE relname = 'job'"
  )
  await admin.end()
  return { rate: done / elapsed * 1000, cpu: spent / done, slowest, vacuums: row!.n }
}

const median = (values: ReadonlyArray<number>): number => values.toSorted((a, b) => a - b)[values.length >> 1]!

const server = await startPostgres({ settings: { shared_buffers: "1GB", max_wal_size: "4GB" } })
const sizes = [10_000, 500_000]
const all = new Map<string, Array<Figures>>()
for (let round = 0; round < rounds; round++) {
  for (const waiting of sizes) {
    for (const variant of variants) {
      const figures = await measure(server.url, variant, waiting)
      const key = `${variant.name} | ${waiting}`
      all.set(key, [...all.get(key) ?? [], figures])
      console.log(
        `${round + 1}  ${key.padEnd(42)} ${(figures.rate / 1000).toFixed(1).padStart(6)} k/s  ` +
          `${figures.cpu.toFixed(1).padStart(5)} us  slowest ${figures.slowest.toFixed(0).padStart(4)} ms  ` +
          `vacuums ${figures.vacuums}`
      )
    }
  }
}
await server.stop()

console.log("\nmedians                       10 k waiting           500 k waiting          ratio")
for (const { name } of variants) {
  const [few, many] = sizes.map((waiting) => {
    const figures = all.get(`${name} | ${waiting}`)!
    return { rate: median(figures.map(({ rate }) => rate)), cpu: median(figures.map(({ cpu }) => cpu)) }
  })
  console.log(
    `${name.padEnd(34)} ${(few!.rate / 1000).toFixed(1)} k/s, ${few!.cpu.toFixed(1)} us   ` +
      `${(many!.rate / 1000).toFixed(1)} k/s, ${many!.cpu.toFixed(1)} us   ${(many!.rate / few!.rate).toFixed(2)}`
  )
}
