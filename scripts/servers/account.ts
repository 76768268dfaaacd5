/** Who runs the servers: ourselves, or an account without rights where we are root, for Postgres refuses root. */
import { readFileSync } from "node:fs"

/** An account of this machine. */
export interface Account {
  readonly name: string
  readonly uid: number
  readonly gid: number
}

/** The account to run a server as, and `undefined` for our own. */
export const serverAccount = (): Account | undefined => {
  if (process.getuid?.() !== 0) return undefined
  const accounts = readFileSync("/etc/passwd", "utf8").split("\n").map((line) => line.split(":"))
  const entry = accounts.find(([name]) => name === "postgres") ?? accounts.find(([name]) => name === "nobody")
  if (entry === undefined) throw new Error("root cannot run Postgres, and there is no account postgres or nobody")
  return { name: entry[0]!, uid: Number(entry[2]), gid: Number(entry[3]) }
}
