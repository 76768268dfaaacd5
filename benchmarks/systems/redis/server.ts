/**
 * The databases of a run: a template per system, kept as a snapshot file, and loaded again for each pass. The server is the
 * bench's own, on this machine, and has one database at a time.
 */
import { copyFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { createClient } from "redis"
import { cpuOf } from "../../src/cpu.ts"
import type { OpenServer } from "../../src/server.ts"
import { sleep } from "../../src/system.ts"

const settings = ["appendonly", "save", "maxmemory-policy", "io-threads"]

export const open: OpenServer = async (url, prefix) => {
  const admin = createClient({ url })
  await admin.connect()
  const valueOf = async (name: string): Promise<string> => (await admin.configGet(name))[name] ?? ""
  const info = async (section: string): Promise<ReadonlyMap<string, string>> =>
    new Map((await admin.info(section)).split("\r\n").map((line) => line.split(":") as [string, string]))
  const folder = await valueOf("dir")
  const current = join(folder, "dump.rdb")
  const named = (name: string) => join(folder, `${prefix}_${name.replaceAll(/[^a-z0-9]/g, "_")}.rdb`)
  const pid = Number((await info("server")).get("process_id"))
  const templates = new Set<string>()

  const restore = async (file: string): Promise<void> => {
    copyFileSync(file, current)
    await admin.sendCommand(["DEBUG", "RELOAD", "NOSAVE"])
  }

  return {
    describe: async () => {
      const server = await info("server")
      const values = await Promise.all(settings.map(async (name) => `${name} ${await valueOf(name) || "none"}`))
      return [`Redis ${server.get("redis_version")}`, ...values].join("; ")
    },
    template: async (name, prepare) => {
      await admin.flushAll()
      await prepare(url)
      await admin.sendCommand(["SAVE"])
      copyFileSync(current, named(name))
      templates.add(named(name))
    },
    copy: async (template) => {
      await restore(named(template))
      return url
    },
    analyze: async () => {},
    logged: async () => Number((await info("persistence")).get("aof_current_size") ?? 0),
    used: async () => Number((await info("memory")).get("used_memory")),
    durably: async (work) => {
      await admin.configSet({ appendonly: "yes", appendfsync: "everysec", "auto-aof-rewrite-percentage": "0" })
      while ((await info("persistence")).get("aof_rewrite_in_progress") !== "0") await sleep(10)
      try {
        return await work()
      } finally {
        await admin.configSet({ appendonly: "no" })
      }
    },
    cpu: async () => cpuOf(pid, false),
    dropCopies: async () => {
      await admin.flushAll()
    },
    dropTemplates: async () => {
      for (const file of templates) rmSync(file, { force: true })
    },
    close: async () => admin.destroy()
  }
}
