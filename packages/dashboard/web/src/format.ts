/** Numbers, durations and instants as they are read at a glance. */

const grouped = new Intl.NumberFormat("en")
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 })

export const count = (value: number): string => value < 100_000 ? grouped.format(value) : compact.format(value)

export const exact = (value: number): string => grouped.format(value)

export const percent = (share: number): string => `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`

/** Two units at most: `4 min 12 s`. */
export const duration = (millis: number): string => {
  const value = Math.max(0, millis)
  if (value < 1) return "0 ms"
  if (value < 1000) return `${Math.round(value)} ms`
  if (value < 10_000) return `${(value / 1000).toFixed(1)} s`
  const seconds = Math.round(value / 1000)
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min${seconds % 60 === 0 ? "" : ` ${seconds % 60} s`}`
  const hours = Math.floor(minutes / 60)
  if (hours < 48) return `${hours} h${minutes % 60 === 0 ? "" : ` ${minutes % 60} min`}`
  return `${Math.floor(hours / 24)} d${hours % 24 === 0 ? "" : ` ${hours % 24} h`}`
}

/** One unit: `4 min`. */
export const brief = (millis: number): string => {
  const value = Math.max(0, millis)
  if (value < 1000) return `${Math.round(value)} ms`
  if (value < 60_000) return `${Math.round(value / 1000)} s`
  if (value < 3_600_000) return `${Math.round(value / 60_000)} min`
  if (value < 172_800_000) return `${Math.round(value / 3_600_000)} h`
  return `${Math.round(value / 86_400_000)} d`
}

export const ago = (at: number, now: number): string => {
  const passed = now - at
  return passed < 1000 ? "now" : `${brief(passed)} ago`
}

const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  fractionalSecondDigits: 3
})
const day = new Intl.DateTimeFormat("en-GB", { year: "numeric", month: "short", day: "2-digit" })

export const time = (at: number): string => clock.format(at)
export const instant = (at: number): string => `${day.format(at)} ${clock.format(at)}`

/** The end of an id tells it apart: its start is the time of its making. */
export const shortId = (id: string): string => id.slice(-8)

export const bytes = (length: number): string =>
  length < 1024
    ? `${length} characters`
    : length < 1024 * 1024
    ? `${(length / 1024).toFixed(0)} K characters`
    : `${(length / 1024 / 1024).toFixed(1)} M characters`

/**
 * Text that shows what it has: marks that turn the direction of what follows, and controls, are written out. Nothing in a
 * payload moves what stands beside it.
 */
export const visible = (text: string): string =>
  text.replace(hidden, (char) => isShown.test(char) ? char : `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`)

/** Controls but for tab and line ends, marks of no width, and marks of direction. */
const hidden = /[\p{Cc}\p{Cf}]/gu
const isShown = /[\t\n\r]/

export const plural = (many: number, one: string, more: string = `${one}s`): string =>
  `${exact(many)} ${many === 1 ? one : more}`
