/** Where workers run and what, as they say themselves. The release before says nothing. */
export const processes = (s: string): ReadonlyArray<string> => [
  `ALTER TABLE ${s}.worker ADD COLUMN process text`
]
