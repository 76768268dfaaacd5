/** Ten pages as far as the server can tell: each hears the events, and reads what it shows anew as the page does. */
import process from "node:process"

const [url = "", tabs = "10"] = process.argv.slice(2)

const open = async () => {
  const response = await fetch(`${url}/events`)
  let isDue = false
  const read = (path: string) => fetch(`${url}${path}`).then((answer) => answer.text())
  const readAnew = () => {
    if (isDue) return
    isDue = true
    setTimeout(() => {
      isDue = false
      void Promise.all([read("/stats"), read("/records?order=newest&limit=100")]).catch(() => {})
    }, 1000)
  }
  setInterval(() => void read("/series").catch(() => {}), 10_000)
  readAnew()
  return async () => {
    for await (const _ of response.body!) readAnew()
  }
}

const opened = await Promise.all(Array.from({ length: Number(tabs) }, open))
process.send!("open")
await Promise.all(opened.map((hear) => hear().catch(() => {})))
