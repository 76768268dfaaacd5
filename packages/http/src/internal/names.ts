/** How long what names something may be. Nothing that there is has a longer name; a longer one would be carried and kept for nothing. */
import * as Schema from "effect/Schema"

const text = (most: number) => Schema.NonEmptyString.check(Schema.isMaxLength(most))

/** Of a job, a queue, a limit or a schedule; the id of a worker or of a flow. */
export const Name = text(128)

/** An idempotency or a concurrency key. */
export const Key = text(512)

/** A label of a record, or the tag of an error. Where they are made nothing bounds them: this is more than anybody reads. */
export const Label = text(4096)
