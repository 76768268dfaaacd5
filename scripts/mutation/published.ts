/** What `docs/mutation.json` says, row by row. */

/** A mutant that no check noticed. */
export interface Survivor {
  /** `file:line:column`. */
  readonly place: string
  /** What stood there => what stands there instead. */
  readonly mutant: string
  /** Why that is so, in a line. The tests fail while it is empty. */
  readonly because: string
}

export interface Row {
  readonly module: string
  /** The last one that touched the module's sources when it was measured. */
  readonly commit: string
  readonly date: string
  /** Of all mutants of the module so many were drawn, by this seed. */
  readonly all: number
  readonly sample: number
  readonly seed: number
  /** Refused by the server: no statement. They do not count. */
  readonly invalid: number
  readonly killed: number
  /** Killed too: with them nothing ended. */
  readonly timedOut: number
  readonly survived: ReadonlyArray<Survivor>
  /** Per cent of those that count. */
  readonly score: number
}

export const scoreOf = ({ killed, survived, timedOut }: Pick<Row, "killed" | "survived" | "timedOut">): number => {
  const dead = killed + timedOut
  return Math.round(1000 * dead / (dead + survived.length)) / 10
}

/**
 * Why a sample is not published: what stands there says more. None where it is at least as large, or where it is all that there
 * is by now.
 */
export const refusalOf = (
  before: Pick<Row, "module" | "sample"> | undefined,
  { all, sample }: Pick<Row, "all" | "sample">
): string | undefined =>
  before === undefined || sample >= before.sample || sample === all
    ? undefined
    : `docs/mutation.json has a sample of ${before.sample} of ${before.module}, and ${sample} would take its place: ` +
      `ask for --sample ${before.sample} or more, or write it elsewhere with --to <file>`
