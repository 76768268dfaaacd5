/**
 * Where workers run and what, as they say themselves. The release before says nothing.
 *
 * A table of its own, and no column of `worker`: that table is read by every exchange and renewal, and to add one locks it until the
 * end of the migration. Added last, after the indexes, it would deadlock: an exchange that has read it waits for them.
 */
export const processes = (s: string): ReadonlyArray<string> => [
  `CREATE TABLE ${s}.process (
    worker int PRIMARY KEY,
    told text NOT NULL
  )`
]
