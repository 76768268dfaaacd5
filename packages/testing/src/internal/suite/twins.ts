/**
 * What a twin on a server is asked: every fact takes some round trips, and there are many twins.
 *
 * All facts of the themes in which some turn red, and of the others one in sixteen, not the same ones for every twin: so each
 * fact is asked of many twins that must not break it. In memory every twin is asked all.
 */
import type { Fact } from "./harness.ts"

export const factsOfTwin = (
  themes: ReadonlyArray<ReadonlyArray<Fact>>,
  red: ReadonlyArray<string>,
  twin: number
): ReadonlyArray<Fact> => {
  const isRed = ({ name }: Fact) => red.some((beginning) => name.startsWith(beginning))
  return themes.flatMap((facts) =>
    red.length === 0 || facts.some(isRed) ? facts : facts.filter((_, i) => i % 16 === twin % 16)
  )
}
