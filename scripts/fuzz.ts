/**
 * `npm run fuzz [-- --seconds 60] [--seed 1] [--store memory|pg|redis] [--sql]`: calls with what comes from outside, and nothing but typed errors may come of it:
 * see `test/fuzz`. Says how often each was answered and refused: one that refuses all has looked at nothing.
 * On a server of its own where it is of another store than memory. With `--sql` it calls the SQL function `enqueue` on a throwaway Postgres instead.
 */
import { Effect } from "effect"
import { parseArgs } from "node:util"
import { describe, run, runAll } from "../test/fuzz/index.ts"
import * as Sql from "../test/fuzz/sql.ts"
import { stores } from "../test/fuzz/stores.ts"
import { startPostgres, startRedis } from "./servers/index.ts"

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    store: { type: "string", default: "memory" },
    sql: { type: "boolean", default: false }
  }
})
const seconds = Number(values.seconds)
const seed = Number(values.seed)
if (!(seconds > 0) || !Number.isInteger(seed)) throw new Error("--seconds: above 0; --seed: a whole number")

const until = performance.now() + seconds * 1000
const goesOn = () => performance.now() < until
const start = values.sql || values.store === "pg" ? startPostgres : values.store === "redis" ? startRedis : undefined
if (start === undefined && values.store !== "memory") throw new Error("--store: memory, pg or redis")
const server = await start?.()
const { calls, findings, tallies } = await Effect.runPromise(
  !values.sql
    ? run(seed, goesOn, stores[values.store]!(server?.url ?? ""))
    : Effect.provide(runAll([Sql.target], seed, goesOn), Sql.layer(server!.url))
)
await server?.stop()
console.log("what                                       answered   refused")
for (const [name, { answered, refused }] of tallies) {
  console.log(name.padEnd(40) + String(answered).padStart(11) + String(refused).padStart(10))
}
console.log(`\n${calls} calls, ${findings.length} findings, seed ${seed}`)
for (const finding of findings) console.log(`\n${describe(finding)}`)
process.exit(findings.length > 0 ? 1 : 0)
