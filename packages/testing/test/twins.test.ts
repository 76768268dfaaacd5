/**
 * Must-fail twins: the memory store but for one line, and exactly the facts that it breaks. A fact that no twin can turn red
 * is no evidence.
 */
import { JobStoreSuite } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Effect } from "effect"
import { type Change, twin as make } from "./twin.ts"

interface Twin extends Change {
  /** The facts that turn red: by the beginning of their names. */
  readonly red: ReadonlyArray<string>
}

const twins: Readonly<Record<string, Twin>> = {
  "no fence at an enqueue": {
    file: "enqueue.ts",
    line: `row === undefined || row.state !== "running" || row.fence !== by.fence`,
    instead: `row === undefined || row.state !== "running"`,
    red: ["a child of a stale attempt is refused"]
  },
  "a settlement that is not known when it is sent again": {
    file: "settle.ts",
    line: `  if (row.settledFence === settlement.fence) return "Done"\n`,
    instead: "",
    red: [
      "a settlement that is sent again is Done",
      "an attempt that has ended is Done",
      "a record of which nothing is kept is gone after its end",
      "in every state a record takes it as the table says: settle"
    ]
  },
  "a reconciling that waits for no reply": {
    file: "renew.ts",
    line: " || row.at > claimedBefore",
    instead: "",
    red: ["a claim that is younger than reconcileOlderThan"]
  },
  "a record that begins with a claim that was given back": {
    file: "exchange.ts",
    line: "if (!row.begun) row.begunAt",
    instead: "if (row.begunAt < 0) row.begunAt",
    red: ["a record has begun with its first claim that was not given back"]
  },
  "one crash too many": {
    file: "maintain.ts",
    line: "row.crashes >= state.maxCrashes",
    instead: "row.crashes > state.maxCrashes",
    red: [
      "a record whose workers die is dead with Crashed",
      "followed: so does a record whose workers died too often",
      "followed: so does one whose payload was edited",
      "a record with a step to undo whose workers die too often"
    ]
  },
  "a worker that takes every record that crashed others": {
    file: "exchange.ts",
    line: "    const row = queue.peek(worker.suspects === 0)\n",
    instead: "    const row = queue.peek(true)\n",
    red: ["a worker holds at most one record that has crashed others"]
  },
  "a death that is charged to all": {
    file: "maintain.ts",
    line: "  for (const row of worker.held.values()) if (row.crashes > 0) return new Set([row])\n",
    instead: "",
    red: ["when a worker dies with a record that crashed others"]
  },
  "a settle that keeps the crashes": {
    file: "settle.ts",
    line: `  if (decision !== "crashed") row.crashes = 0\n`,
    instead: "",
    red: ["a settle clears the count of crashes"]
  },
  "no fence at settle": {
    file: "settle.ts",
    line: `  if (row.state !== "running" || row.fence !== settlement.fence) return "LeaseLost"`,
    instead: `  if (row.state !== "running") return "LeaseLost"`,
    red: ["a settle with a stale fence changes nothing (P3)"]
  },
  "attempts that are all kept": {
    file: "settle.ts",
    line: "[...more.attempts.slice(1 - keptAttempts), attempt]",
    instead: "[...more.attempts, attempt]",
    red: ["of many attempts a record keeps"]
  },
  "a record that closes its key, and with it its unique key": {
    file: "settle.ts",
    line: "        close(state, row, outcome.closes!, outcome.delay, now)\n",
    instead: "        close(state, row, outcome.closes!, outcome.delay, now)\n        state.freeUnique(row)\n",
    red: ["a record whose attempt closes its key"]
  },
  "a fence that a failure does not move": {
    file: "settle.ts",
    line: "  row.worker = undefined\n  row.fence++",
    instead: `  row.worker = undefined\n  if (decision !== "retried") row.fence++`,
    red: [
      "an attempt that has failed changes nothing",
      "under random calls",
      "in every state a record takes it as the table says: settle"
    ]
  },
  "a snooze that is told as a failure": {
    file: "settle.ts",
    line: `state.tell("retried", row, now, outcome.failure?.tag, true)`,
    instead: `state.tell("retried", row, now, outcome.failure?.tag)`,
    red: ["events tell a snooze from a failure"]
  },
  "a fence that an edit does not move": {
    file: "control.ts",
    line: "  row.fence++\n  if (payload !== undefined) {",
    instead: "  if (payload !== undefined) {",
    red: ["an edited payload raises the fence (P3)", "in every state a record takes it as the table says: control"]
  },
  "no reconciling after a lost reply": {
    file: "renew.ts",
    line: "  const reconciled = reconcile(state, worker, known, now - request.reconcileOlderThan, now)",
    instead:
      "  const reconciled = request.lease > 0 ? 0 : reconcile(state, worker, known, now - request.reconcileOlderThan, now)",
    red: [
      "a claim whose reply was lost is given back",
      "unique, until started: a record that is given back",
      "a record that is given back unstarted keeps its count of crashes",
      "a record with a step to undo that is cancelled while it runs",
      "in every state a record takes it as the table says: renew forgotten"
    ]
  },
  "a racy claim": {
    file: "exchange.ts",
    line: "  if (claimed.length > 0) {",
    instead: `  if (claimed.length === 0 && request.total > 0) {
    for (const other of state.workers.values()) for (const row of other.held.values()) if (other !== worker) claimed.push(toClaimed(row))
  }
  if (claimed.length > 0) {`,
    red: [
      "a record is claimed once",
      "a queue's concurrency holds",
      "records of a dead worker count",
      "racing claims never exceed",
      "a key's slot is free again",
      "flow: what an attempt adds again is Existing",
      "in every state"
    ]
  },
  "a holder that takes the contents of its successor": {
    file: "enqueue.ts",
    line: "  if (successor !== undefined) return successor\n",
    instead: "  if (successor !== undefined && !holder.waits) return successor\n",
    red: ["unique, replace: of a holder that is given back unstarted"]
  },
  "a lost unique row": {
    file: "state.ts",
    line: "    this.unique.set(scoped(row.spec.tag, claim.key), { row, until })",
    instead: "    void until",
    red: [
      "a record whose attempt closes its key keeps its unique key",
      "unique: of many at the same time",
      "unique: a key stays with its holder",
      "unique, a holder that ",
      "unique, keep: ",
      "unique, until started: a record that is given back",
      "unique, until started: no policy",
      "unique, window: ",
      "unique, replace: ",
      "unique, maxWait: ",
      "unique, reschedule: ",
      "unique, replace and reschedule: ",
      "unique, runAfter: ",
      "unique: a batch that would replace",
      "unique: a member of a flow",
      "unique: no other record stands for a member of a flow",
      "unique: of a batch a member of a flow",
      "enqueues that are made at the same time as some that are refused",
      "flow: a batch that is one thing is refused",
      "a tick's record keeps to the keys of its job",
      "a tick whose record another one stands for",
      "a tick is not refused",
      "children are not refused",
      "flow: what is dead because of a record stays so while another one has its unique key",
      "cancelOn: an event that is refused cancels nothing",
      "cancelOn: a record that lives again is cancelled again",
      "completeOn: an event that is refused completes nothing",
      "completeOn: a record that lives again is told again",
      "unique, trailing: ",
      "in every state"
    ]
  },
  "a key that a start does not free": {
    file: "state.ts",
    line: `    if (row.spec.unique?.until === "started") return row.waits ? row : undefined\n`,
    instead: "",
    red: [
      "unique, until started: the key is free once",
      "unique, until started: a record that is given back",
      "unique, until started: no policy"
    ]
  },
  "a release that clears the crashes": {
    file: "settle.ts",
    line: `  if (decision === "released" || decision === "parked") return`,
    instead:
      `  if (decision !== "crashed") row.crashes = 0\n  if (decision === "released" || decision === "parked") return`,
    red: ["a record that is given back unstarted keeps its count of crashes"]
  },
  "a successor that need not wait": {
    file: "state.ts",
    line: `    return successor?.state === "blocked" && successor.more?.blocked === "Unique" ? successor : undefined`,
    instead: "    return successor",
    red: [
      "unique, runAfter: what is enqueued after the successor was cancelled or deleted",
      "unique: a dead holder is retried"
    ]
  },
  "a window that keeps its successor": {
    file: "state.ts",
    line: `this.freeUnique(row)
      this.releaseSuccessor(row, now)
    }
    this.shelve`,
    instead: `{
        this.freeUnique(row)
        this.releaseSuccessor(row, now)
      }
    }
    this.shelve`,
    red: ["unique, window: a successor goes on", "unique, a holder that runs", "unique, a holder that retries"]
  },
  "a reschedule that moves what has begun": {
    file: "enqueue.ts",
    line: `  return policy === "runAfter" ? state.successorOf(holder) : undefined`,
    instead: `  if (policy === "reschedule" && holder.state === "scheduled") return holder
  return policy === "runAfter" ? state.successorOf(holder) : undefined`,
    red: ["unique, a holder that retries"]
  },
  "a replace of what has ended": {
    file: "enqueue.ts",
    line: `policy === "replace" && holder.state !== "completed"`,
    instead: `policy === "replace"`,
    red: ["unique, a holder that has ended"]
  },
  "a successor of what waits": {
    file: "enqueue.ts",
    line: `  policy === "runAfter" || policy === "trailing" ? !holder.waits`,
    instead: `  policy === "runAfter" || policy === "trailing" ? true`,
    red: [
      "unique: of many at the same time",
      "unique: no other record stands for a member of a flow",
      "unique, a holder that waits",
      "unique, a holder that has ended",
      "unique, until started: no policy",
      "unique, window: a successor goes on"
    ]
  },
  "a reschedule that always changes something": {
    file: "control.ts",
    line: `  if (isDueThen && !expiresElsewhere) return "Unchanged"\n`,
    instead: "",
    red: ["a record that is rescheduled to when it is due"]
  },
  "an idempotency key that is forgotten with its contents": {
    file: "enqueue.ts",
    line: "if (idempotencyKey !== undefined) (row.grow().keys ??= []).push(idempotencyKey)",
    instead: "if (idempotencyKey !== undefined) state.idempotent.delete(scoped(spec.tag, idempotencyKey))",
    red: ["unique, replace: a call that was answered once"]
  },
  "a dependency that is not counted down": {
    file: "edges.ts",
    line: "  if (edge.answer === undefined) row.grow().pending--\n",
    instead: "",
    red: [
      "how a child ended that was left",
      "a child that was left beside a waitpoint",
      "a child that runs again before",
      "records of one call that are alike but for one thing",
      "who waits for children goes on when they have ended, also one",
      "unique, runAfter: a successor waits for its holder and for",
      "a record waits for its dependencies",
      "records of ticks that wait for the one before",
      "waitForChildren blocks",
      "a record that was cancelled while it waited for children",
      "flow: with continue",
      "flow: one name may",
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
      "in every state a record takes it as the table says: others",
      "children are not refused",
      "a child with which its parent is done"
    ]
  },
  "a dependency that is counted down twice": {
    file: "edges.ts",
    line: "  if (edge.answer === undefined) row.grow().pending--\n",
    instead: "  if (edge.answer === undefined) row.grow().pending -= 2\n",
    red: [
      "how a child ended that was left",
      "a child that runs again before",
      "unique, runAfter: a successor waits for its holder and for",
      "a record waits for its dependencies",
      "waitForChildren blocks",
      "flow: with continue",
      "flow: a record may be added",
      "flow: a failed record that is retried",
      "flow: of two failed",
      "flow: a record that waits is freed once",
      "flow: hundreds",
      "followed: so does a record that what it waited for has failed",
      "a child that ended while its parent ran"
    ]
  },
  "a failed dependency that nobody minds": {
    file: "edges.ts",
    line: "  if (edge.isBroken && isStrictlyBlocked(row)) die(state, row, edge, now)",
    instead: "  if (false) die(state, row, edge, now)",
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
      "flow: what is dead because of a record stays so while another one has its unique key",
      "followed: so does a record that what it waited for has failed",
      "in every state a record takes it as the table says: others died"
    ]
  },
  "siblings of a failed record that go on": {
    file: "edges.ts",
    line: `  if (edge.onFailure !== "cancelSiblings") return`,
    instead: "  return",
    red: [
      "flow: with cancelSiblings"
    ]
  },
  "a retried record that nobody waits for again": {
    file: "edges.ts",
    line: "  const again = [row]",
    instead: "  const again: Array<Row> = []",
    red: [
      "a child that runs again before",
      "flow: a failed record that is retried",
      "flow: of two failed",
      "flow: a record that is retried is waited for again",
      "flow: a whole flow",
      "flow: its records",
      "followed: so does a record that what it waited for has failed"
    ]
  },
  "a retried record that one waits for which has begun": {
    file: "edges.ts",
    line: " || !mayWaitAgain(dependent, edge)",
    instead: "",
    red: [
      "flow: a record that is retried is waited for again"
    ]
  },
  "a batch that is one thing and is stored twice": {
    file: "enqueue.ts",
    line: "  const known = first === undefined ? undefined : knownAs(state, first)",
    instead: "  const known = false as boolean ? knownAs(state, first!) : undefined",
    red: [
      "flow: a batch that is one thing is stored once"
    ]
  },
  "a record that is added twice by an attempt that runs again": {
    file: "enqueue.ts",
    line: "  if (known !== undefined) return { id: known.id, outcome: \"Existing\" }",
    instead: "  if (known !== undefined && !known.finished) return { id: known.id, outcome: \"Existing\" }",
    red: [
      "flow: what an attempt adds again",
      "flow: what is dead as soon as it is stored",
      "a child that has ended by the time",
      "an idempotency key answers the record that has it, in every state, and is scoped by tag",
      "in every state a record takes it as the table says: enqueue"
    ]
  },
  "a record that lives again beside who has its key": {
    file: "edges.ts",
    line: "  return holder === undefined || holder === row\n",
    instead: "  return true\n",
    red: [
      "flow: what is dead because of a record stays so"
    ]
  },
  "a member of a flow for which another record stands": {
    file: "enqueue.ts",
    line: "outcome: spec.flowId === undefined ? \"Existing\" : \"UniqueConflict\" }",
    instead: "outcome: \"Existing\" }",
    red: ["unique: no other record stands for a member of a flow"]
  },
  "an event that does nothing": {
    file: "enqueue.ts",
    line:
      "  if (isEvent) happen(state, request, new Set(records.flatMap((spec) => knownAs(state, spec) ?? [])), now)\n",
    instead: "",
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
  "an event that is about the records of its own call": {
    file: "listening.ts",
    line: ".filter((row) => !own.has(row))",
    instead: "",
    red: ["cancelOn, completeOn: an event does nothing to records"]
  },
  "an event that a record hears which has ended": {
    file: "state.ts",
    line: "    if (listens(row.spec)) this.listening.remove(row)\n",
    instead: "    void listens\n",
    red: [
      "completeOn: what has not ended",
      "completeOn: records with keys that complete",
      "completeOn: an event completes before",
      "completeOn: a record that lives again"
    ]
  },
  "an event that completes nothing": {
    file: "listening.ts",
    line: "    for (const row of others(on)) complete(state, row, waitpoint, value, now)\n",
    instead: "",
    red: [
      "completeOn: what has not ended",
      "completeOn: the first completion is kept",
      "completeOn: a record that lives again"
    ]
  },
  "a death that nobody tells of": {
    file: "follow.ts",
    line: "  if (spec.followed !== true) return\n",
    instead: "  if (spec.tag !== undefined) return\n",
    red: [
      "labels, headers and keys may have any character",
      "followed: a record that expires",
      "followed: so does"
    ]
  },
  "a record that is added to what has begun": {
    file: "edges.ts",
    line: `row === undefined || row.state !== "blocked" || !isStrictlyBlocked(row)`,
    instead: "row === undefined",
    red: [
      "flow: a record may be added"
    ]
  },
  "no fence at a step": {
    file: "write.ts",
    line: `row.state === "running" && row.fence === at.fence ? row`,
    instead: `row.state !== "completed" ? row`,
    red: [
      "progress, logs and steps of a stale attempt are refused (P3)",
      "in every state a record takes it as the table says: enqueue, write"
    ]
  },
  "a checkpoint that is written over": {
    file: "write.ts",
    line: "  if (isKept(more.checkpoints, name)) return false\n",
    instead: "",
    red: [
      "a checkpoint is written once",
      "the first signal is kept",
      "completeOn: the first completion is kept"
    ]
  },
  "checkpoints that are not read back": {
    file: "exchange.ts",
    line: "checkpoints: more?.checkpoints ?? nothing",
    instead: "checkpoints: nothing",
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
  "a wait that does not end by itself": {
    file: "settle.ts",
    line:
      "      if (outcome.delay !== undefined) state.wakeAt(row, now + Math.ceil(outcome.delay))\n      return state.tell",
    instead: "      return state.tell",
    red: ["a wait with a delay ends by itself"]
  },
  "a wait for children that does not end by itself": {
    file: "settle.ts",
    line: "      if (outcome.delay !== undefined) state.wakeAt(row, now + Math.ceil(outcome.delay))\n      return\n",
    instead: "      return\n",
    red: [
      "a wait for children with a delay",
      "a child that was waited for until an instant",
      "a child that ended while its parent ran"
    ]
  },
  "a child that is waited for for ever": {
    file: "settle.ts",
    line: "  if (waits) forgetOpenChildren(state, row, named)\n",
    instead: "",
    red: [
      "a child that was waited for until an instant",
      "a child with which its parent is done"
    ]
  },
  "a child with which its parent is never done": {
    file: "settle.ts",
    line: `  if (_tag === "WaitForChildren") keepOthers(row, named)\n`,
    instead: "  void keepOthers\n",
    red: ["a child with which its parent is done"]
  },
  "an end that nothing is undone before": {
    file: "write.ts",
    line: "  if (more?.undo !== true) return false\n",
    instead: "  if (more !== undefined) return false\n",
    red: [
      "a record with a step to undo is not cancelled",
      "a record with a step to undo that is cancelled while it runs",
      "a record with a step to undo whose workers die too often"
    ]
  },
  "an undoing that waits as its attempt says": {
    file: "settle.ts",
    line: "conclude(state, row, outcome, now, isUndoing)",
    instead: "conclude(state, row, outcome, now, false)",
    red: ["a record with a step to undo that is cancelled while it runs"]
  },
  "a leaked key slot": {
    file: "state.ts",
    line: "    this.freeSlot(row, now)\n    this.move(row, event, to)",
    instead: "    this.move(row, event, to)",
    red: [
      "a limit that is lower than what runs",
      "a record that comes back after a delay",
      "a key is listed that only waits",
      "no more records of a concurrency key run than its limit",
      "a slot is free after",
      "a key of a space counts",
      "racing claims never exceed",
      "a key that was limited",
      "a key's slot is free again",
      "a record of a key that waits is cancelled",
      "keys are listed by name",
      "a key whose attempts fail in a row",
      "records that must wait for each other by a key",
      "a wait with a delay ends with its signal",
      "what ends in one exchange gives",
      "in every state a record takes it as the table says: others",
      "a record that waits for its key and is reprioritised"
    ]
  },
  "a queue whose limit nobody looks at": {
    file: "exchange.ts",
    line: "Math.min(limit, queue.room(now))",
    instead: "limit",
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
    file: "limits.ts",
    line: "    if (key.space !== undefined) key.gate.take(key.space.holds, now)\n",
    instead: "",
    red: [
      "a key is listed that only waits",
      "a key starts no more",
      "a token is taken by the start",
      "one claim takes a token",
      "a key of which nothing is left keeps its rate"
    ]
  },
  "a ready record that need not look at its limit": {
    file: "limits.ts",
    line: "  if (key.starts(now)) {",
    instead: "  if (key !== undefined) {",
    red: [
      "a limit that is lowered",
      "an override of 0",
      "what was enqueued before a limit was known",
      "a key whose attempts fail in a row",
      "one claim takes a token"
    ]
  },
  "a key that lets all become ready": {
    file: "limits.ts",
    line: "    if (this.used >= this.slots) return false",
    instead: "    if (this.used >= this.slots) return true",
    red: [
      "a limit that is lower than what runs",
      "a signal with the name of the key",
      "a record that comes back after a delay takes a slot anew",
      "records of a key that come due at one time",
      "no more records of a concurrency key run",
      "a slot moves with its record",
      "keys are listed by name",
      "under random calls",
      "records that must wait for each other by a key",
      "of a batch with many keys",
      "what ends in one exchange gives",
      "in every state",
      "a record that waits for its key and is reprioritised"
    ]
  },
  "a circuit that failures do not open": {
    file: "limits.ts",
    line: "    key.failed++\n",
    instead: "",
    red: [
      "a key whose attempts fail in a row",
      "a key of which nothing is left keeps count"
    ]
  },
  "a record that may wait for ever": {
    file: "enqueue.ts",
    line: "row.enqueuedAt + (unique?.maxWait ?? Infinity)",
    instead: "Infinity",
    red: ["unique, maxWait"]
  },
  "what trails at once": {
    file: "enqueue.ts",
    line: "    insert(state, { ...spec, runAt: due }, now)",
    instead: "    insert(state, { ...spec, runAt: Math.min(due, now) }, now)",
    red: ["unique, trailing: of what comes"]
  },
  "turns that nobody takes": {
    file: "state.ts",
    line: "    if (concurrency !== undefined && this.limits.isFair(concurrency.key)) {",
    instead: "    if (concurrency !== undefined && concurrency.limit < 0) {",
    red: [
      "keys of a fair limit take turns",
      "keys of a limit that only an enqueuer",
      "a higher priority comes before the turns",
      "records of fair keys that come in one batch"
    ]
  },
  "a tick without a compare": {
    file: "schedules.ts",
    line: "  if (was === undefined || was.revision !== request.revision || was.nextAt !== request.at) return undefined",
    instead: "  if (was === undefined) return undefined",
    red: [
      "a tick is taken once, and stores its record in the same step (P8)",
      "many ticks of one instant at the same time",
      "a tick of a schedule that was changed since it was read",
      "a tick of a schedule that was removed and made anew",
      "a tick of a schedule without a next instant"
    ]
  },
  "a tick that takes no notice of the run before it": {
    file: "schedules.ts",
    line: "  if (previous === undefined || isFinal(previous.state)) return undefined",
    instead: "  if (previous === undefined || previous.state !== undefined) return undefined",
    red: [
      "overlap, skip:",
      "overlap, cancelPrevious:",
      "a tick whose record another one stands for"
    ]
  },
  "a tick that leaves out what its record waits for": {
    file: "schedules.ts",
    line: "enqueueAnyway(state, record, now)",
    instead: "enqueueAnyway(state, { ...record, dependencies: undefined }, now)",
    red: ["records of ticks that wait for the one before"]
  },
  "a tick that takes what was there for its own": {
    file: "schedules.ts",
    line: `enqueued.outcome === "Existing" ? last?.id : enqueued.id`,
    instead: "enqueued.id",
    red: ["a tick whose record another one stands for"]
  },
  "what follows is refused for the sake of a flow": {
    file: "enqueue.ts",
    line: `  return answer.outcome === "UniqueConflict" ? enqueueOne(`,
    instead: `  return answer.outcome === "Refused" ? enqueueOne(`,
    red: ["a tick is not refused", "children are not refused"]
  },
  "a put without a compare": {
    file: "schedules.ts",
    line: "  if ((was?.revision ?? 0) !== revision) return false",
    instead: "",
    red: ["of those who make or change a schedule at the same time"]
  },
  "a limit that is not looked at": {
    file: "schedules.ts",
    line: "const limit = request.limit ?? Infinity",
    instead: "const limit = Infinity",
    red: ["the limit ends a schedule"]
  },
  "a schedule that is handed to everybody": {
    file: "schedules.ts",
    line: "{ ...row, attendAt: now + attention }",
    instead: "{ ...row, attendAt: now + attention * 0 }",
    red: ["maintain hands out a schedule"]
  },
  "a cancel of a dead worker's record that is followed": {
    file: "maintain.ts",
    line: `    state.finish(row, "cancelled", "cancelled", now, reason)`,
    instead: `    state.finish(row, "cancelled", "cancelled", now, reason)\n    follow(state, row, now)`,
    red: ["followed: nothing tells of a run"]
  },
  "a worker that is not told of schedules": {
    file: "schedules.ts",
    line: "  if (row.attendAt !== undefined) state.foresee(row.attendAt)",
    instead: "",
    red: ["workers are told when a schedule"]
  }
}

// Each twin runs the whole suite, of the random calls one seed: they take as long as all else together.
const facts = JobStoreSuite.facts.filter(({ name }) => !name.includes("(seed ") || name.endsWith("(seed 1)"))

it("every fact that names a promise is turned red by a twin", () => {
  const red = Object.values(twins).flatMap(({ red }) => red)
  const promised = facts.map(({ name }) => name).filter((name) => /\(P\d+\)/.test(name))
  assert.isAbove(promised.length, 15)
  assert.deepStrictEqual(promised.filter((name) => !red.some((beginning) => name.startsWith(beginning))), [])
})

describe("a twin turns red exactly what it breaks", { timeout: 60_000 }, () => {
  it.effect("the true store: nothing", () =>
    Effect.map(JobStoreSuite.failing(JobStore.layerMemory()), (names) => assert.deepStrictEqual(names, [])))

  for (const [name, twin] of Object.entries(twins)) {
    it.effect(name, () =>
      Effect.gen(function*() {
        const layer = yield* Effect.promise(() => make(name, twin))
        const names = yield* JobStoreSuite.failing(layer, {}, facts)
        const expected = facts.map(({ name }) => name).filter((name) =>
          twin.red.some((beginning) => name.startsWith(beginning))
        )
        assert.deepStrictEqual(names, expected)
        for (const beginning of twin.red) assert.isTrue(expected.some((name) => name.startsWith(beginning)), beginning)
      }))
  }
})
