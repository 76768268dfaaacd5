/**
 * A server of Next.js: `next build` of the recipe as an application, then `next start` on loopback. The recipe's types are taken
 * off before, so that Next.js wants no TypeScript of its own.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { stripTypeScriptTypes } from "node:module"
import process from "node:process"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"

const client = fileURLToPath(new URL("./client/", import.meta.url))
const next = `${client}node_modules/next/dist/bin/next`

/** Where Next.js looks for routes. It is made anew each time. */
const api = "app/capstan/api/[...path]"
const routes = [["next.ts", `${api}/route.js`], ["jobs.ts", `${api}/jobs.js`], ["next-greet.ts", "app/greet/route.js"]]

/** The packages are links to folders beside this one. */
const root = fileURLToPath(new URL("../../", import.meta.url))
const config = `export default { turbopack: { root: ${JSON.stringify(root)} } }\n`

const env = { ...process.env, NODE_ENV: "production", NEXT_TELEMETRY_DISABLED: "1" } as const

const run = (cwd: string, ...args: ReadonlyArray<string>): void => {
  const { error, status, stderr, stdout } = spawnSync(process.execPath, args, { cwd, env, encoding: "utf8" })
  if (status !== 0) throw new Error(`${args.join(" ")} failed: ${error?.message ?? ""}\n${stdout}${stderr}`)
}

const build = (): void => {
  for (const made of ["app", ".next"]) rmSync(`${client}${made}`, { recursive: true, force: true })
  for (const [from, to] of routes) {
    const text = stripTypeScriptTypes(readFileSync(new URL(from!, import.meta.url), "utf8"))
    mkdirSync(new URL(".", new URL(`./client/${to}`, import.meta.url)), { recursive: true })
    writeFileSync(`${client}${to}`, text.replaceAll(/(from "\..*)\.ts"/g, "$1.js\""))
  }
  writeFileSync(`${client}next.config.mjs`, config)
  // As npm would bring them: Next.js takes in what they publish, not their sources.
  run(root, "node_modules/typescript/bin/tsc", "-b", "packages/http")
  run(client, next, "build")
}

/** It listens when this answers. */
export const startNext = async (): Promise<{ readonly origin: string; readonly stop: () => Promise<void> }> => {
  build()
  const server: ChildProcess = spawn(process.execPath, [next, "start", "--hostname", "127.0.0.1", "--port", "0"], {
    cwd: client,
    env,
    stdio: ["ignore", "pipe", "pipe"]
  })
  const said: Array<string> = []
  const origin = await new Promise<string>((resolve, reject) => {
    let found: string | undefined
    const hear = (line: string) => {
      said.push(line)
      found ??= /http:\/\/127\.0\.0\.1:\d+/.exec(line)?.[0]
      if (found !== undefined && /Ready/.test(line)) resolve(found)
    }
    createInterface({ input: server.stdout! }).on("line", hear)
    createInterface({ input: server.stderr! }).on("line", hear)
    server.once("exit", () => reject(new Error(`next start ended:\n${said.join("\n")}`)))
  })
  return {
    origin,
    stop: async () => {
      if (server.exitCode !== null) return
      server.kill("SIGTERM")
      await once(server, "exit")
    }
  }
}
