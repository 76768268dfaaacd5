/**
 * What workers say of where they run; and what waits does so from the instant at which it was due, of which those who listen are
 * told when it starts.
 *
 * Additive: the release before calls `renew`, and passes over what it does not know of an event.
 */
import { promote } from "./functions/exchange.ts"
import { register } from "./functions/keep.ts"
import { letRun, tell } from "./functions/parts.ts"

export const workers = (s: string, channel: string): ReadonlyArray<string> => [
  `ALTER TABLE ${s}.worker ADD COLUMN process text`,
  register(s),
  tell(s, channel),
  letRun(s),
  promote(s)
]
