/** What is kept of a record's steps, and what becomes of a record that has some to undo. */

/** All checkpoints of a live record by name, NULL when there are none. */
export const checkpointsOf = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.checkpoints_of(p_id uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
BEGIN
  RETURN (SELECT jsonb_object_agg(name, value) FROM ${s}.checkpoint WHERE id = p_id);
END $$`

/**
 * Whether a record that is to end while no attempt of it decides must run once more, because a step of it can be undone. How
 * it is to end is kept for that attempt, and is no request any more.
 */
export const mustUndo = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.must_undo(r ${s}.record, p_tag text, p_reason text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  IF r.flags & 128 = 0 THEN RETURN false; END IF;
  INSERT INTO ${s}.checkpoint (id, name, value)
    VALUES (r.id, '!end', json_build_object('_tag', p_tag, 'reason', p_reason)::text) ON CONFLICT (id, name) DO NOTHING;
  DELETE FROM ${s}.cancel WHERE id = r.id;
  RETURN true;
END $$`

/** Whether a record runs only to undo its steps. */
export const isEnding = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.is_ending(r ${s}.record) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
  RETURN r.flags & 128 = 128 AND EXISTS (SELECT FROM ${s}.checkpoint WHERE id = r.id AND name = '!end');
END $$`
