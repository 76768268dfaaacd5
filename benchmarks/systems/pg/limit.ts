/**
 * The limit: one statement that deletes what was acknowledged and claims the next batch, over `pg`. It has no leases,
 * retries, fences or history; what a worker that dies had claimed stays claimed. Enqueues in flight are sent together.
 *
 * `claimed` is in no index and pages are half empty, so that a claim writes no index entry: that alone made it twice as
 * fast (120 against 68 k/s) as a partial index of what waits.
 */
import { Client } from "pg"
import { type MakeSystem, pooled, sleep, text } from "../../src/system.ts"

const schema = [
  `CREATE TABLE IF NOT EXISTS job (
     id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
     due timestamptz NOT NULL,
     claimed boolean NOT NULL DEFAULT false,
     payload json NOT NULL
   ) WITH (fillfactor = 50)`,
  "CREATE INDEX IF NOT EXISTS job_due ON job (due, id)",
  "CREATE TABLE IF NOT EXISTS sleeper (worker uuid PRIMARY KEY)"
]

const insert = {
  name: "insert",
  text: `
    WITH jobs AS (
      INSERT INTO job (payload, due) SELECT payload::json, coalesce($2::timestamptz, now()) FROM unnest($1::text[]) payload
    )
    SELECT pg_notify('job', '') WHERE EXISTS (SELECT FROM sleeper)`
}

const exchange = {
  name: "exchange",
  text: `
    WITH gone AS (DELETE FROM job WHERE id = ANY($1::int[]))
    UPDATE job SET claimed = true
    FROM (
      SELECT id FROM job WHERE due <= now() AND NOT claimed ORDER BY due, id LIMIT $2 FOR UPDATE SKIP LOCKED
    ) next
    WHERE job.id = next.id
    RETURNING job.id, job.payload::text`
}

const batch = 500

interface Row {
  readonly id: number
  readonly payload: string
}

/** One connection, one loop: writes what is done and asks for more, while handlers run what it has. */
const startWorker = async (
  url: string,
  concurrency: number,
  handle: (n: number) => Promise<void> | void
): Promise<() => Promise<void>> => {
  const client = new Client({ connectionString: url })
  const listener = new Client({ connectionString: url })
  await Promise.all([client.connect(), listener.connect()])
  const id = crypto.randomUUID()

  const state = { closed: false, notified: false, running: 0 }
  let done: Array<number> = []
  let wake = () => {}
  const waiting: Array<Row> = []
  const sleepUntilWoken = (millis: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, millis)
      wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  listener.on("notification", () => {
    state.notified = true
    wake()
  })
  await listener.query("LISTEN job")

  const ended = (id: number) => {
    state.running--
    done.push(id)
    runMore()
    wake()
  }
  const runMore = () => {
    while (state.running < concurrency && waiting.length > 0) {
      const { id, payload } = waiting.shift()!
      state.running++
      const { n } = JSON.parse(payload)
      const handled = handle(n)
      if (handled === undefined) {
        state.running--
        done.push(id)
      } else {
        void handled.then(() => ended(id))
      }
    }
  }

  const step = async (): Promise<number> => {
    const acknowledged = done
    done = []
    const limit = state.closed ? 0 : batch - waiting.length
    const { rows } = await client.query<Row>({ ...exchange, values: [acknowledged, limit] })
    for (const row of rows) waiting.push(row)
    runMore()
    return rows.length
  }
  /** Whoever stores a job from now on notifies; what was stored before is claimed at once. */
  const idle = async () => {
    state.notified = false
    await client.query("INSERT INTO sleeper VALUES ($1) ON CONFLICT DO NOTHING", [id])
    if (await step() === 0) {
      const { rows } = await client.query<{ millis: number }>(
        "SELECT extract(epoch FROM min(due) - clock_timestamp())::float8 * 1000 AS millis FROM job WHERE NOT claimed"
      )
      if (!state.notified) await sleepUntilWoken(Math.max(0, Math.min(rows[0]?.millis ?? 100, 100)))
    }
    await client.query("DELETE FROM sleeper WHERE worker = $1", [id])
  }
  const loop = (async () => {
    while (!state.closed || state.running > 0 || done.length > 0) {
      const claimed = await step()
      if (done.length > 0) continue
      // Handlers are at work: the next of them to end is the next thing to do, and those that end with it go along.
      if (state.running > 0) {
        await sleepUntilWoken(1000)
        await sleep(0)
      } else if (claimed === 0 && !state.closed) await idle()
    }
  })()

  return async () => {
    state.closed = true
    wake()
    await loop
    await Promise.all([client.end(), listener.end()])
  }
}

export const make: MakeSystem = async ({ millis, run, url }) => {
  const client = new Client({ connectionString: url })
  await client.connect()
  for (const statement of schema) await client.query(statement)
  const payload = (n: number) => JSON.stringify({ n, text })
  const store = (payloads: ReadonlyArray<string>, due?: Date) =>
    client.query({ ...insert, values: [payloads, due ?? null] })

  let outbox: Array<string> = []
  let sending: Promise<unknown> | undefined
  /** What is enqueued in one turn, or while a statement is under way, goes with the next. */
  const enqueue = async (n: number): Promise<void> => {
    outbox.push(payload(n))
    await sending
    const batch = outbox
    if (batch.length > 0) {
      outbox = []
      sending = store(batch)
    }
    await sending
  }
  const enqueueMany = async (from: number, count: number, due?: Date) => {
    for (let n = from; n < from + count; n += 5000) {
      await store(Array.from({ length: Math.min(5000, from + count - n) }, (_, i) => payload(n + i)), due)
    }
  }
  const handle = millis === 0 ? run : (n: number) => sleep(millis).then(() => run(n))
  const stops: Array<() => Promise<void>> = []
  return {
    enqueue: (from, count, inFlight) => pooled(from, count, inFlight, enqueue),
    enqueueBulk: (from, count) => enqueueMany(from, count),
    enqueueDue: (from, count, instant) => enqueueMany(from, count, new Date(instant)),
    start: async (concurrency) => {
      stops.push(await startWorker(url, concurrency, handle))
    },
    canHaveTwoWorkers: true,
    close: async () => {
      await Promise.all(stops.map((stop) => stop()))
      await client.end()
    }
  }
}
