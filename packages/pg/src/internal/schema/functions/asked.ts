/** What an exchange is asked: parameters of each function that is one, or takes one along. */
export const asked = `p_worker text, p_lease bigint,
  p_ids uuid[], p_fences int[], p_afters bigint[], p_results text[], p_traces text[],
  p_others json,
  p_queues text[], p_slots int[], p_shares int[], p_total int,
  p_mark_priorities int[], p_mark_turns bigint[], p_mark_places bigint[],
  p_trail_priorities int[], p_trail_turns bigint[], p_trail_places bigint[],
  p_done bigint[]`

/** The same as it is handed on. */
export const namesOf = (parameters: string): string => parameters.match(/p_\w+/g)!.join(", ")
