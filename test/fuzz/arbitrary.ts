/** Values that nobody expects, from a seed: the same one makes the same values on every machine. */
import { Choices } from "../../packages/testing/src/internal/simulation/choices.ts"

const hostile: ReadonlyArray<string> = [
  "",
  " ",
  "\0",
  "\u001d\u001e\u001f",
  "a\0b",
  "\ud800",
  "\udfff\ud800",
  "\u202e\u200b\ufeff",
  "💥",
  "'; DROP TABLE record; --",
  "\" OR 1=1",
  "%",
  "%00",
  "%zz",
  "%E0%A4%A",
  "..",
  "../../etc/passwd",
  "a/b",
  "{}",
  "[]",
  "null",
  "NaN",
  "__proto__",
  "constructor",
  "toString",
  "hasOwnProperty",
  "-0",
  "1e309",
  "9007199254740993",
  "0x10",
  "00000000-0000-0000-0000-000000000000",
  "01890000-0000-7000-8000-000000000000",
  "ffffffff-ffff-ffff-ffff-ffffffffffff",
  "FFFFFFFF-FFFF-7FFF-8FFF-FFFFFFFFFFFF",
  "1970-01-01",
  "+275760-09-13T00:00:00.001Z",
  "-1 seconds",
  "1 fortnight",
  "Infinity",
  "* * * * *",
  "* * * * * *",
  "0 0 30 2 *",
  "60 * * * *",
  "*/0 * * * *",
  "1-0 * * * *",
  "@yearly",
  "Europe/Berlin",
  "Mars/Olympus",
  "a".repeat(200),
  "é".repeat(600),
  "x".repeat(70_000)
]

const numbers: ReadonlyArray<number> = [
  0,
  -0,
  1,
  -1,
  0.5,
  100,
  101,
  -100,
  -101,
  1000,
  1001,
  2 ** 31,
  -(2 ** 31) - 1,
  2 ** 53,
  Number.MAX_SAFE_INTEGER,
  8.64e15,
  8.64e15 + 1,
  -8.64e15,
  Number.MAX_VALUE,
  Number.MIN_VALUE,
  NaN,
  Infinity,
  -Infinity
]

export class Arbitrary extends Choices {
  below(bound: number): number {
    return this.between(0, bound - 1)
  }

  /** A known value mostly, changed a little or replaced else: what is wrong everywhere is refused at the first look. */
  like(valid: string): string {
    if (this.chance(0.4)) return valid
    if (this.chance(0.4)) return this.text()
    const at = this.below(valid.length + 1)
    const cut = this.below(4)
    return valid.slice(0, at) + (this.chance(0.5) ? this.text().slice(0, 8) : "") + valid.slice(at + cut)
  }

  text(): string {
    if (this.chance(0.6)) return this.pick(hostile)
    const length = this.below(this.chance(0.1) ? 400 : 12)
    // Surrogates alone, too: text that has no UTF-8.
    return String.fromCharCode(...Array.from({ length }, () => this.below(this.chance(0.7) ? 128 : 65_536)))
  }

  number(): number {
    return this.chance(0.7) ? this.pick(numbers) : Math.round((this.next() - 0.5) * 2 ** this.below(60))
  }

  /** Anything that a program may hand over. */
  value(depth = 3): unknown {
    const kind = this.below(depth > 0 ? 12 : 8)
    switch (kind) {
      case 0:
        return undefined
      case 1:
        return null
      case 2:
        return this.chance(0.5)
      case 3:
      case 4:
        return this.number()
      case 5:
      case 6:
        return this.text()
      case 7:
        return this.pick([10n ** 20n, Symbol.for("s"), () => 1, new Date(NaN), new Date(0), new Map([[1, 2]]), /x/])
      case 8:
      case 9:
        return Array.from({ length: this.below(4) }, () => this.value(depth - 1))
      default:
        return this.record(depth - 1)
    }
  }

  /** What JSON can say. */
  json(depth = 3): unknown {
    const text = JSON.stringify(this.value(depth), (_, value) => typeof value === "bigint" ? String(value) : value)
    return text === undefined ? null : JSON.parse(text)
  }

  /** An object with some of these properties. Of what comes as JSON each may be anything; a program's are of their kind. */
  options(of: Readonly<Record<string, () => unknown>>, from: "program" | "json" = "program"): Record<string, unknown> {
    const made: Record<string, unknown> = {}
    for (const [name, make] of Object.entries(of)) {
      if (this.chance(0.25)) made[name] = from === "json" && this.chance(0.25) ? this.json() : make()
    }
    return made
  }

  private record(depth: number): Record<string, unknown> {
    const made: Record<string, unknown> = {}
    for (let i = this.below(4); i > 0; i--) {
      // As `JSON.parse` makes it, and not as an assignment would.
      Object.defineProperty(made, this.text(), {
        value: this.value(depth),
        enumerable: true,
        configurable: true,
        writable: true
      })
    }
    return made
  }
}
