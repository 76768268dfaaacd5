/** A judge as its user sees it: asked for a verdict, started when there is none, killed when it says nothing for long. */
import { type ChildProcess, fork } from "node:child_process"
import { fileURLToPath } from "node:url"
import type { Answer, Question } from "./judge.ts"

export type Verdict =
  | { readonly _tag: "Killed"; readonly by: string }
  | { readonly _tag: "TimedOut"; readonly by: string }
  | { readonly _tag: "Survived" }
  | { readonly _tag: "Invalid"; readonly why: string }

export interface JudgeOptions {
  /** `facts.ts` or `tests.ts`. */
  readonly program: string
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
  /** How many seconds one check may take, at least: ten times as long as the longest one took without a mutant. */
  readonly patience: number
  /** What is done after a judge was killed: its server may still be at it. */
  readonly afterKill: () => Promise<void>
}

/** Modules that are loaded are never forgotten: after so many mutants another process begins. */
const most = 200

export class Judge {
  readonly #options: JudgeOptions
  #child: ChildProcess | undefined
  #asked = 0
  #first: Array<string> = []
  /** How long the longest check took without a mutant, in milliseconds: a busy machine takes longer for all. */
  #longest = 0

  constructor(options: JudgeOptions) {
    this.#options = options
  }

  async ask(question: Omit<Question, "first">): Promise<Verdict> {
    if (this.#asked++ % most === 0) this.stop()
    this.#child ??= await this.#start()
    const child = this.#child
    const verdict = await new Promise<Verdict>((resolve, reject) => {
      let check = "loading"
      const finish = (end: () => void) => {
        clearTimeout(timer)
        child.off("message", hear)
        child.off("exit", gone)
        end()
      }
      const late = () => finish(() => resolve({ _tag: "TimedOut", by: check }))
      const patience = Math.max(this.#options.patience * 1000, 10 * this.#longest)
      let timer = setTimeout(late, patience)
      let began = performance.now()
      const gone = () => finish(() => reject(new Error(`the judge has ended at ${question.file}: ${check}`)))
      const hear = (answer: Answer) => {
        if (answer._tag === "Begun") {
          if (question.isOriginal) this.#longest = Math.max(this.#longest, performance.now() - began)
          began = performance.now()
          check = answer.check
          clearTimeout(timer)
          timer = setTimeout(late, patience)
        } else if (answer._tag !== "Ready") finish(() => resolve(answer))
      }
      child.on("message", hear)
      child.on("exit", gone)
      child.send({ ...question, first: this.#first })
    })
    if (verdict._tag === "TimedOut") {
      this.stop()
      await this.#options.afterKill()
    }
    if (verdict._tag === "Killed") {
      this.#first = [verdict.by, ...this.#first.filter((name) => name !== verdict.by)]
    }
    return verdict
  }

  /** Ends the process and those that it started: a group of its own. */
  stop(): void {
    if (this.#child?.pid !== undefined && this.#child.exitCode === null) {
      this.#child.removeAllListeners()
      process.kill(-this.#child.pid, "SIGKILL")
    }
    this.#child = undefined
  }

  #start(): Promise<ChildProcess> {
    const { args, env, program } = this.#options
    const child = fork(fileURLToPath(new URL(program, import.meta.url)), args, {
      detached: true,
      env: { ...process.env, ...env },
      execArgv: ["--conditions=@capstan/source"],
      stdio: ["ignore", "ignore", "inherit", "ipc"]
    })
    return new Promise((resolve, reject) => {
      child.once("message", () => {
        child.removeAllListeners()
        resolve(child)
      })
      child.once("exit", (code) => reject(new Error(`the judge did not start: ${code}`)))
    })
  }
}
