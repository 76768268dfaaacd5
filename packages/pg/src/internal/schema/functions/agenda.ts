/**
 * What cannot be done now, because a caller's transaction is not over.
 *
 * Such a transaction takes no lock that a settlement or a claim needs: it writes here what it would have to look at, and the
 * first exchange after its commit looks. What a settlement finds locked by one it passes over and writes here too.
 */

/** Leaves a record, or a key, to be looked at after a fifth of a second: whoever has it locked may be done by then. */
export const lookAgain = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.look_again(p_id uuid, p_key text, p_now bigint) RETURNS void LANGUAGE sql AS $$
  INSERT INTO ${s}.agenda (id, key, at) VALUES (p_id, p_key, p_now + 200)
$$`

/** Does what is due on the agenda, in the order in which it was left, and says when there is more: NULL for nothing. */
export const tendAgenda = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.tend_agenda(p_now bigint) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  a ${s}.agenda;
BEGIN
  FOR a IN
    WITH few AS (
      SELECT num FROM ${s}.agenda WHERE at <= p_now ORDER BY num LIMIT 500 FOR UPDATE SKIP LOCKED
    ), taken AS (
      DELETE FROM ${s}.agenda g USING few WHERE g.num = few.num RETURNING g.*
    )
    SELECT * FROM taken ORDER BY num
  LOOP
    IF a.waitpoint IS NOT NULL THEN
      PERFORM FROM ${s}.record WHERE id = a.id FOR UPDATE SKIP LOCKED;
      IF FOUND THEN
        PERFORM ${s}.signal(a.id, a.waitpoint, a.value, false);
      ELSIF EXISTS (SELECT FROM ${s}.record WHERE id = a.id) THEN
        INSERT INTO ${s}.agenda (id, waitpoint, value, at) VALUES (a.id, a.waitpoint, a.value, p_now + 200);
      END IF;
    ELSIF a.id IS NOT NULL THEN
      PERFORM ${s}.tend(a.id, p_now);
    ELSIF a.frees THEN
      PERFORM ${s}.free_slots(ARRAY[a.key], p_now);
    ELSE
      PERFORM ${s}.admit_waiting(a.key, p_now);
    END IF;
  END LOOP;
  RETURN (SELECT greatest(at, p_now + 50) FROM ${s}.agenda ORDER BY num LIMIT 1);
END $$`

/**
 * Looks at one record: whether somebody asked to cancel it, or what it waits for has come already. It locks what it waits
 * for, where that lives, so that its end is told to the record from then on. What is locked is looked at again.
 */
export const tend = (s: string): string => `
CREATE OR REPLACE FUNCTION ${s}.tend(p_id uuid, p_now bigint) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  r ${s}.record;
  v_parent uuid;
  v_state int;
  v_result text;
  v_again boolean := false;
BEGIN
  SELECT * INTO r FROM ${s}.record WHERE id = p_id FOR UPDATE SKIP LOCKED;
  IF NOT FOUND THEN
    IF EXISTS (SELECT FROM ${s}.record WHERE id = p_id) THEN
      PERFORM ${s}.look_again(p_id, NULL, p_now);
    ELSE
      DELETE FROM ${s}.cancel WHERE id = p_id;
    END IF;
    RETURN;
  END IF;
  IF r.state = 1 THEN RETURN; END IF;
  SELECT reason INTO v_result FROM ${s}.cancel WHERE id = p_id;
  IF FOUND THEN
    r.fence := r.fence + 1;
    PERFORM ${s}.finish(r, 5, v_result, NULL, p_now);
    RETURN;
  END IF;
  IF r.state <> 3 THEN RETURN; END IF;
  CASE r.reason
  WHEN 'Waitpoint' THEN
    IF EXISTS (SELECT FROM ${s}.checkpoint WHERE id = p_id AND name = r.blocked_on) THEN
      PERFORM ${s}.let_run(r, p_now, p_now, false);
    END IF;
  WHEN 'ConcurrencyKey' THEN
    PERFORM ${s}.let_run(r, p_now, p_now, true);
  WHEN 'Unique' THEN
    PERFORM FROM ${s}.record WHERE id = r.blocked_on::uuid FOR KEY SHARE SKIP LOCKED;
    IF NOT FOUND THEN
      v_again := EXISTS (SELECT FROM ${s}.record WHERE id = r.blocked_on::uuid);
      IF NOT v_again THEN PERFORM ${s}.release_unique(r.blocked_on::uuid, p_now); END IF;
    END IF;
  ELSE
  END CASE;
  IF r.pending > 0 THEN
    FOR v_parent IN SELECT DISTINCT parent FROM ${s}.dependency WHERE child = p_id ORDER BY parent LOOP
      PERFORM FROM ${s}.record WHERE id = v_parent FOR KEY SHARE SKIP LOCKED;
      IF FOUND THEN CONTINUE; END IF;
      IF EXISTS (SELECT FROM ${s}.record WHERE id = v_parent) THEN
        v_again := true;
        CONTINUE;
      END IF;
      v_state := NULL;
      v_result := NULL;
      SELECT h.state, h.result INTO v_state, v_result FROM ${s}.history h WHERE h.id = v_parent LIMIT 1;
      PERFORM ${s}.dependency_ended(v_parent, coalesce(v_state, 6), v_result, p_now);
    END LOOP;
  END IF;
  IF v_again THEN
    PERFORM ${s}.look_again(p_id, NULL, p_now);
    PERFORM ${s}.wake(r.queue, p_now);
  END IF;
END $$`
