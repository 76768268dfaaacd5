/**
 * A throwaway PgBouncer in transaction mode, in front of the test server. Installed from Debian's packages in CI alone, as
 * the servers are; elsewhere whoever needs it says what to type.
 */
import { Effect, type Scope } from "effect"
import { spawn } from "node:child_process"
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { connect } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { installPackages, mayInstall } from "../../../scripts/servers/install.ts"
import { freePort } from "../../../scripts/servers/port.ts"
import { until } from "./harness.ts"
import { url } from "./server.ts"

const find = (): string | undefined =>
  [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin"].map((folder) => join(folder, "pgbouncer")).find(
    existsSync
  )

/** Takes a minute or two where it is to be installed first: no test's own time. */
export const program = (): string => {
  if (find() === undefined && mayInstall()) installPackages(["pgbouncer"])
  const found = find()
  if (found === undefined) throw new Error("PgBouncer was not found. Type: sudo apt-get install pgbouncer")
  return found
}

const isListening = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1")
      .on("error", () => resolve(false))
      .on("connect", () => {
        socket.destroy()
        resolve(true)
      })
  })

/** Its address. */
export const start: Effect.Effect<string, never, Scope.Scope> = Effect.gen(function*() {
  const path = yield* Effect.sync(program)
  const port = yield* Effect.promise(freePort)
  const target = new URL(url())
  const password = target.password === "" ? "" : ` password=${target.password}`
  const folder = mkdtempSync(join(tmpdir(), "capstan-pgbouncer-"))
  const settings = join(folder, "pgbouncer.ini")
  writeFileSync(
    settings,
    `[databases]
* = host=${target.hostname} port=${target.port} user=${target.username}${password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = ${port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
logfile = ${folder}/log
`
  )
  // It refuses to run as root.
  chmodSync(folder, 0o777)
  const asNobody = process.getuid?.() === 0 ? ["-u", "nobody"] : []
  yield* Effect.acquireRelease(
    Effect.sync(() => spawn(path, ["-q", ...asNobody, settings], { stdio: "ignore" })),
    (bouncer) =>
      Effect.sync(() => {
        bouncer.kill("SIGKILL")
        rmSync(folder, { recursive: true, force: true })
      })
  )
  yield* until("PgBouncer to listen", Effect.promise(() => isListening(port)), 30).pipe(
    Effect.tapDefect(() => Effect.sync(() => console.log(readFileSync(`${folder}/log`, "utf8"))))
  )
  const own = new URL(target)
  own.port = String(port)
  return own.href
})
