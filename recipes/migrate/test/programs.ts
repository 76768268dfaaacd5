/** The programs of the guides, as they are started; one is killed in the middle, and started again. */
import assert from "node:assert/strict"
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import process from "node:process"
import { text } from "node:stream/consumers"
import { fileURLToPath } from "node:url"
import { mails } from "./checks.ts"

interface Many {
  readonly waiting: () => Promise<number>
  readonly close: () => Promise<void>
}

export const killedAndRepeated = async (
  program: string,
  env: Readonly<Record<string, string>>,
  { close, waiting }: Many
): Promise<string> => {
  const folder = mkdtempSync(join(tmpdir(), "capstan-move-"))
  const report = join(folder, "rejects.ndjson")
  const start = (...args: ReadonlyArray<string>) =>
    spawn(process.execPath, ["--conditions=@capstan/source", program, ...args, "--report", report], {
      cwd: fileURLToPath(new URL("..", import.meta.url)),
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "inherit"]
    })
  const all = async (...args: ReadonlyArray<string>) => {
    const child = start(...args)
    const [output, [code]] = await Promise.all([text(child.stdout), once(child, "close")])
    assert.equal(code, 0)
    return JSON.parse(output.slice(output.indexOf("{\n")))
  }
  try {
    const before = await waiting()
    assert.ok(before >= mails.length)
    const dry = await all()
    assert.deepEqual([dry.mode, dry.stored, dry.removed, await waiting()], ["dry", mails.length, 0, before])

    const killed = start("--mode", "move")
    killed.stdout.resume()
    const ended = once(killed, "close")
    while (await waiting() === before && killed.exitCode === null) continue
    killed.kill("SIGKILL")
    assert.equal((await ended)[1], "SIGKILL")
    const left = await waiting()
    assert.ok(left > before - mails.length && left < before, `${left} left`)

    const { removed, stored, before: found, rejected } = await all("--mode", "move")
    assert.deepEqual([removed, stored + found], [left - (before - mails.length), removed])
    assert.equal(rejected.UnknownName, 1)
    assert.equal(await waiting(), before - mails.length)
    const lines = readFileSync(report, "utf8").trimEnd().split("\n").map((line) => JSON.parse(line))
    assert.equal(lines.filter(({ name, reason }) => name === "resize" && reason === "UnknownName").length, 1)
    return `killed with ${left} of ${mails.length} left, ${found} of them stored already, then moved them all`
  } finally {
    await close()
    rmSync(folder, { recursive: true })
  }
}
