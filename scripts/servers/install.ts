/**
 * Installs a server from Debian's packages, in CI alone: a run there is root on a machine that is thrown away.
 *
 * Elsewhere nothing of the system is touched; `ServerMissing` says what to type.
 */
import { spawnSync } from "node:child_process"
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import type { ServerName } from "./missing.ts"

/** Whether this run may install packages of the system. */
export const mayInstall = (
  env: Readonly<Record<string, string | undefined>> = process.env,
  uid: number | undefined = process.getuid?.()
): boolean => env.CI === "true" && uid === 0

const packages: Record<ServerName, string> = { postgres: "postgresql-15", redis: "redis-server" }

export const installServers = (servers: ReadonlyArray<ServerName>): void =>
  installPackages(servers.map((server) => packages[server]))

/** Installs them, or throws with what was said. No service is started, nor is Debian's own Postgres cluster made. */
export const installPackages = (names: ReadonlyArray<string>): void => {
  console.log(`installing ${names.join(" and ")}`)
  run("apt-get", ["update", "-qq"])
  const remove = [
    // Debian makes a cluster on the standard port with the first version that is installed.
    place("/etc/postgresql-common/createcluster.conf", "create_main_cluster = false\n", 0o644),
    // What Debian asks before it starts a service after an installation: 101 is no.
    place("/usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)
  ]
  try {
    run("apt-get", [
      "install",
      "-y",
      "-qq",
      "--no-install-recommends",
      "-o",
      "Dpkg::Options::=--force-confold",
      ...names
    ])
  } finally {
    for (const undo of remove) undo()
  }
}

/** Writes a file where there is none, and answers how to undo that. One that is there is the machine's own word. */
const place = (path: string, text: string, mode: number): () => void => {
  if (existsSync(path)) return () => {}
  mkdirSync(dirname(path), { recursive: true })
  writeFileSync(path, text, { mode })
  return () => rmSync(path, { force: true })
}

const run = (command: string, args: ReadonlyArray<string>) => {
  const { error, status, stderr, stdout } = spawnSync(command, args, {
    encoding: "utf8",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    maxBuffer: 64 * 1024 * 1024
  })
  if (status === 0) return
  throw new Error(`${[command, ...args].join(" ")} failed\n${stdout ?? ""}${stderr ?? ""}${error?.message ?? ""}`)
}
