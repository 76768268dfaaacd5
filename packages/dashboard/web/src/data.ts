/**
 * What stands inside of payloads, as it is typed: `data.to.name:ada`, or with a JSON pointer where a key has a dot in it:
 * `data/to/last.name:ada`. In quotes a value is text: `data.n:"3"`, else it is what JSON has it for.
 */

export type Scalar = string | number | boolean | null

/** By JSON pointer. */
export type Data = Readonly<Record<string, Scalar>>

const escaped = (key: string): string => key.replaceAll("~", "~0").replaceAll("/", "~1")
const unescaped = (key: string): string => key.replaceAll("~1", "/").replaceAll("~0", "~")

export const quote = (text: string): string => `"${text.replaceAll(/[\\"]/g, "\\$&")}"`
export const unquote = (text: string): string => text.replaceAll(/\\([\\"])/g, "$1")

/** Of a word as it was typed, `data.to`; none where it names no place. */
export const pointerOf = (word: string): string | undefined => {
  const place = word.slice("data".length).replaceAll(/"((?:[^"\\]|\\.)*)"/g, (_, text: string) => unquote(text))
  if (place.startsWith("/")) return place
  const [start, ...keys] = place.split(".")
  return start !== "" || keys.length === 0 || keys.includes("")
    ? undefined
    : keys.map((key) => `/${escaped(key)}`).join("")
}

/** The word that names a place. */
export const wordOf = (pointer: string): string => {
  const keys = pointer.split("/").slice(1).map(unescaped)
  if (keys.length > 0 && keys.every((key) => /^[^\s.:"]+$/.test(key)) && !keys[0]!.startsWith("/")) {
    return `data.${keys.join(".")}`
  }
  return /^[^\s:"]*$/.test(pointer) ? `data${pointer}` : `data/${quote(pointer.slice(1))}`
}

export const scalarOf = (typed: string): Scalar =>
  /^(true|false|null|-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?)$/.test(typed) ? JSON.parse(typed) as Scalar : typed

export const typedOf = (value: Scalar): string =>
  typeof value === "string" && (value === "" || /^"|\s/.test(value) || typeof scalarOf(value) !== "string")
    ? quote(value)
    : String(value)

const isScalar = (value: unknown): value is Scalar =>
  value === null || typeof value === "string" || typeof value === "boolean" ||
  (typeof value === "number" && Number.isFinite(value))

/** Of an address. */
export const dataOf = (value: unknown): Data | undefined => {
  if (typeof value !== "object" || value === null) return undefined
  const entries = Object.entries(value).filter((entry): entry is [string, Scalar] =>
    (entry[0] === "" || entry[0].startsWith("/")) && isScalar(entry[1])
  )
  return entries.length === 0 ? undefined : Object.fromEntries(entries)
}
