/**
 * Names of checkpoints that are no step's: a step's begins with a letter, and has neither `!` nor `~` nor `@` in it.
 */

/** How the record is to end once its steps are undone: JSON of a `Cancel` or `Dead` outcome. */
export const endMark = "!end"
/** They are undone: what it did before counts no more. */
export const undoneMark = "!undone"
