/**
 * What the terminal can show: colours and redrawing where it can, plain lines where it cannot.
 */

/** What is written to: standard output, or what a test gives in its place. */
export interface Output {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly write: (text: string) => unknown
}

const isTerminal = ({ isTTY }: Output): boolean => isTTY === true && process.env["NO_COLOR"] === undefined

const hasColors = isTerminal(process.stdout)

const paint = (code: number) => (text: string): string => hasColors ? `\u001b[${code}m${text}\u001b[0m` : text

export const bold = paint(1)
export const dim = paint(2)
export const red = paint(31)
export const green = paint(32)
export const yellow = paint(33)
export const cyan = paint(36)

/** How wide text is without its colours. */
// eslint-disable-next-line no-control-regex
const width = (text: string): number => text.replaceAll(/\u001b\[\d+m/g, "").length

const pad = (text: string, to: number, align: "left" | "right"): string => {
  const space = " ".repeat(Math.max(0, to - width(text)))
  return align === "left" ? text + space : space + text
}

/** Columns are right-aligned but for the first one. */
export const table = (head: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const widths = head.map((cell, i) => Math.max(width(cell), ...rows.map((row) => width(row[i] ?? ""))))
  const gap = isNarrow(process.stdout) ? 1 : 3
  const line = (row: ReadonlyArray<string>) =>
    "  " + row.map((cell, i) => pad(cell, widths[i]!, i === 0 ? "left" : "right")).join(" ".repeat(gap)).trimEnd()
  const rule = "  " + widths.map((size) => "─".repeat(size)).join("─".repeat(gap))
  return [dim(line(head)), dim(rule), ...rows.map(line)].join("\n")
}

export const title = (text: string): string => `\n${bold(text)}\n`

/**
 * Draws lines, each time over those that it drew last; nothing where the output is no terminal. A line that is too long is
 * cut: one that wraps would be two to go up.
 */
export const redrawn = (output: Output): (lines: ReadonlyArray<string>) => void => {
  let drawn = 0
  return (lines) => {
    if (!isTerminal(output)) return
    const up = drawn > 0 ? `\u001b[${drawn}A` : ""
    output.write(`${up}\u001b[?7l${lines.map((line) => `\u001b[2K${line}\n`).join("")}\u001b[?7h`)
    drawn = lines.length
  }
}

/** How long a bar may be on this terminal. */
export const barSize = (output: Output): number => isNarrow(output) ? 16 : 40

const isNarrow = ({ columns }: Output): boolean => (columns ?? 100) < 100

export const bar = (done: number, of: number, size: number): string => {
  const filled = of === 0 ? size : Math.round((done / of) * size)
  return green("█".repeat(filled)) + dim("░".repeat(size - filled))
}
