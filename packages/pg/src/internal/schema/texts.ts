/**
 * Labels, headers and keys with a character that Postgres takes in no text were stored as JSON that it cannot read: whatever looked
 * into such a record failed, and all that it did with it. They become what `codec.ts` writes in their place. `history` is read once
 * for it and `record` twice, and nothing else is locked than what is found: what locks more comes after it.
 *
 * `history` first, which takes its time: what is found of `record` is locked for the short rest. What has ended meanwhile was not in
 * `history` when that was read.
 */
export const texts = (s: string): ReadonlyArray<string> => [`
DO $do$
DECLARE
  v_live uuid[] := ARRAY(SELECT id FROM ${s}.record WHERE ${isFound});
BEGIN
  ${mended(`${s}.history`)};
  ${mended(`${s}.record`)};
  ${mended(`${s}.history`)} AND id = ANY (v_live);
END $do$`]

const isFound = `spec ~ '\\\\u(0000|d[89a-f])'`

const mended = (table: string): string =>
  `UPDATE ${table} SET spec = regexp_replace(
      spec, '(?<!\\\\)((?:\\\\\\\\)*)\\\\u(0000|001a|d[89a-f][0-9a-f]{2})', '\\1\\\\u001a\\2', 'g')
    WHERE ${isFound}`
