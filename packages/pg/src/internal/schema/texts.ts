/**
 * Labels, headers and keys with a character that Postgres takes in no text were stored as JSON that it cannot read: whatever looked
 * into such a record failed, and all that it did with it. They become what `codec.ts` writes in their place. `record` and `history`
 * are read once for it, and nothing else is locked than what is found: what locks more comes after it.
 */
export const texts = (s: string): ReadonlyArray<string> =>
  ["record", "history"].map((table) =>
    `UPDATE ${s}.${table} SET spec = regexp_replace(
      spec, '(?<!\\\\)((?:\\\\\\\\)*)\\\\u(0000|001a|d[89a-f][0-9a-f]{2})', '\\1\\\\u001a\\2', 'g')
    WHERE spec ~ '\\\\u(0000|d[89a-f])'`
  )
