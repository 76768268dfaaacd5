/**
 * The databases of a run: a template per system with its schema installed, and a copy of it for each pass.
 */
import { readdirSync, readFileSync } from "node:fs"
import { Client, DatabaseError } from "pg"
import { cpuOf } from "../../src/cpu.ts"
import type { OpenServer } from "../../src/server.ts"
import { sleep } from "../../src/system.ts"

const settings = ["fsync", "synchronous_commit", "full_page_writes", "wal_level", "shared_buffers", "max_wal_size"]

const childrenOf = (pid: number): ReadonlyArray<number> =>
  readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((child) => {
    try {
      const stat = readFileSync(`/proc/${child}/stat`, "utf8")
      return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === pid
    } catch {
      return false
    }
  })

/** Read again when one has ended meanwhile: it would be counted nowhere, or twice. */
const cpuOfAll = (pid: number): number => {
  const children = childrenOf(pid)
  const sum = children.reduce((sum, child) => sum + cpuOf(child, false), cpuOf(pid, true))
  return childrenOf(pid).join() === children.join() ? sum : cpuOfAll(pid)
}

export const open: OpenServer = async (url, prefix) => {
  const admin = new Client({ connectionString: url })
  await admin.connect()
  const urlOf = (database: string) => {
    const of = new URL(url)
    of.pathname = `/${database}`
    return of.href
  }
  const named = (name: string) => `${prefix}_${name.replaceAll(/[^a-z0-9]/g, "_")}`
  const copies = `${prefix}_copy_`
  let next = 0

  /** A connection that a peer has closed is seen by the server a moment later. */
  const whenAlone = async (statement: string): Promise<void> => {
    for (let attempt = 0;; attempt++) {
      try {
        await admin.query(statement)
        return
      } catch (error) {
        if (!(error instanceof DatabaseError) || error.code !== "55006" || attempt === 50) throw error
        await sleep(100)
      }
    }
  }
  const drop = async (like: string) => {
    const { rows } = await admin.query("SELECT datname FROM pg_database WHERE starts_with(datname, $1)", [like])
    for (const { datname } of rows) await admin.query(`DROP DATABASE "${datname}" WITH (FORCE)`)
  }
  const postmaster = async (): Promise<number | undefined> => {
    if (!["127.0.0.1", "localhost", "[::1]"].includes(new URL(url).hostname)) return undefined
    try {
      const { rows } = await admin.query("SELECT split_part(pg_read_file('postmaster.pid'), E'\\n', 1)::int AS pid")
      return readFileSync(`/proc/${rows[0].pid}/comm`, "utf8").startsWith("postgres") ? rows[0].pid : undefined
    } catch {
      return undefined
    }
  }
  const pid = await postmaster()

  return {
    describe: async () => {
      const { rows } = await admin.query(
        "SELECT name, current_setting(name) AS value FROM pg_settings WHERE name = ANY($1)",
        [["server_version", ...settings]]
      )
      const valueOf = (name: string) => rows.find((row) => row.name === name)?.value
      return [
        `PostgreSQL ${valueOf("server_version").split(" ")[0]}`,
        ...settings.map((name) => `${name} ${valueOf(name)}`)
      ].join("; ")
    },
    template: async (name, prepare) => {
      const { rowCount } = await admin.query("SELECT FROM pg_database WHERE datname = $1", [named(name)])
      if (rowCount !== 0) return
      // Under another name until it is complete.
      await admin.query(`DROP DATABASE IF EXISTS "${named(name)}_new" WITH (FORCE)`)
      await whenAlone(`CREATE DATABASE "${named(name)}_new"`)
      await prepare(urlOf(`${named(name)}_new`))
      await whenAlone(`ALTER DATABASE "${named(name)}_new" RENAME TO "${named(name)}"`)
    },
    copy: async (template) => {
      const name = `${copies}${process.pid}_${next++}`
      await whenAlone(`CREATE DATABASE "${name}" TEMPLATE "${named(template)}"`)
      return urlOf(name)
    },
    analyze: async (url) => {
      const client = new Client({ connectionString: url })
      await client.connect()
      await client.query("ANALYZE")
      await client.end()
    },
    hold: async (url) => {
      const client = new Client({ connectionString: url })
      await client.connect()
      await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ")
      await client.query("SELECT txid_current()")
      const { rows } = await client.query("SELECT to_regprocedure('capstan.enqueue(text, jsonb, jsonb)') AS enqueue")
      // It holds keys besides, where there are such.
      if (rows[0].enqueue !== null) {
        await client.query(`SELECT capstan.enqueue('Held', '1', '{"uniqueKey": "k"}'),
          capstan.enqueue('Held', '2', '{"concurrencyKey": "k", "concurrencyLimit": 1}')`)
      }
      return async () => {
        await client.query("ROLLBACK")
        await client.end()
      }
    },
    logged: async () => {
      const { rows } = await admin.query("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 AS bytes")
      return rows[0].bytes
    },
    cpu: async () => pid === undefined ? undefined : cpuOfAll(pid),
    dropCopies: () => drop(copies),
    dropTemplates: () => drop(`${prefix}_`),
    close: () => admin.end()
  }
}
