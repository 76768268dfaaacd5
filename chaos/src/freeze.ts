/** Stops a process for so long. A process of its own wakes it again, whatever becomes of the two. */
import { type ChildProcess, spawn } from "node:child_process"

export const freeze = (pid: number, seconds: number): ChildProcess =>
  spawn("sh", ["-c", `kill -STOP ${pid} && sleep ${seconds}; kill -CONT ${pid}`], { detached: true, stdio: "ignore" })
