/** A program that starts servers, says so in one line, and then stays; or with `leave` as its first argument ends. */
import { startPostgres, startRedis } from "../../scripts/servers/index.ts"

const [stay, ...names] = process.argv.slice(2)
const start: Record<string, typeof startPostgres | typeof startRedis> = { postgres: startPostgres, redis: startRedis }

const servers = await Promise.all(names.map((name) => start[name]!()))
console.log(JSON.stringify(servers.map(({ pid, port }) => ({ pid, port }))))
if (stay === "stay") setInterval(() => {}, 1000)
