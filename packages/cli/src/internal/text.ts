/**
 * What goes to a terminal. Payloads, errors and names come from outside: nothing of them may move the cursor, ring, or
 * turn the direction of the text, so control characters are shown as what they are.
 */
// C0, DEL, C1, and what turns the direction of text or has no width.
// oxlint-disable-next-line no-control-regex
const hostile = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g

/** One line of text, whatever it holds. */
export const plain = (text: string): string =>
  text.replace(hostile, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** The same over several lines. */
export const plainLines = (text: string): string => text.split("\n").map(plain).join("\n")

/** At most so many characters, and a sign that there were more. */
export const cut = (text: string, width: number): string => {
  const characters = [...text]
  return characters.length <= width ? text : `${characters.slice(0, Math.max(0, width - 1)).join("")}…`
}

/** The same without its middle: names of one kind differ at their ends. */
export const cutMiddle = (text: string, width: number): string => {
  const characters = [...text]
  if (characters.length <= width) return text
  const end = Math.floor((width - 1) / 2)
  return `${characters.slice(0, width - 1 - end).join("")}…${characters.slice(characters.length - end).join("")}`
}

/** A duration as a person says it: `850 ms`, `12 s`, `3 min`, `5 h`, `2 d`. */
export const duration = (millis: number): string => {
  const units = [["d", 86_400_000], ["h", 3_600_000], ["min", 60_000], ["s", 1000]] as const
  const size = Math.abs(millis)
  const unit = units.find(([, of]) => size >= of)
  return unit === undefined ? `${Math.round(millis)} ms` : `${Math.round(millis / unit[1] * 10) / 10} ${unit[0]}`
}

/** An instant to the second, in UTC: it is copied between machines. */
export const instant = (millis: number): string =>
  new Date(millis).toISOString().replace("T", " ").replace(/\.\d+Z$/, "Z")

/** A column: its title, and which side its cells stand on. */
export interface Column {
  readonly title: string
  readonly align?: "left" | "right"
  /** A longer cell is cut. @default none */
  readonly width?: number
}

/** A table without rules, as wide as its cells. What is only spaces at the end of a line is left out. */
export const table = (columns: ReadonlyArray<Column>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const cells = rows.map((row) => row.map((cell, i) => cut(plain(cell), columns[i]?.width ?? Infinity)))
  const widths = columns.map(({ title }, i) => Math.max(title.length, ...cells.map((row) => [...row[i] ?? ""].length)))
  const line = (row: ReadonlyArray<string>) =>
    row.map((cell, i) => {
      const room = " ".repeat(widths[i]! - [...cell].length)
      return columns[i]!.align === "right" ? room + cell : cell + room
    }).join("  ").trimEnd()
  return [line(columns.map(({ title }) => title)), ...cells.map(line)].join("\n")
}

/** `1 record`, `2 records`. */
export const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`

/** Titled values, one a line. Absent ones are left out. */
export const fields = (values: ReadonlyArray<readonly [title: string, value: string | undefined]>): string => {
  const present = values.filter((field): field is [string, string] => field[1] !== undefined)
  const width = Math.max(0, ...present.map(([title]) => title.length))
  return present.map(([title, value]) => `${title.padEnd(width)}  ${plain(value)}`).join("\n")
}
