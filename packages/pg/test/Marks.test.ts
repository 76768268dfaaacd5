/** From where a process claims, and how often it looks at what lies before that. */
import { assert, describe, it } from "vitest"
import type { ClaimedLine } from "../src/internal/codec.ts"
import { Marks } from "../src/internal/marks.ts"

/** What a claim answers of a record, but for its place not looked at. */
const line = (place: number) => ["", "", 0, 0, "", 0, 0, 0, 0, 0, 0, place] as unknown as ClaimedLine

/** Claims a record at an instant and answers whether it looked at the whole queue for it. */
const claims = (marks: Marks, at: number, took: number, place: number): boolean => {
  const [[, , from]] = marks.from(["q"], at) as unknown as [readonly [number, number, number]]
  marks.advance("q", [line(place)])
  marks.ended(at, at + took)
  return from === 0
}

describe("a process", () => {
  it("goes on after what it claimed last, and looks at the whole queue once a second", () => {
    const marks = new Marks()
    const looks = [0, 1, 500, 999, 1000, 1001, 1999, 2001].map((at, i) => claims(marks, at, 1, i + 1))
    assert.deepStrictEqual(looks, [true, false, false, false, true, false, false, true])
  })

  it("looks less often where that takes long: for a twentieth of its time at most", () => {
    const marks = new Marks()
    assert.isTrue(claims(marks, 0, 500, 1))
    assert.isFalse(claims(marks, 2000, 1, 2))
    assert.isFalse(claims(marks, 9999, 1, 3))
    assert.isTrue(claims(marks, 10_001, 1, 4))
    assert.isTrue(claims(marks, 11_001, 1, 5))
  })

  it("looks no second time while it looks, whoever claims meanwhile", () => {
    const marks = new Marks()
    marks.from(["q"], 0)
    marks.advance("q", [line(1)])
    assert.isFalse(claims(marks, 5000, 1, 2))
    marks.ended(0, 6000)
    assert.isFalse(claims(marks, 100_000, 1, 3))
    assert.isTrue(claims(marks, 120_001, 1, 4))
  })
})
