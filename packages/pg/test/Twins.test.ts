/**
 * Must-fail twins: the schema but for a line, and exactly the facts of the suite that it breaks. A fact that no twin can
 * turn red is no evidence. What a twin of locking breaks is in `Locks.test.ts`: it takes two transactions to see it.
 */
import { JobStoreSuite } from "@capstan/testing"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Context, Effect, Exit, Layer } from "effect"
import { Advance } from "../../testing/src/internal/suite/harness.ts"
import { factsOfTwin } from "../../testing/src/internal/suite/twins.ts"
import { Client } from "../src/internal/client.ts"
import { make } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"

interface Twin {
  readonly changes: ReadonlyArray<Harness.Change>
  /** The facts that turn red: by the beginning of their names. */
  readonly red: ReadonlyArray<string>
}

const twins: Readonly<Record<string, Twin>> = {
  "a queue whose limit nobody looks at": {
    changes: [[
      "        p_slots[i] := least(p_slots[i], n);\n        p_shares[i] := least(p_shares[i], n);\n        IF n = 0 THEN",
      "        IF false THEN"
    ]],
    red: [
      "a queue's concurrency holds",
      "a queue that is full",
      "records of a dead worker count",
      "a queue starts no more",
      "a queue that was limited",
      "the proposal of the highest release"
    ]
  },
  "a start that takes no token": {
    changes: [[
      "full_at = coalesce((v_full ->> name)::float8, full_at)",
      "full_at = full_at"
    ]],
    red: [
      "a key is listed that only waits",
      "a key starts no more",
      "a token is taken by the start",
      "no more records of a key are ready",
      "one claim takes a token",
      "a key of which nothing is left keeps its rate"
    ]
  },
  "a ready record that need not look at its limit": {
    changes: [[
      "SELECT CASE WHEN p_now < k.closed_until THEN 0 ELSE",
      "SELECT CASE WHEN true THEN g.n ELSE"
    ]],
    red: [
      "a limit that is lowered",
      "an override of 0",
      "what was enqueued before a limit was known",
      "a key whose attempts fail in a row",
      "one claim takes a token"
    ]
  },
  "a circuit that failures do not open": {
    changes: [["IF l.trips IS NULL THEN RETURN; END IF;", "RETURN;"]],
    red: [
      "a key whose attempts fail in a row",
      "a key of which nothing is left keeps count"
    ]
  },
  "a record that may wait for ever": {
    changes: [["+ (x ->> 'maxWait')::bigint", "+ NULL::bigint"]],
    red: ["unique, maxWait"]
  },
  "turns that nobody takes": {
    changes: [
      [") IS NOT TRUE THEN RETURN 0; END IF;", ") IS NULL OR true THEN RETURN 0; END IF;"],
      ["f WHERE l.fair\n", "f WHERE false\n"]
    ],
    red: [
      "keys of a fair limit take turns",
      "keys of a limit that only an enqueuer",
      "records of fair keys that come in one batch",
      "a higher priority comes before the turns"
    ]
  },
  "a completion that nothing knows of": {
    changes: [["array_agg(fence) FROM gone WHERE NOT keeps", "array_agg(fence) FROM gone WHERE false"]],
    red: [
      "a record of which nothing is kept is gone after its end, key and count included: completed",
      "an attempt that has ended is Done, whatever it is settled as once more, in a store that forgets"
    ]
  },
  "a count of what is not kept": {
    changes: [["count(*) FILTER (WHERE keeps)", "count(*)"]],
    red: ["a record of which nothing is kept is gone after its end, key and count included: completed"]
  },
  "an event that does nothing": {
    changes: [[
      "    IF p_events IS NOT NULL THEN PERFORM ${s}.happen(p_events, p_records, v_now, p_transaction); END IF;\n",
      ""
    ]],
    red: [
      "cancelOn: what has not ended",
      "cancelOn: an event cancels",
      "cancelOn: a record that lives again",
      "cancelOn, completeOn: an event does nothing to records",
      "completeOn: what has not ended",
      "completeOn: the first completion is kept",
      "completeOn: an event completes before",
      "completeOn: a record that lives again"
    ]
  },
  "an event that does to its own records what it does to others": {
    changes: [[" WHERE r.id <> ALL (v_own)", ""]],
    red: ["cancelOn, completeOn: an event does nothing to records"]
  },
  "an event that completes nothing": {
    changes: [["PERFORM ${s}.signal(e.id, e.waitpoint, e.value, p_transaction);", "NULL;"]],
    red: [
      "completeOn: what has not ended",
      "completeOn: the first completion is kept",
      "completeOn: a record that lives again"
    ]
  },
  "a death that nobody tells of": {
    changes: [["  IF r.spec IS NULL OR position('\"followed\":' IN r.spec) = 0 THEN RETURN; END IF;", "  RETURN;"]],
    red: [
      "labels, headers and keys may have any character",
      "followed: a record that expires",
      "followed: so does"
    ]
  },
  "a record that is added twice by an attempt that runs again": {
    changes: [["p_again OR x -> 'again' IS NOT NULL", "p_again"]],
    red: [
      "flow: what an attempt adds again",
      "a child that has ended by the time"
    ]
  },
  "no fence at a completion": {
    changes: [["WHERE r.id = g.id AND r.fence = g.fence", "WHERE r.id = g.id AND r.state = 1"]],
    red: [
      "a settle with a stale fence changes nothing (P3)",
      "an attempt that has failed changes nothing"
    ]
  },
  "no fence at any other settlement": {
    changes: [[
      "WHERE id = (x ->> 'id')::uuid AND fence = (x ->> 'fence')::int FOR UPDATE;\n  IF NOT FOUND THEN\n    RETURN CASE",
      "WHERE id = (x ->> 'id')::uuid AND state = 1 FOR UPDATE;\n  IF NOT FOUND THEN\n    RETURN CASE"
    ]],
    red: ["a settlement of any kind with a stale fence"]
  },
  "a snooze that is told as a failure": {
    changes: [["PERFORM ${s}.tell('snoozed', r,", "PERFORM ${s}.tell('retried', r,"]],
    red: ["events tell a snooze from a failure"]
  },
  "attempts that are all kept": {
    changes: [["IF jsonb_array_length(r.attempts) > 100 THEN r.attempts := r.attempts - 0; END IF;", ""]],
    red: ["of many attempts a record keeps"]
  },
  "a completion beside a hundred attempts": {
    changes: [["WHEN jsonb_array_length(h.attempts) >= 100 THEN h.attempts - 0", "WHEN false THEN h.attempts - 0"]],
    red: ["of many attempts a record keeps"]
  },
  "a record that closes its key, and with it its unique key": {
    changes: [[
      "IF x ->> 'closes' = 'key' THEN r.flags := r.flags & ~8; END IF;",
      "IF x ->> 'closes' = 'key' THEN r.flags := r.flags & ~9; END IF;"
    ]],
    red: ["a record whose attempt closes its key"]
  },
  "a fence that a failure does not move": {
    changes: [[
      "  r.fence := r.fence + 1;\n  RETURN r;",
      "  IF p_decision <> 'retried' THEN r.fence := r.fence + 1; END IF;\n  RETURN r;"
    ]],
    red: [
      "an attempt that has failed changes nothing",
      "under random calls",
      "in every state a record takes it as the table says: settle"
    ]
  },
  "a fence that an edit does not move": {
    changes: [[
      "    r.fence := r.fence + 1;\n    r.payload := coalesce(p_payload, r.payload);",
      "    r.payload := coalesce(p_payload, r.payload);"
    ]],
    red: [
      "an edited payload raises the fence (P3)",
      "in every state a record takes it as the table says: control"
    ]
  },
  "a tick without a compare": {
    changes: [[
      "\n    WHERE name = p_name AND revision = p_revision AND next_at IS NOT DISTINCT FROM p_at FOR UPDATE;",
      " WHERE name = p_name FOR UPDATE;"
    ]],
    red: [
      "a tick is taken once, and stores its record in the same step (P8)",
      "many ticks of one instant at the same time",
      "a tick of a schedule that was changed since it was read",
      "a tick of a schedule that was removed and made anew",
      "a tick of a schedule without a next instant"
    ]
  },
  "a tick that compares before it has the lock": {
    changes: [[
      "next_at IS NOT DISTINCT FROM p_at FOR UPDATE;\n  IF NOT FOUND THEN RETURN NULL; END IF;",
      "next_at IS NOT DISTINCT FROM p_at;\n  IF NOT FOUND THEN RETURN NULL; END IF;\n  PERFORM pg_sleep(0.5);"
    ]],
    red: ["many ticks of one instant at the same time"]
  },
  "a tick that takes no notice of the run before it": {
    changes: [["IF p_overlap <> 'allow' AND q.last_id IS NOT NULL", "IF false AND q.last_id IS NOT NULL"]],
    red: [
      "overlap, skip:",
      "overlap, cancelPrevious:",
      "a tick whose record another one stands for"
    ]
  },
  "a schedule that is handed to everybody": {
    changes: [["SET attend_at = p_now + 5000 FROM due", "SET attend_at = p_now FROM due"]],
    red: ["maintain hands out a schedule"]
  },
  "no reconciling after a lost reply": {
    changes: [["AND q.at <= p_now - p_older", "AND false"]],
    red: [
      "a claim whose reply was lost is given back",
      "a worker that leaves gives everything back at once",
      "a record that is given back unstarted keeps its count of crashes",
      "unique, until started: a record that is given back unstarted",
      "a record with a step to undo that is cancelled while it runs",
      "in every state a record takes it as the table says: renew forgotten"
    ]
  },
  "a claim that its worker is not known to have": {
    changes: [["WHERE worker = p_num RETURNING ids", "WHERE false RETURNING ids"]],
    red: [
      "what crashed its worker",
      "unique, until started: a record that is given back unstarted",
      "unique, runAfter: a successor waits for its holder and for its dependencies",
      "a settle with a stale fence changes nothing (P3)",
      "a record whose cancel was requested is never retried",
      "a worker's records run again when its lease ends",
      "a renewal says what the worker has lost",
      "a claim whose reply was lost is given back",
      "a worker that leaves gives everything back at once",
      "a record whose workers die is dead with Crashed",
      "a worker holds at most one record that has crashed others",
      "when a worker dies with a record that crashed others",
      "a settle clears the count of crashes",
      "a record that is given back unstarted keeps its count of crashes",
      "a slot moves with its record",
      "records of a dead worker count",
      "a record with a step to undo that is cancelled while it runs",
      "a record with a step to undo whose workers die too often",
      "followed: so does a record whose workers died too often",
      "followed: so does one whose payload was edited",
      "followed: nothing tells of a run that was to be cancelled",
      "in every state a record takes it as the table says: renew forgotten",
      "in every state a record takes it as the table says: maintain lease ended"
    ]
  },
  "a worker that is not known any more to have what it had when it renewed": {
    changes: [["IF p_keeps AND v_ids IS NOT NULL THEN", "IF false THEN"]],
    red: ["a worker's records run again when its lease ends, also of one that has renewed"]
  },
  "a reschedule that moves what has begun": {
    changes: [
      [
        "v_waits AND v_policy IN ('replace', 'reschedule', 'trailing')",
        "(v_waits AND v_policy IN ('replace', 'reschedule', 'trailing') OR v_state = 2 AND v_policy = 'reschedule')"
      ],
      ["WHERE id = p_id AND state <> 1 AND attempt = 0 FOR UPDATE", "WHERE id = p_id AND state <> 1 FOR UPDATE"]
    ],
    red: ["unique, a holder that retries"]
  },
  "a runAfter that finds what has ended": {
    changes: [["IF v_state IS NULL OR v_state = 4 AND v_policy = 'runAfter' THEN", "IF v_state IS NULL THEN"]],
    red: ["unique, a holder that has ended"]
  },
  "a key that a start does not free": {
    changes: [["CASE WHEN u.until_started AND", "CASE WHEN false AND"]],
    red: [
      "unique, until started: the key is free once",
      "unique, until started: a record that is given back",
      "unique, until started: no policy"
    ]
  },
  "a reschedule that always changes something": {
    changes: [["IF p_action = 'Reschedule' AND (", "IF false AND ("]],
    red: ["a record that is rescheduled to when it is due"]
  },
  "a reschedule that gives another place": {
    changes: [[
      "let_run(r, p_due, p_now, r.state = 0, p_transaction)",
      "let_run(r, p_due, p_now, false, p_transaction)"
    ]],
    red: ["a ready record that is rescheduled to run at once"]
  },
  "a unique row that is not believed": {
    changes: [["  IF u.id = r.id THEN RETURN; END IF;", "  RETURN;"]],
    red: [
      "unique: of many at the same time",
      "unique: a key stays with its holder",
      "unique, a holder that ",
      "unique, until started: no policy",
      "unique, keep:",
      "unique, window:",
      "unique, replace:",
      "unique, reschedule:",
      "unique, maxWait:",
      "unique, runAfter:",
      "unique, replace and reschedule:",
      "unique, until started: a record that is given back",
      "unique: a batch that would replace a member",
      "unique: a member of a flow is never replaced",
      "unique: no other record stands for a member of a flow",
      "unique: of a batch a member of a flow",
      "enqueues that are made at the same time as some that are refused",
      "flow: a batch that is one thing is refused",
      "a tick's record keeps to the keys of its job",
      "flow: what is dead because of a record stays so while another one has its unique key",
      "cancelOn: an event that is refused cancels nothing",
      "cancelOn: a record that lives again is cancelled again",
      "completeOn: an event that is refused completes nothing",
      "completeOn: a record that lives again is told again",
      "unique, trailing: ",
      "in every state",
      "a tick whose record another one stands for",
      "a tick is not refused"
    ]
  },
  "a key slot that a completion leaks": {
    changes: [["IF v_keys IS NOT NULL THEN PERFORM ${s}.free_slots(v_keys, p_now, true); END IF;", ""]],
    red: [
      "a limit that is lower than what runs",
      "a record that comes back after a delay",
      "a record that waits for its key and is reprioritised",
      "no more records of a concurrency key run than its limit",
      "records that must wait for each other by a key",
      "a key of a space counts",
      "racing claims never exceed",
      "a key that was limited",
      "a key's slot is free again",
      "keys are listed by name",
      "a key whose attempts fail in a row",
      "a success between two failures",
      "a wait with a delay ends with its signal",
      "what ends in one exchange gives",
      "in every state a record takes it as the table says: others completed"
    ]
  },
  "a batch whose records each see all slots of their key": {
    changes: [["<= (v_rooms ->> g.key)::int THEN 0", "<= 1000000 * (v_rooms ->> g.key)::int THEN 0"]],
    red: [
      "a signal with the name of the key",
      "a record that waits for its key and is reprioritised",
      "no more records of a concurrency key run",
      "a slot moves with its record",
      "of a batch with many keys",
      "what ends in one exchange gives",
      "no more records of a key are ready",
      "keys are listed by name"
    ]
  },
  "ends of one exchange that give each key one slot back": {
    changes: [["SET held = held - coalesce((v_counts ->> name)::int, 1)", "SET held = held - 1"]],
    red: ["what ends in one exchange gives"]
  },
  "a claim that takes one token, whatever it starts": {
    changes: [["m.starts * l.gap", "1 * l.gap"]],
    red: [
      "a key starts no more",
      "a token is taken by the start",
      "no more records of a key are ready",
      "one claim takes a token"
    ]
  },
  "no fence at a step": {
    changes: [[
      "WHERE id = (x ->> 'id')::uuid AND fence = (x ->> 'fence')::int AND state = 1 FOR NO KEY UPDATE",
      "WHERE id = (x ->> 'id')::uuid FOR NO KEY UPDATE"
    ]],
    red: [
      "progress, logs and steps of a stale attempt are refused (P3)",
      "in every state a record takes it as the table says: enqueue, write, signal, results"
    ]
  },
  "checkpoints that are not read back": {
    changes: [[
      "SELECT json_object_agg(name, value) FILTER (WHERE total <= 65536 OR name LIKE '!%') AS kept",
      "SELECT NULL::json AS kept"
    ]],
    red: [
      "progress, logs and steps of a stale attempt",
      "waitFor blocks the record until its waitpoint is signalled",
      "a checkpoint is written once",
      "a record carries checkpoints of 64 KiB",
      "checkpoints are kept by a dead record",
      "the first signal is kept",
      "a record with a step to undo is not cancelled while it waits"
    ]
  },
  "a signal that is written over": {
    changes: [[
      "  IF NOT FOUND THEN RETURN 'Existing'; END IF;\n  r.flags := r.flags | 2;",
      "  IF NOT FOUND THEN UPDATE ${s}.checkpoint SET value = p_value WHERE id = p_id AND name = p_waitpoint; END IF;\n  r.flags := r.flags | 2;"
    ]],
    red: ["the first signal is kept"]
  },
  "a wait that does not end by itself": {
    changes: [["  IF p_until IS NOT NULL THEN r.flags := r.flags | 64; END IF;\n", ""]],
    red: [
      "a wait with a delay ends by itself",
      "a wait for children with a delay",
      "a child that was waited for until an instant",
      "a child that ended while its parent ran"
    ]
  },
  "an undoing that waits as its attempt says": {
    changes: [["      v_undoes := true;\n", ""]],
    red: ["a record with a step to undo that is cancelled while it runs"]
  },
  "what follows is refused for the sake of a flow": {
    changes: [["  IF v_outcome <> 'UniqueConflict' THEN RETURN v_id; END IF;\n", "  RETURN v_id;\n"]],
    red: ["a tick is not refused", "children are not refused"]
  },
  "an end that nothing is undone before": {
    changes: [["  IF r.flags & 128 = 0 THEN RETURN false; END IF;\n", "  RETURN false;\n"]],
    red: [
      "a record with a step to undo is not cancelled",
      "a record with a step to undo that is cancelled while it runs",
      "a record with a step to undo whose workers die too often"
    ]
  },
  "an edge that an end leaves open": {
    changes: [[
      "WHERE d.parent = g.id\n    RETURNING d.child, d.on_failure",
      "WHERE d.parent = g.id AND false\n    RETURNING d.child, d.on_failure"
    ]],
    red: [
      "how a child ended that was left",
      "a child that was left beside a waitpoint",
      "a child that runs again before",
      "records of one call that are alike",
      "who waits for children goes on when they have ended, also one",
      "flow: what waited for a record that is deleted says that it is gone",
      "unique, runAfter: a successor waits for its holder and for",
      "a record waits for its dependencies",
      "records of ticks that wait for the one before",
      "a record whose dependency fails",
      "waitForChildren blocks",
      "a record that was cancelled while it waited for children",
      "flow: a record that is dead because",
      "flow: with cancelSiblings",
      "flow: what lives again is not undone",
      "flow: with continue",
      "flow: one name may",
      "flow: a dependency that is deleted",
      "flow: a batch that is one thing is stored once",
      "flow: a record may be added",
      "flow: a failed record that is retried",
      "flow: of two failed",
      "flow: a record that is retried is waited for again",
      "flow: a whole flow",
      "flow: a record that waits is freed once",
      "flow: hundreds",
      "flow: what an attempt adds again is Existing",
      "flow: what is dead because of a record stays so while another one has its unique key",
      "a wait for children with a delay",
      "a child that was waited for until an instant",
      "a child that ended while its parent ran",
      "followed: so does a record that what it waited for has failed",
      "in every state a record takes it as the table says: others",
      "a child with which its parent is done"
    ]
  },
  "a record that ends a second time in the call that ended it": {
    changes: [
      [
        "FOR v_id IN SELECT id FROM ${s}.record WHERE expires <= p_now",
        "FOR r IN SELECT * FROM ${s}.record WHERE expires <= p_now"
      ],
      ["    SELECT * INTO r FROM ${s}.record WHERE id = v_id AND expires <= p_now;\n    CONTINUE WHEN NOT FOUND;\n", ""]
    ],
    red: ["flow: what expires together", "what expires together"]
  },
  "a record that ends as it was before the others of its call did": {
    changes: [
      [
        "FOR v_id IN SELECT id FROM ${s}.record WHERE expires <= p_now",
        "FOR r IN SELECT * FROM ${s}.record WHERE expires <= p_now"
      ],
      [
        "    SELECT * INTO r FROM ${s}.record WHERE id = v_id AND expires <= p_now;\n    CONTINUE WHEN NOT FOUND;\n",
        "    CONTINUE WHEN NOT EXISTS (SELECT FROM ${s}.record WHERE id = r.id);\n"
      ]
    ],
    red: ["what expires together"]
  },
  "siblings that are cancelled though their dependent lives again": {
    changes: [[
      "WHERE id = p_id AND state = 6 AND reason = 'DependencyFailed') THEN\n    RETURN false;",
      "WHERE id = p_id AND state = 6 AND reason = 'DependencyFailed') AND false THEN\n    RETURN false;"
    ]],
    red: ["flow: what lives again is not undone"]
  },
  "a record that was dead at once, which nobody looks for": {
    changes: [["is_stored(o_id, v_again OR v_depends, p_now)", "is_stored(o_id, v_again, p_now)"]],
    red: ["flow: what is dead as soon as it is stored"]
  },
  "a record that goes on while it waits for others": {
    changes: [[
      "c.reason <> 'Unique' AND NOT ${s}.is_waiting(p_id, c.reason = 'Children');",
      "c.reason <> 'Unique';"
    ]],
    red: [
      "flow: what waited for a record that is deleted says that it is gone",
      "a selection by a reason finds what is blocked",
      "unique, runAfter: a successor waits for its holder and for",
      "a record waits for its dependencies",
      "records of ticks that wait for the one before",
      "a record whose dependency fails",
      "waitForChildren blocks",
      "flow: a record that is dead because",
      "flow: with cancelSiblings",
      "flow: what lives again is not undone",
      "flow: with continue",
      "flow: one name may",
      "flow: a dependency that is deleted",
      "flow: a record may be added",
      "flow: a failed record that is retried",
      "flow: of two failed",
      "flow: a record that waits is freed once",
      "flow: hundreds",
      "flow: what an attempt adds again is Existing",
      "flow: a record that is dead as soon as it is added counts for who waits for it",
      "flow: what is dead because of a record stays so while another one has its unique key",
      "followed: so does a record that what it waited for has failed",
      "in every state"
    ]
  },
  "a failed dependency that nobody minds": {
    changes: [["IF (p_broken OR v_free) AND c.reason <> 'Children' THEN", "IF false THEN"]],
    red: [
      "flow: what waited for a record that is deleted says that it is gone",
      "a record whose dependency fails",
      "flow: a record that is dead because",
      "flow: with cancelSiblings",
      "flow: with continue a record finds how another one ended",
      "flow: what lives again is not undone",
      "flow: a dependency that is deleted",
      "flow: a failed record that is retried",
      "flow: of two failed",
      "flow: a record that is dead as soon as it is added counts for who waits for it",
      "flow: what is dead as soon as it is stored",
      "flow: what is dead because of a record stays so while another one has its unique key",
      "followed: so does a record that what it waited for has failed",
      "in every state a record takes it as the table says: others died"
    ]
  },
  "a retried record that nobody waits for again": {
    changes: [["  PERFORM ${s}.reopen(p_id, p_now, p_transaction);\n", ""]],
    red: [
      "flow: a failed record that is retried",
      "flow: of two failed",
      "flow: a record that is retried is waited for again",
      "flow: a whole flow",
      "flow: its records",
      "followed: so does a record that what it waited for has failed"
    ]
  },
  "siblings of a failed record that go on": {
    changes: [["IF d.on_failure = 1 THEN", "IF false THEN"]],
    red: [
      "flow: with cancelSiblings"
    ]
  },
  "siblings that go on where nothing is kept of what waited for them": {
    changes: [["IF ${s}.keeps(c.retention, 6) THEN", "IF true THEN"]],
    red: ["flow: with cancelSiblings they are cancelled also where nothing is kept"]
  },
  "an end of which nothing is kept, and nothing is told": {
    changes: [["ARRAY[a.id], a.key::int, ARRAY[a.value], p_now", "ARRAY[a.id], 0, ARRAY[a.value], p_now"]],
    red: ["flow: with continue a record finds how another one ended"]
  },
  "a completion that is not known when it is sent again as something else": {
    changes: [["IF v_other = 'LeaseLost' AND EXISTS", "IF false AND EXISTS"]],
    red: ["an attempt that has ended is Done, whatever it is settled as once more, in a store that forgets"]
  },
  "a settlement sent again that is not known": {
    changes: [["NOT ${s}.is_settled(g.id, g.fence)", "true"]],
    red: [
      "a settlement that is sent again is Done",
      "an attempt that has ended is Done",
      "in every state a record takes it as the table says: settle"
    ]
  },
  "a child with which its parent is never done": {
    changes: [["    IF v_outcome = 'WaitForChildren' THEN\n", "    IF false THEN\n"]],
    red: ["a child with which its parent is done"]
  }
}

let twinsMade = 0

const kinds: ReadonlyArray<JobStore.Outcome> = [
  { _tag: "Complete", result: undefined },
  { _tag: "RetryAfter", delay: 0, failure: Harness.failure },
  { _tag: "SnoozeFor", delay: 0 },
  { _tag: "WaitFor", waitpoint: "w" },
  { _tag: "WaitForChildren" },
  { _tag: "Cancel", reason: "test" },
  { _tag: "Dead", reason: "Failed" },
  { _tag: "Release" },
  { _tag: "Park", reason: "NoHandler" }
]

const staleOfAnyKind: JobStoreSuite.Fact = {
  name: "a settlement of any kind with a stale fence changes nothing, nor does it store children (P3)",
  run: Effect.gen(function*() {
    const store = yield* JobStore.JobStore
    const { id } = yield* Harness.enqueue({ store })
    const first = yield* Harness.claimOne({ store })
    yield* Harness.settle({ store }, first, { _tag: "Release" })
    const second = yield* Harness.claimOne({ store })
    for (const outcome of kinds) {
      const child = Harness.newId()
      const settlement = {
        id,
        fence: second.fence - 1,
        outcome,
        finishedAfter: 0,
        children: [Harness.record({ id: child })]
      }
      const { settled } = yield* Harness.exchange({ store }, { settlements: [settlement] })
      const found = yield* store.get(id)
      assert.deepStrictEqual([settled, found?.state, found?.fence], [["LeaseLost"], "running", second.fence])
      assert.isUndefined(yield* store.get(child))
    }
  })
}

/** The random calls take as long as all else together: one seed of them, where it tells something. */
const factsFor = (red: ReadonlyArray<string>, twin: number) => {
  const withRandom = red.length === 0 || red.some((beginning) => beginning.startsWith("under random"))
  return factsOfTwin([...Object.values(JobStoreSuite.themes), [staleOfAnyKind]], red, twin)
    .filter(({ name }) => !name.includes("(seed ") || withRandom && name.endsWith("(seed 1)"))
}

/** The facts that do not hold, on one client for all of them. */
const failing = (schema: string, facts: ReadonlyArray<JobStoreSuite.Fact>) =>
  Effect.gen(function*() {
    const client = yield* Layer.build(Harness.client())
    const sql = Context.get(client, PgClient.PgClient)
    // Once: every plan of the session is made anew when the clock is.
    yield* Effect.provideContext(Harness.frozen(schema), client)
    const store = make(new Client(sql, `"${schema}"`, `capstan_${schema}`), {
      identity: schema,
      maxCrashes: 3,
      listen: true
    })
    const layer = Layer.effect(JobStore.JobStore, Effect.andThen(Harness.empty({ schema, sql }), store))
    const advance = (millis: number) =>
      Effect.asVoid(Effect.orDie(sql.unsafe(`UPDATE ${schema}.now SET at = at + $1::float8::bigint`, [millis])))
    const found: Array<string> = []
    for (const { name, run } of facts) {
      const exit = yield* Effect.exit(Effect.provideService(Effect.provide(run, Layer.fresh(layer)), Advance, advance))
      if (Exit.isFailure(exit)) found.push(name)
    }
    return found
  }).pipe(
    Effect.scoped
  )

describe("a twin turns red exactly what it breaks", () => {
  const twin = (name: string, { changes, red }: Twin) => {
    const number = twinsMade++
    const schema = Harness.schemaName(`twin_${number}`)
    const made = Harness.shared(
      schema,
      Effect.provide(Effect.orDie(Harness.altered(schema, changes)), Harness.client())
    )
    it.effect(name, () =>
      Effect.gen(function*() {
        yield* made
        const facts = factsFor(red, number)
        const found = yield* failing(schema, facts)
        const expected = facts.map(({ name }) => name).filter((name) =>
          red.some((beginning) => name.startsWith(beginning))
        )
        assert.deepStrictEqual(found, expected)
        for (const beginning of red) assert.isTrue(expected.some((name) => name.startsWith(beginning)), beginning)
      }), 60_000)
  }

  twin("the true schema: nothing", { changes: [], red: [] })
  for (const [name, one] of Object.entries(twins)) twin(name, one)
})
