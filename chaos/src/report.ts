/** What is printed of a run, and what is kept of it. */
import { quantiles } from "./audit.ts"
import type { Line, Run } from "./fault.ts"

export interface Row {
  readonly fault: string
  /** "capstan", or the system that was put under it beside. */
  readonly system: string
  readonly title: string
  /** What another system was set to. */
  readonly settings?: string
  /** The safeguard that was taken away: a control, which must fail. */
  readonly without?: string
  readonly figures: ReturnType<typeof figuresOf>
  readonly lines: ReadonlyArray<Line>
  readonly pass: boolean
  readonly seed: number
  /** How long it struck. */
  readonly seconds: number
  /** Of the code that ran. */
  readonly commit: string
  readonly date: string
}

/** A row before it is known of which run it is. */
export type Found = Omit<Row, "seed" | "seconds" | "commit" | "date">

/** What `results/<store>.json` has. */
export interface Results {
  /** 1 where it is not said: without F16 to F18 and F24, without other systems. */
  readonly format?: number
  readonly server: string
  readonly rows: ReadonlyArray<Row>
}

export const format = 2

export const figuresOf = (
  { findings, replayed, seconds, stuck, wedged }: Pick<Run, "findings" | "replayed" | "seconds" | "stuck" | "wedged">
) => {
  return {
    acknowledged: findings.acknowledged,
    refused: findings.refused,
    unknown: findings.unknown,
    done: findings.done,
    dead: findings.dead,
    replayed,
    lost: findings.lost.length,
    unexpected: findings.unexpected.length,
    duplicated: findings.duplicated,
    doneTwice: findings.doneTwice.length,
    ghost: findings.ghost.length,
    staleWrites: findings.stale,
    stuck,
    wedged: wedged.length,
    givenBack: findings.givenBack,
    rescue: { samples: findings.rescue.length, ...quantiles(findings.rescue) },
    recovery: { samples: findings.recovery.length, ...quantiles(findings.recovery) },
    struck: Object.fromEntries(findings.struck),
    seconds: Math.round(seconds)
  }
}

export const print = ({ fault, figures, lines, pass, settings, system, title, without }: Row): void => {
  const { recovery, rescue, staleWrites: stale } = figures
  const share = figures.done === 0 ? "" : ` (${(100 * figures.duplicated / figures.done).toFixed(1)} %)`
  const seconds = (millis: number | undefined) => `${((millis ?? 0) / 1000).toFixed(2)} s`
  console.log([
    `${fault}  ${title}${without === undefined ? "" : `; control: without ${without}`}` +
    (settings === undefined ? "" : `; ${system}: ${settings}`),
    `  acknowledged ${figures.acknowledged}  refused ${figures.refused}  unknown ${figures.unknown}  ` +
    `done ${figures.done}  dead ${figures.dead}  replayed ${figures.replayed}`,
    `  lost ${figures.lost}  unexpected ${figures.unexpected}  duplicated ${figures.duplicated}${share}  ` +
    `done twice ${figures.doneTwice}  ghost ${figures.ghost}  stuck ${figures.stuck}  wedged ${figures.wedged}`,
    `  stale writes attempted ${stale.attempted} / refused ${stale.refused} / accepted ${stale.accepted}, ` +
    `settlements among them ${stale.settlements}  ` +
    `claims given back ${figures.givenBack}`,
    ...recovery.samples === 0 ? [] : [
      `  recovery p50 ${seconds(recovery.p50)}  p95 ${seconds(recovery.p95)}  max ${seconds(recovery.max)}  ` +
      `(${recovery.samples} records), of it until rescue ${seconds(rescue.p50)}  ${seconds(rescue.p95)}  ` +
      `${seconds(rescue.max)}`
    ],
    `  struck: ${Object.entries(figures.struck).map(([what, times]) => `${what} ${times}`).join(", ")}`,
    ...lines.map(({ holds, what }) => `  ${holds ? "ok  " : "FAIL"} ${what}`),
    `  ${pass ? without === undefined ? "pass" : "red, as it must be" : "FAILED"}, ${figures.seconds} s\n`
  ].join("\n"))
}
