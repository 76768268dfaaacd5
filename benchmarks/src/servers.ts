/** The server of one run of the bench: its own, unless it is told of another one that it may use. */
import { type Server, startPostgres, startRedis } from "../../scripts/servers/index.ts"
import type { Task } from "./task.ts"

/** What a commit costs is not turned down. */
const postgres = {
  fsync: "on",
  synchronous_commit: "on",
  shared_buffers: "1GB",
  max_wal_size: "16GB",
  checkpoint_timeout: "30min",
  max_connections: "200"
}

/** Its defaults, without snapshots. It is given copies of databases by `DEBUG RELOAD`. */
const redis = { "enable-debug-command": "local" }

export const serverOf = async (
  store: Task["store"],
  given: string | undefined
): Promise<{ readonly url: string; readonly own?: Server }> => {
  if (store === "redis") {
    const own = await startRedis({ settings: redis })
    return { own, url: own.url }
  }
  const url = given ?? process.env.CAPSTAN_TEST_PG_URL
  if (url !== undefined) return { url }
  const own = await startPostgres({ settings: postgres })
  return { own, url: own.url }
}
