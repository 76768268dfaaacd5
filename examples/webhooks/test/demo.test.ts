import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url))

const demo = (...args: ReadonlyArray<string>) => {
  const { status, stderr, stdout } = spawnSync(process.execPath, ["--conditions=@capstan/source", main, ...args], {
    encoding: "utf8"
  })
  return { status, stdout, stderr }
}

/** The tables and the verdict, without times and ids. */
const comparable = (stdout: string): string => {
  const [tables, rest] = stdout.split("A dead record")
  const timeless = tables!.replaceAll(/(\s+–|\s+\d+ ms) \/( –| \d+ ms)/g, "").replaceAll(/[ ─]+/g, " ")
  return timeless + rest!.slice(rest!.indexOf("The ledgers"))
}

describe("the demo", { timeout: 60_000 }, () => {
  it("agrees with the ledgers, and prints the same for the same seed, times apart", () => {
    const first = demo("--seed", "3")
    const second = demo("--seed", "3")
    assert.strictEqual(first.status, 0, first.stderr)
    assert.strictEqual(comparable(first.stdout), comparable(second.stdout))
    assert.match(first.stdout, /TriageIssue\s+\d+\s+\d+/)
    assert.match(first.stdout, /dead: Failed/)
    assert.match(first.stdout, /completed after its replay/)
    assert.match(first.stdout, /server POST \/webhooks/)
    assert.match(first.stdout, /└─ send /)
    assert.match(first.stdout, /none lost, doubled or invented/)
    assert.notStrictEqual(comparable(demo("--seed", "4").stdout), comparable(first.stdout))
  })

  it("exits non-zero when the handlers break the idempotency key", () => {
    const { status, stdout } = demo("--break", "idempotency")
    assert.strictEqual(status, 1)
    assert.match(stdout, /doubled: \d+/)
  })

  it("refuses a store that it does not have", () => {
    const { status, stderr } = demo("--store", "postgres")
    assert.strictEqual(status, 2)
    assert.match(stderr, /has the store "memory" alone/)
  })
})
