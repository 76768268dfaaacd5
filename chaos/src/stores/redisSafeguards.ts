/**
 * What each safeguard is, as it stands in the scripts of the store, and what stands there without it.
 *
 * Scripts come from the processes: one that does without loads the changed text, through a client that changes it on its
 * way. A text that is not found fails the run: a control that removes nothing would be green for nothing.
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Effect, Layer } from "effect"
import { Redis } from "effect/persistence"
import { scripts, type Verb } from "../../../packages/redis/src/internal/scripts.ts"
import type { Safeguard } from "../store.ts"

const safeguards: Readonly<
  Record<Safeguard, ReadonlyArray<readonly [verb: Verb, text: string, instead: string]>>
> = {
  fence: [
    ["exchange", "not of or of.fence ~= fence", "not of"],
    ["exchange", "row.state ~= RUNNING or row.fence ~= s.fence", "row.state ~= RUNNING"],
    ["write", "row.state ~= RUNNING or row.fence ~= entry.fence", "false"],
    ["enqueue", "row.state ~= RUNNING or row.fence ~= tonumber(string.sub(by, 23))", "false"]
  ],
  // Nothing here commits with anything else.
  commit: [],
  // The processes do without these themselves.
  compatibility: [],
  tidiness: [],
  // Nothing follows it.
  replication: [],
  uniqueness: (["enqueue", "tick"] as const)
    .map((verb) => [verb, "if row or not spec.idempotencyKey then return row end", "do return row end"] as const),
  revision: [["tick", "tonumber(q.revision) ~= tonumber(ARGV[2]) or q.nextAt ~= ARGV[3]", "false"]],
  reconciling: [["renew", "not known[row.id] and row.at <= before", "false"]],
  rescue: [["maintain", "if #held == 0 then", "if true then"]],
  slots: (["exchange", "enqueue", "renew", "maintain"] as const)
    .map((verb) => [verb, "slot.used >= slot.limit", "false"] as const)
}

export const names = Object.keys(safeguards) as ReadonlyArray<Safeguard>

/** Fails when there is nothing to remove. */
export const removes = (safeguard: Safeguard): void => {
  const all = scripts()
  for (const [verb, text] of safeguards[safeguard]) {
    if (!all[verb].includes(text)) throw new Error(`${verb} does not say "${text}": nothing to take away`)
  }
}

const without = (safeguard: Safeguard, script: string): string =>
  safeguards[safeguard].reduce((changed, [, text, instead]) => changed.replaceAll(text, () => instead), script)

/** A client whose scripts lack the safeguard. */
export const withoutSafeguard = (
  safeguard: Safeguard,
  options: Parameters<typeof NodeRedis.layer>[0]
): Layer.Layer<Redis.Redis, Redis.RedisError> =>
  Layer.effect(
    Redis.Redis,
    Effect.map(Redis.Redis, (redis) => {
      const send: Redis.Redis["Service"]["send"] = (command, ...args) =>
        redis.send(
          command,
          ...args.map((arg) => command === "SCRIPT" || command === "EVAL" ? without(safeguard, arg) : arg)
        )
      return Redis.Redis.of({ ...redis, send })
    })
  ).pipe(Layer.provide(NodeRedis.layer(options)))
