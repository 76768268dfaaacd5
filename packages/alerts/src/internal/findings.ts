/** What the rules find. A rule may be anybody's code: one that throws is itself something to tell of, and silences no other. */
import type { Jobs } from "capstan"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { AlertRule } from "../AlertRule.ts"
import { Answer, type Finding as FindingSchema } from "./alert.ts"
import { hear } from "./hear.ts"
import type { Snapshot } from "./snapshot.ts"
import { cut } from "./text.ts"

type Finding = (typeof FindingSchema)["Type"]

/** What one rule has found. */
export interface Found {
  readonly finding: Finding
  readonly forMillis: number
  /** Its place among the rules. */
  readonly rule: number
}

/** What all rules have found. Of what is in `failed` and `doubted`, what was found before may stand still. */
export interface Findings {
  readonly found: ReadonlyArray<Found>
  /** The places of the rules that have failed. */
  readonly failed: ReadonlySet<number>
  /** The keys of what a rule doubts. */
  readonly doubted: ReadonlySet<string>
}

/** What the rules find. Where some have doubts, all are asked again with what was heard meanwhile. */
export const find = (
  rules: ReadonlyArray<AlertRule>,
  now: Snapshot,
  before: Snapshot | undefined
): Effect.Effect<Findings, never, Jobs.Jobs> =>
  Effect.gen(function*() {
    const first = ask(rules, now, before)
    const doubts = new Set(first.answers.flatMap(({ finding: { doubt } }) => doubt === undefined ? [] : [doubt]))
    if (doubts.size === 0) return sorted(first)
    const heard = yield* hear(doubts)
    const queues = now.queues.map((queue) => {
      const there = heard.get(queue.queue)
      return there === undefined ? queue : { ...queue, heard: there }
    })
    return sorted(ask(rules, { ...now, queues }, before))
  })

interface Asked {
  readonly answers: ReadonlyArray<Found & { readonly finding: typeof Answer.Type }>
  readonly failed: ReadonlySet<number>
}

const ask = (rules: ReadonlyArray<AlertRule>, now: Snapshot, before: Snapshot | undefined): Asked => {
  const failed = new Set<number>()
  const answers = rules.flatMap(({ forMillis, look }, rule): Asked["answers"] => {
    // The one place where their code is called: what it throws would end the look, and with it every alert.
    try {
      return checked(look(now, before)).map((finding) => ({ finding: fitting(finding), forMillis, rule }))
    } catch (error) {
      failed.add(rule)
      return [{ finding: fitting(failureOf(rule, error)), forMillis: 0, rule }]
    }
  })
  return { answers, failed }
}

const sorted = ({ answers, failed }: Asked): Findings => {
  const found = answers.filter(({ finding }) => finding.doubt === undefined)
  const doubtful = answers.filter(({ finding }) => finding.doubt !== undefined)
  return { found, failed, doubted: new Set(doubtful.map(({ finding }) => finding.key)) }
}

/** What has another shape could not be kept: the look would fail when it has ended. */
const checked = Schema.decodeUnknownSync(Schema.Array(Answer))

const failureOf = (rule: number, error: unknown): Finding => ({
  key: `rule/${rule}`,
  severity: "critical",
  title: "a rule of the alerts fails",
  detail: `rules[${rule}]: ${
    error instanceof Error ? `${error.name}: ${error.message}` : typeof error === "string" ? error : typeof error
  }`
})

/** A rule may say anything; a message and the result of a look have bounds, and what is refused is told to nobody. */
const fitting = (finding: typeof Answer.Type): typeof Answer.Type => ({
  ...finding,
  title: cut(finding.title, 1024),
  detail: cut(finding.detail, 8000)
})
