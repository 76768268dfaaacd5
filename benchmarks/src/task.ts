import type { Figure } from "./measures.ts"

/** Not measured: makes the system's template. */
export const installScenario = "install"

/** What a child process is to do. */
export interface Task {
  readonly store: "memory" | "pg" | "redis"
  readonly system: string
  readonly scenario: string
  readonly quick: boolean
  /** Of the server; empty in memory. */
  readonly url: string
  /** Of the databases of this run. */
  readonly prefix: string
  /** What the first round found right for this system. */
  readonly jobs?: number
}

/** Figures by row. */
export type Outcome = Readonly<
  Record<string, {
    readonly warm: Figure
    /** Of the first pass, when there were several. */
    readonly cold?: Figure
  }>
>
