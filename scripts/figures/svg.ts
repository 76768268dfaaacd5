/** What the pictures are drawn with. They follow the reader's light or dark scheme, on a ground of their own. */

export const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("\"", "&quot;")

/** Two decimals at most, so that the text is the same wherever it is written. */
const n = (value: number): string => String(Math.round(value * 100) / 100)

/** `look` is what the style sheet knows: `title`, `ours`, `muted`, and so on. */
export const text = (x: number, y: number, content: string, look = "", anchor: "end" | "middle" | "start" = "start") =>
  `<text x="${n(x)}" y="${n(y)}"${look === "" ? "" : ` class="${look}"`}${
    anchor === "start" ? "" : ` text-anchor="${anchor}"`
  }>${escape(content)}</text>`

export const box = (x: number, y: number, width: number, height: number, look: string, round = 2) =>
  `<rect x="${n(x)}" y="${n(y)}" width="${n(Math.max(0, width))}" height="${n(height)}" rx="${round}" class="${look}"/>`

export const line = (x1: number, y1: number, x2: number, y2: number, look: string) =>
  `<line x1="${n(x1)}" y1="${n(y1)}" x2="${n(x2)}" y2="${n(y2)}" class="${look}"/>`

const style = `
svg { font: 12.5px system-ui, -apple-system, "Segoe UI", "Liberation Sans", sans-serif; }
.ground { fill: #ffffff; stroke: #d8dee4; }
text { fill: #1f2328; }
.title { font-size: 18px; font-weight: 600; }
.head { font-weight: 600; }
.muted { fill: #636c76; }
.small { fill: #636c76; font-size: 11.5px; }
.strong { font-weight: 600; }
.tiny { fill: #636c76; font-size: 10.5px; }
.number { font-size: 11.5px; font-variant-numeric: tabular-nums; }
.heat-1, .heat-2, .heat-3, .heat-4, .heat-5 { fill: #2f6fdb; }
.heat-1 { fill-opacity: 0.08; }
.heat-2 { fill-opacity: 0.16; }
.heat-3 { fill-opacity: 0.24; }
.heat-4 { fill-opacity: 0.34; }
.heat-5 { fill-opacity: 0.46; }
.bar { fill: #b6bfc9; }
.bar-ours { fill: #2f6fdb; }
.whisker { stroke: #1f2328; stroke-width: 1.2; }
.rule { stroke: #d8dee4; }
.good { fill: #d4f0dc; }
.good-text { fill: #116329; }
.bad { fill: #ffd3cf; }
.bad-text { fill: #a40e26; font-weight: 600; }
text.small-bad { font-size: 11.5px; font-weight: 400; }
@media (prefers-color-scheme: dark) {
  .ground { fill: #0d1117; stroke: #30363d; }
  text { fill: #e6edf3; }
  .muted, .small, .tiny { fill: #9198a1; }
  .heat-1, .heat-2, .heat-3, .heat-4, .heat-5 { fill: #4c8df6; }
  .bar { fill: #4f5863; }
  .bar-ours { fill: #4c8df6; }
  .whisker { stroke: #e6edf3; }
  .rule { stroke: #30363d; }
  .good { fill: #12361f; }
  .good-text { fill: #56d364; }
  .bad { fill: #4d1519; }
  .bad-text { fill: #ff8f88; }
}
`

/** `what` is said to those who do not see it. */
export const picture = (width: number, height: number, what: string, parts: ReadonlyArray<string>): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${
    escape(what)
  }">
<style>${style}</style>
${box(0.5, 0.5, width - 1, height - 1, "ground", 8)}
${parts.join("\n")}
</svg>
`
