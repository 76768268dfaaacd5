/**
 * Must-fail twins of the scripts: a store of which one line is wrong, and the facts that tell. A suite that stays green on a
 * twin shows nothing; one that turns red elsewhere too shows that the twin breaks more than its line says.
 */
import { JobStoreSuite } from "@capstan/testing"
import { assert, describe, it } from "@effect/vitest"
import { JobStore } from "capstan"
import { Context, Effect, Exit, Layer } from "effect"
import { Redis } from "effect/persistence"
import { Advance } from "../../testing/src/internal/suite/harness.ts"
import { factsOfTwin } from "../../testing/src/internal/suite/twins.ts"
import { Client } from "../src/internal/client.ts"
import { scripts, type Verb } from "../src/internal/scripts.ts"
import { make, usualSettings } from "../src/internal/store.ts"
import * as Harness from "./harness.ts"

/** A line of the scripts as it stands in each of these verbs once, and what stands there instead. */
type Change = readonly [verbs: ReadonlyArray<Verb>, line: string, instead: string]

interface Twin {
  readonly changes: ReadonlyArray<Change>
  /** How the names of the facts begin that turn red. */
  readonly red: ReadonlyArray<string>
}

const twins: Readonly<Record<string, Twin>> = {
  "a queue whose limit nobody looks at": {
    changes: [[["exchange"], "limit = math.min(limit, roomIn(queue)) end", "limit = math.min(limit, 1000) end"]],
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
    changes: [[["exchange"], "if limit and limit.gap then state.f = takenFrom(limit, state.f, 1) end", ""]],
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
    changes: [[["exchange"], "return now >= state.c and", "return true or"]],
    red: [
      "a limit that is lowered",
      "an override of 0",
      "what was enqueued before a limit was known",
      "a key whose attempts fail in a row",
      "one claim takes a token"
    ]
  },
  "a circuit that failures do not open": {
    changes: [[["exchange"], "    state.b = state.b + 1\n", ""]],
    red: [
      "a key whose attempts fail in a row",
      "a key of which nothing is left keeps count"
    ]
  },
  "a record that may wait for ever": {
    changes: [[["enqueue"], "if spec.unique.maxWait then", "if false then"]],
    red: ["unique, maxWait"]
  },
  "a reschedule that moves what has begun": {
    changes: [[
      ["enqueue"],
      "  if isWaiting(holder) then return policy",
      "  if policy == 'reschedule' and holder.state == SCHEDULED then return holder end\n  if isWaiting(holder) then return policy"
    ]],
    red: ["unique, a holder that retries"]
  },
  "a replace of what has ended": {
    changes: [[
      ["enqueue"],
      "policy == 'replace' and holder.state ~= COMPLETED\n",
      "policy == 'replace'\n"
    ]],
    red: ["unique, a holder that has ended"]
  },
  "a replacement that forgets what can be undone": {
    changes: [[
      ["enqueue"],
      "for _, name in ipairs(contents) do its[name] = new[name] end",
      "for _, name in ipairs(contents) do its[name] = new[name] end its.undo = nil"
    ]],
    red: ["a record with a step to undo that was given back"]
  },
  "a key that a start does not free": {
    changes: [[
      ["enqueue"],
      "if row.more.unique.started then return isWaiting(row) and row or nil end",
      "if row.more.unique.started then return row end"
    ]],
    red: [
      "unique, until started: the key is free once",
      "unique, until started: a record that is given back",
      "unique, until started: no policy"
    ]
  },
  "a reschedule that always changes something": {
    changes: [[["control"], "if isDueThen and not (", "if false and not ("]],
    red: ["a record that is rescheduled to when it is due"]
  },
  "turns that nobody takes": {
    changes: [[["enqueue"], "if not L.orders[L.spaceOf(key)] then return now end", "if true then return now end"]],
    red: [
      "keys of a fair limit take turns",
      "keys of a limit that only an enqueuer",
      "a higher priority comes before the turns",
      "records of fair keys that come in one batch"
    ]
  },
  "an event that does nothing": {
    changes: [[["enqueue"], "  if happen then happen() end\n", ""]],
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
    changes: [[["enqueue"], "elseif not own[id] then act(row) end", "else act(row) end"]],
    red: ["cancelOn, completeOn: an event does nothing to records"]
  },
  "an event that completes nothing": {
    changes: [[["enqueue"], "  each(on, specs, function(row) L.complete(row, waitpoint, value) end)\n", ""]],
    red: [
      "completeOn: what has not ended",
      "completeOn: the first completion is kept",
      "completeOn: a record that lives again"
    ]
  },
  "an event whose records all have keys": {
    changes: [[
      ["enqueue"],
      "if areKeyed(specs) and not isWhole and not happen then",
      "if areKeyed(specs) and not isWhole then"
    ]],
    red: ["cancelOn: an event cancels, and a record listens"]
  },
  "records with keys that hear nothing": {
    changes: [[["enqueue"], "spec.dependents or spec.listens or spec.labels", "spec.dependents or spec.labels"]],
    red: ["cancelOn: an event cancels, and a record listens"]
  },
  "a death that nobody tells of": {
    changes: [[
      ["exchange", "maintain"],
      "function L.follow(row)\n",
      "function L.follow(row)\n  if true then return end\n"
    ]],
    red: [
      "labels, headers and keys may have any character",
      "followed: a record that expires",
      "followed: so does"
    ]
  },
  "a record that lives again beside who has its key": {
    changes: [[["control", "exchange"], "  return not holder or holder == row\n", "  return true\n"]],
    red: ["flow: what is dead because of a record stays so"]
  },
  "a settlement with a stale fence counts": {
    changes: [
      [["exchange"], "if row.state ~= RUNNING or row.fence ~= s.fence then", "if row.state ~= RUNNING then"],
      [["exchange"], "elseif not of or of.fence ~= fence or", "elseif not of or"]
    ],
    red: ["a settle with a stale fence changes nothing (P3)"]
  },
  "a write with a stale fence counts": {
    changes: [[["write"], "row.state ~= RUNNING or row.fence ~= entry.fence", "false"]],
    red: [
      "progress, logs and steps of a stale attempt are refused (P3)",
      "in every state a record takes it as the table says: enqueue, write, signal, results"
    ]
  },
  "a child of a stale attempt is stored": {
    changes: [[["enqueue"], "row.state ~= RUNNING or row.fence ~= tonumber(string.sub(by, 23))", "false"]],
    red: [
      "a child of a stale attempt is refused, and nothing of its batch is stored (P3)",
      "cancelOn: an event that is refused cancels nothing",
      "completeOn: an event that is refused completes nothing"
    ]
  },
  "the fence does not rise when an attempt ends": {
    changes: [
      [["exchange", "renew", "maintain"], "  row.fence = row.fence + 1\n  row.tail = ''", "  row.tail = ''"],
      [["exchange"], "priority, 0, its + 1, its,", "priority, 0, its, its,"]
    ],
    red: [
      "an attempt that has failed changes nothing by settling once more as something else (P3)",
      "the fence never falls",
      "a worker's records run again when its lease ends, at the place that they had, with a higher fence",
      "a claim whose reply was lost is given back with a higher fence, uncharged, and others are kept (P14)",
      "in every state a record takes it as the table says: settle",
      "in every state a record takes it as the table says: renew forgotten",
      "in every state a record takes it as the table says: maintain lease ended"
    ]
  },
  "a snooze that is told as a failure": {
    changes: [[["exchange"], "row.attempt, s.failureTag, true)", "row.attempt, s.failureTag)"]],
    red: ["events tell a snooze from a failure"]
  },
  "attempts that are all kept": {
    changes: [[["exchange", "renew", "maintain"], "if #list > 100 then table.remove(list, 1) end", ""]],
    red: ["of many attempts a record keeps"]
  },
  "records of a batch with keys that no search finds": {
    changes: [[["enqueue"], "if tonumber(last) ~= chunk then markKind(kindText, number, chunk) end", ""]],
    red: ["records of a batch that have keys are found"]
  },
  "a record with a key that a batch has twice": {
    changes: [[["enqueue"], "      stored[id] = true\n", ""]],
    red: ["a batch that has a record twice"]
  },
  "a settlement that is sent again is not known": {
    changes: [[["exchange"], "if row.settled == s.fence then return 'Done' end", ""]],
    red: [
      "a settlement that is sent again is Done, also after the record is gone (P13)",
      "an attempt that has ended is Done",
      "a record of which nothing is kept is gone after its end",
      "in every state a record takes it as the table says: settle"
    ]
  },
  "a settlement of a record that is gone is not known": {
    changes: [[["control", "maintain"], "  L.remember(row, by)\n", ""]],
    red: ["a settlement that is sent again is Done, also after the record is gone (P13)"]
  },
  "keys have no limit": {
    changes: [[["enqueue", "exchange", "maintain"], "if slot.used >= slot.limit then", "if false then"]],
    red: [
      "a limit that is lower than what runs",
      "records of a key that come due at one time",
      "a record that comes back after a delay",
      "a signal with the name of the key",
      "no more records of a concurrency key run than its limit, and the next one starts in the write that frees a slot (P6)",
      "a slot moves with its record: rescued records do not exceed the limit (P6)",
      "of a batch with many keys",
      "what ends in one exchange gives",
      "in every state",
      "a record that waits for its key and is reprioritised"
    ]
  },
  "a slot stays with a record that has ended": {
    changes: [[
      ["exchange", "control", "maintain"],
      "function L.freeSlot(row)\n  if not row.admitted",
      "function L.freeSlot(row)\n  if true or not row.admitted"
    ], [["exchange"], "if next(many) then general().freeSlots(freed, shared, many) end", ""]],
    red: [
      "a limit that is lower than what runs",
      "a key is listed that only waits",
      "a record that comes back after a delay",
      "a record that waits for its key and is reprioritised",
      "no more records of a concurrency key run than its limit, and the next one starts in the write that frees a slot (P6)",
      "a slot is free after a retry with a delay, a death, a cancel, a park and a delete (P6)",
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
      "a success between two failures",
      "in every state a record takes it as the table says: others"
    ]
  },
  "a worker takes all that crashed others": {
    changes: [[["exchange"], "if suspects > 0 then return", "if false then return"]],
    red: ["a worker holds at most one record that has crashed others, beside its other work (P10)"]
  },
  "a claim whose reply was lost is left alone": {
    changes: [[["renew"], "if not known[row.id] and row.at <= before then", "if false then"]],
    red: [
      "unique, until started: a record that is given back unstarted has its key again, unless another took it",
      "a claim whose reply was lost is given back with a higher fence, uncharged, and others are kept (P14)",
      "a worker that leaves gives everything back at once",
      "a record that is given back unstarted keeps its count of crashes (P10)",
      "a record with a step to undo that is cancelled while it runs",
      "a record with a step to undo that was given back",
      "in every state a record takes it as the table says: renew forgotten"
    ]
  },
  "a released record goes to the end": {
    changes: [[
      ["exchange", "renew"],
      "  L.watchExpiry(row)\n  L.admit(row, false)\nend",
      "  L.watchExpiry(row)\n  row.place = now\n  L.admit(row, true)\nend"
    ]],
    red: [
      "unique, until started: a record that is given back unstarted has its key again, unless another took it",
      "a released record keeps its place at the front"
    ]
  },
  "an entry of a lane counts whatever became of its record": {
    changes: [[
      ["exchange"],
      "return head.priority == priority and head.place == (#entry == 22 and '' or string.sub(entry, 23)), head",
      "return head.place and true, head"
    ]],
    red: ["a record that was rescheduled is claimed in the turn of its new instant"]
  },
  "a checkpoint is written over": {
    changes: [[
      ["write"],
      "call('HSETNX', key, entry.name, entry.value)",
      "call('HSET', key, entry.name, entry.value)"
    ]],
    red: ["a checkpoint is written once: what is there stays, and is Done"]
  },
  "checkpoints are not read back": {
    changes: [[["exchange"], "  if not row.hasCheckpoints then return '' end", "  if true then return '' end"]],
    red: [
      "progress, logs and steps of a stale attempt are refused (P3)",
      "waitFor blocks the record until its waitpoint is signalled",
      "a checkpoint is written once",
      "a record carries checkpoints of 64 KiB",
      "checkpoints are kept by a dead record",
      "the first signal is kept",
      "a record with a step to undo is not cancelled while it waits",
      "a record with a step to undo that was given back"
    ]
  },
  "a wait does not end by itself": {
    changes: [[
      ["exchange"],
      "L.block(row, 'Waitpoint', s.waitpoint)\n    if s.delay then L.wakeAt(row, now + s.delay) end",
      "L.block(row, 'Waitpoint', s.waitpoint)"
    ]],
    red: ["a wait with a delay ends by itself"]
  },
  "an undoing that waits as its attempt says": {
    changes: [[["exchange"], "conclude[s.outcome](row, s, isUndoing)", "conclude[s.outcome](row, s)"]],
    red: ["a record with a step to undo that is cancelled while it runs"]
  },
  "what follows is refused for the sake of a flow": {
    changes: [[["exchange", "tick"], "if outcome ~= 'UniqueConflict' or not spec.anyway then", "if true then"]],
    red: ["a tick is not refused", "children are not refused"]
  },
  "nothing is undone before an end": {
    changes: [[
      ["exchange", "renew", "maintain", "control"],
      "if not (row.more and row.more.undo) then return false end",
      "if true then return false end"
    ]],
    red: [
      "a record with a step to undo is not cancelled",
      "a record with a step to undo that is cancelled while it runs",
      "a record with a step to undo whose workers die too often",
      "a record with a step to undo that was given back"
    ]
  },
  "a tick is taken by everybody": {
    changes: [[
      ["tick"],
      "if tonumber(q.revision) ~= tonumber(ARGV[2]) or q.nextAt ~= ARGV[3] then return '' end",
      ""
    ]],
    red: [
      "a tick is taken once, and stores its record in the same step (P8)",
      "many ticks of one instant at the same time",
      "a tick of a schedule that was changed since it was read",
      "a tick of a schedule that was removed and made anew",
      "a tick of a schedule without a next instant"
    ]
  },
  "a tick that takes no notice of the run before it": {
    changes: [[["tick"], "if previous and not isFinal(previous) then", "if false then"]],
    red: [
      "overlap, skip:",
      "overlap, cancelPrevious:",
      "a tick whose record another one stands for"
    ]
  },
  "a schedule that is handed to everybody": {
    changes: [[["maintain"], "q.attendAt = string.format('%.0f', now + 5000)", ""]],
    red: ["maintain hands out a schedule"]
  },
  "a parked record is released for any version": {
    changes: [[["renew", "exchange"], "'-inf', each[2], 'LIMIT'", "'-inf', '+inf', 'LIMIT'"]],
    red: [
      "a parked record keeps its attempt and place, is counted, and is released for a worker that has tag and version"
    ]
  },
  "a dependency is not counted down": {
    changes: [[["exchange", "control", "maintain"], "if was == '' then its.pending = its.pending - 1 end", ""]],
    red: [
      "how a child ended that was left",
      "a child that was left beside a waitpoint",
      "a child that runs again before",
      "records of one call that are alike",
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
      "in every state a record takes it as the table says: others",
      "a child that ended while its parent ran",
      "a child with which its parent is done"
    ]
  },
  "a dependency is counted down twice": {
    changes: [[
      ["exchange", "control", "maintain"],
      "if was == '' then its.pending = its.pending - 1 end",
      "if was == '' then its.pending = its.pending - 2 end"
    ]],
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
      "a child that ended while its parent ran",
      "followed: so does a record that what it waited for has failed"
    ]
  },
  "a failed dependency that nobody minds": {
    changes: [[["exchange", "control", "maintain"], "if isBroken and isStrict(row) then die", "if false then die"]],
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
      "flow: what is dead because of a record stays so while another one has its unique key",
      "followed: so does a record that what it waited for has failed",
      "in every state a record takes it as the table says: others died"
    ]
  },
  "a retried record that nobody waits for again": {
    changes: [[["control"], "local all, at = { row }, 1", "local all, at = {}, 1"]],
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
  "claims are not counted": {
    changes: [[["exchange"], "    count(queue.name, RUNNING, many)\n", ""]],
    red: [
      "figures are those of the records",
      "a queue's concurrency holds",
      "records of a dead worker count",
      "the proposal of the highest release"
    ]
  },
  "a child with which its parent is never done": {
    changes: [[["exchange"], "isDone and (named[id] and '3' or '4') or policy", "policy"]],
    red: ["a child with which its parent is done"]
  }
}

/** The random calls take as long as all else together. */
const themes = Object.values(JobStoreSuite.themes).map((facts) => facts.filter(({ name }) => !name.includes("(seed ")))

const altered = (changes: ReadonlyArray<Change>) => {
  const all: Record<string, string> = { ...scripts(Harness.frozenClock) }
  for (const [verbs, line, instead] of changes) {
    for (const verb of verbs) {
      assert.strictEqual(all[verb]!.split(line).length, 2, `stands once in ${verb}: ${line}`)
      all[verb] = all[verb]!.replace(line, () => instead)
    }
  }
  return all as ReturnType<typeof scripts>
}

/** The facts that do not hold, on one client for all of them. */
const failing = (prefix: string, changes: ReadonlyArray<Change>, facts: ReadonlyArray<JobStoreSuite.Fact>) =>
  Effect.gen(function*() {
    const context = yield* Layer.build(Harness.client())
    const on = Effect.provideContext(context)
    const client = new Client(Context.get(context, Redis.Redis), `{${prefix}}`, altered(changes), yield* Effect.scope)
    const layer = Layer.effect(
      JobStore.JobStore,
      Effect.gen(function*() {
        yield* on(Effect.orDie(Effect.andThen(Harness.empty(prefix), Harness.freeze(prefix))))
        return yield* make(client, { ...usualSettings, identity: prefix })
      })
    )
    const advance = (millis: number) => on(Effect.asVoid(Effect.orDie(Harness.advance(prefix, millis))))
    const found: Array<string> = []
    for (const { name, run } of facts) {
      const exit = yield* Effect.exit(Effect.provideService(Effect.provide(run, Layer.fresh(layer)), Advance, advance))
      if (Exit.isFailure(exit)) found.push(name)
    }
    yield* on(Effect.orDie(Harness.empty(prefix)))
    return found
  }).pipe(Effect.scoped)

describe("a twin turns red exactly what it breaks", () => {
  const twin = (name: string, { changes, red }: Twin, i: number) =>
    it.effect(name, () =>
      Effect.gen(function*() {
        const facts = factsOfTwin(themes, red, i)
        const found = yield* failing(Harness.prefixOf(`twin_${i}`), changes, facts)
        const expected = facts.map(({ name }) => name).filter((name) =>
          red.some((beginning) => name.startsWith(beginning))
        )
        assert.deepStrictEqual(found, expected)
        for (const beginning of red) assert.isTrue(expected.some((name) => name.startsWith(beginning)), beginning)
      }), 60_000)

  twin("the true scripts: nothing", { changes: [], red: [] }, 0)
  Object.entries(twins).forEach(([name, one], i) => twin(name, one, i + 1))
})
