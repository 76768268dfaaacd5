import { readFileSync } from "node:fs"

/** Microseconds of a process, and of its children that have ended, by `/proc/<pid>/stat` in ticks of 10 ms. */
export const cpuOf = (pid: number, withEnded: boolean): number => {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    const [utime = 0, stime = 0, cutime = 0, cstime = 0] = stat.slice(stat.lastIndexOf(")") + 2).split(" ").slice(
      11,
      15
    )
      .map(Number)
    return (utime + stime + (withEnded ? cutime + cstime : 0)) * 10_000
  } catch {
    // It has ended in between.
    return 0
  }
}
