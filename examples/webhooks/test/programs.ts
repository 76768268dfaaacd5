/** The demo as a process, and what is the same in its output on every store. */
import { spawn } from "node:child_process"
import { connect } from "node:net"
import { fileURLToPath } from "node:url"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

export const start = (...args: ReadonlyArray<string>) =>
  spawn(process.execPath, ["--conditions=@capstan/source", main, ...args])

export const demo = (...args: ReadonlyArray<string>) =>
  new Promise<{ readonly status: number | null; readonly stdout: string; readonly stderr: string }>((resolve) => {
    const child = start(...args)
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout += text)
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr += text)
    child.once("close", (status) => resolve({ status, stdout, stderr }))
  })

/** The tables and the verdict, without times and ids, and without what the store says of itself. */
export const comparable = (stdout: string): string => {
  const [tables, rest] = stdout.slice(stdout.indexOf("webhooks, delivered to")).split("A dead record")
  const timeless = tables!.replaceAll(/(\s+–|\s+\d+ ms) \/( –| \d+ ms)/g, "").replaceAll(/[ ─]+/g, " ")
  return timeless + rest!.slice(rest!.indexOf("The ledgers"))
}

/** Whether somebody listens on a port of loopback. */
export const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(true)).on("error", () => resolve(false))
    socket.unref()
  })
