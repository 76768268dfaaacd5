/** `limits`: what workers keep to, and who set it. */
import { Jobs, type JobStore } from "capstan"
import { Argument, Command, Flag } from "effect/cli"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import type { Session } from "./connection.ts"
import { failed } from "./failure.ts"
import { print, printAll } from "./print.ts"
import { known } from "./queue.ts"
import { duration, instant, table } from "./text.ts"

const of = Argument.String("limit").pipe(Argument.withDescription("A queue, or @ and the name of a limit by key"))

const limitOf = (name: string): Jobs.LimitOf => name.startsWith("@") ? { key: name.slice(1) } : { queue: name }

const nameOf = (limit: Jobs.LimitOf): string => "queue" in limit ? limit.queue : `@${limit.key}`

const settingsText = ({ breaker, concurrency, order, rate }: JobStore.LimitSettings): string =>
  [
    concurrency === undefined ? "" : `concurrency ${concurrency}`,
    rate === undefined ? "" : `${rate.limit} per ${duration(rate.perMillis)}`,
    breaker === undefined ? "" : `opens after ${breaker.consecutive} failures`,
    order === undefined || order === "fifo" ? "" : order
  ].filter((part) => part !== "").join(", ")

const row = (limit: Jobs.Limit): ReadonlyArray<string> => [
  nameOf(limit.of),
  settingsText(limit.holds),
  settingsText(limit.proposed),
  Option.match(limit.override, { onNone: () => "", onSome: settingsText })
]

const columns = [{ title: "LIMIT", width: 40 }, { title: "HOLDS" }, { title: "BY CODE" }, { title: "BY HAND" }]

/** A mistyped limit would be set as well, and hold nothing. */
const isThere = Effect.fnUntraced(function*(name: string) {
  const named = (yield* (yield* Jobs.Jobs).limits).map(({ of }) => nameOf(of))
  if (named.includes(name)) return
  const otherwise = "say --ahead to set it before there is something to limit"
  if (!name.startsWith("@")) {
    const isByKey = named.includes(`@${name}`)
    return yield* Effect.asVoid(known(name, isByKey ? `the limit by key is @${name}` : otherwise))
  }
  return yield* failed(
    "NotFound",
    `there is no limit ${name}${named.length === 0 ? "" : `, but ${named.join(", ")}`}: ${otherwise}`
  )
})

export const limits = (session: Session) =>
  Command.make("limits").pipe(
    Command.withDescription("Limits of queues and keys: list, set, clear, keys"),
    Command.withSubcommands([
      Command.make("list", {}, () =>
        session(Effect.gen(function*() {
          const found = yield* (yield* Jobs.Jobs).limits
          yield* printAll(found, () => found.length === 0 ? "no limit is set" : table(columns, found.map(row)))
        }))).pipe(Command.withDescription("All limits, what code proposes and what was set by hand")),
      Command.make("set", {
        of,
        concurrency: Flag.Int("concurrency").pipe(Flag.withDescription("At most so many at a time"), Flag.optional),
        rate: Flag.Int("rate").pipe(Flag.withDescription("At most so many starts per --per"), Flag.optional),
        per: Flag.String("per").pipe(Flag.withDescription("Such as \"1 minute\""), Flag.withDefault("1 second")),
        ahead: Flag.Boolean("ahead").pipe(
          Flag.withDescription("Also for a queue that has no record yet, or a limit that no worker has proposed"),
          Flag.withDefault(false)
        )
      }, ({ ahead, concurrency, of, per, rate }) =>
        session(Effect.gen(function*() {
          if (Option.isNone(concurrency) && Option.isNone(rate)) {
            return yield* failed("Usage", "set what? Give --concurrency, or --rate with --per")
          }
          if (!ahead) yield* isThere(of)
          const limit = yield* (yield* Jobs.Jobs).setLimit(limitOf(of), {
            ...(Option.isSome(concurrency) ? { concurrency: concurrency.value } : {}),
            ...(Option.isSome(rate) ? { rate: { limit: rate.value, per: per as `${number} seconds` } } : {})
          })
          yield* print(limit, () => table(columns, [row(limit)]))
        }))).pipe(
          Command.withDescription(
            "Set a limit by hand, from the next claim on, in every worker; it wins over what code says"
          )
        ),
      Command.make("clear", { of }, ({ of }) =>
        session(Effect.gen(function*() {
          const limit = yield* (yield* Jobs.Jobs).clearLimit(limitOf(of))
          yield* print(limit, () => table(columns, [row(limit)]))
        }))).pipe(Command.withDescription("Let what code proposes hold again")),
      Command.make("keys", { of }, ({ of }) =>
        session(Effect.gen(function*() {
          if (!of.startsWith("@")) return yield* failed("Usage", `a queue has no keys: @${of} is the limit by key`)
          const keys = yield* Stream.runCollect((yield* Jobs.Jobs).keys(of.slice(1)))
          yield* printAll(keys, () =>
            keys.length === 0 ? "no key waits, runs or is limited" : table(
              [
                { title: "KEY", width: 60 },
                { title: "WAITING", align: "right" },
                { title: "RUNNING", align: "right" },
                { title: "LIMITED UNTIL" }
              ],
              keys.map(({ key, limitedUntil, running, waiting }) => [
                key,
                String(waiting),
                String(running),
                Option.match(limitedUntil, { onNone: () => "", onSome: instant })
              ])
            ))
        }))).pipe(Command.withDescription("How the keys of a limit stand: what waits, what runs, limited until when"))
    ])
  )
