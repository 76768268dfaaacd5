/**
 * How a judge and who asks it talk: the judge is a process of its own, for a mutant may run for ever.
 *
 * It tells of each check that it begins, so that one that takes too long is told from many.
 */

/** What is asked: a file with another text, and what is to be checked first. */
export interface Question {
  readonly file: string
  readonly text: string
  /** It is as it stands: all checks must pass. */
  readonly isOriginal: boolean
  /** Names of checks that killed the mutants before: likely the quickest. */
  readonly first: ReadonlyArray<string>
}

export type Answer =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Begun"; readonly check: string }
  | { readonly _tag: "Killed"; readonly by: string }
  | { readonly _tag: "Survived" }
  /** It is no program or statement, or it is nothing that these checks run. */
  | { readonly _tag: "Invalid"; readonly why: string }

export const tell = (answer: Answer): void => {
  process.send?.(answer)
}

/** Answers questions one after the other, until the channel closes. */
export const serve = (judge: (question: Question) => Promise<Answer>): void => {
  process.on("message", (question: Question) => {
    judge(question).then(tell, (error: unknown) => {
      console.error(error)
      process.exit(1)
    })
  })
  process.on("disconnect", () => process.exit(0))
  tell({ _tag: "Ready" })
}

/** Those that are named come first. */
export const ordered = <A>(
  all: ReadonlyArray<A>,
  nameOf: (one: A) => string,
  first: ReadonlyArray<string>
): ReadonlyArray<A> => {
  const rank = new Map(first.map((name, i) => [name, i]))
  const rankOf = (one: A) => rank.get(nameOf(one)) ?? first.length
  return all.toSorted((a, b) => rankOf(a) - rankOf(b))
}
