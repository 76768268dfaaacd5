/**
 * Pages as far as the server can tell: each hears the events, reads the figures anew after a frame, and every list that pages read by
 * themselves, as often as they do. A page reads one or two of those lists; these read all.
 */
import process from "node:process"

const [url = "", tabs = "10"] = process.argv.slice(2)

/** Twice as long as without the events. */
const polled: ReadonlyArray<readonly [path: string, seconds: number]> = [
  ["/series", 10],
  ["/jobs", 10],
  ["/errors", 10],
  ["/flows", 10],
  ["/schedules", 10],
  ["/limits", 20]
]

const open = async (_: unknown, index: number) => {
  const response = await fetch(`${url}/events`)
  let isDue = false
  const read = (path: string) => fetch(`${url}${path}`).then((answer) => answer.text()).catch(() => {})
  const readAnew = () => {
    if (isDue) return
    isDue = true
    setTimeout(() => {
      isDue = false
      void read("/stats")
    }, 1000)
  }
  // People open them at different times.
  for (const [path, seconds] of polled) {
    setTimeout(() => {
      void read(path)
      setInterval(() => void read(path), seconds * 1000)
    }, index * 373)
  }
  readAnew()
  return async () => {
    for await (const _ of response.body!) readAnew()
  }
}

const opened = await Promise.all(Array.from({ length: Number(tabs) }, open))
process.send!("open")
await Promise.all(opened.map((hear) => hear().catch(() => {})))
