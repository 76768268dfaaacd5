/**
 * graphile-worker with its defaults. It takes a job from a worker that is gone after four hours, a constant of it; before
 * that an operator who knows which workers are gone unlocks what they hold, by `forceUnlockWorkers`, its documented way.
 * It deletes what is completed, so a trigger notes when.
 */
import { Logger, makeWorkerUtils, run as runWorkers } from "graphile-worker"
import type { Peer, PeerAddress, PeerAttempt, PeerWork } from "../../chaos/src/peer.ts"
import { connection } from "./postgres.ts"

process.env.NO_LOG_SUCCESS = "1"
const logger = new Logger(() => (level, message) => level === "error" && console.error(message))

const preset = ({ namespace, url }: PeerAddress): GraphileConfig.Preset => ({
  worker: { connectionString: url, schema: namespace, logger }
})

const utilsOf = (address: PeerAddress) => makeWorkerUtils({ preset: preset(address) })

export const peer: Peer = {
  lease: undefined,
  settings: "its defaults; what workers that are gone hold is unlocked by forceUnlockWorkers when all else is done",
  prepare: async (address) => {
    const utils = await utilsOf(address)
    await utils.migrate()
    await utils.release()
    const { namespace, url } = address
    await connection(url)(`
      CREATE TABLE ${namespace}.ended (id bigint, n int, at timestamptz NOT NULL DEFAULT clock_timestamp());
      CREATE FUNCTION ${namespace}.note_end() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        INSERT INTO ${namespace}.ended (id, n) VALUES (OLD.id, (OLD.payload ->> 'n')::int);
        RETURN OLD;
      END $$;
      CREATE TRIGGER note_end AFTER DELETE ON ${namespace}._private_jobs
        FOR EACH ROW EXECUTE FUNCTION ${namespace}.note_end()`)
  },
  client: async (address) => {
    // The producers' pool. Workers have their own.
    const utils = await utilsOf(address)
    return {
      enqueue: async ({ frozen, millis, n }) => {
        const { id } = await utils.addJob("work", { n, millis, ...frozen === undefined ? {} : { frozen } })
        return String(id)
      },
      work: async (concurrency, handler) => {
        await runWorkers({
          preset: preset(address),
          concurrency,
          noHandleSignals: true,
          parsedCronItems: [],
          taskList: {
            work: (payload, { job }) =>
              handler({ ...payload as PeerWork, id: String(job.id), fence: job.attempts } satisfies PeerAttempt)
          }
        })
      }
    }
  },
  observe: async (address) => {
    const { namespace, url } = address
    const query = connection(url)
    return {
      unfinished: async () => {
        const [row] = await query<{ count: number }>(
          `SELECT count(*)::int FROM ${namespace}._private_jobs WHERE locked_by IS NOT NULL OR attempts < max_attempts`
        )
        return row!.count
      },
      records: async () => {
        const rows = await query<{ id: string; n: number; state: string; at: number | null }>(
          `SELECT id::text, n, 'completed' AS state, extract(epoch FROM at)::float8 * 1000 AS at FROM ${namespace}.ended
           UNION ALL
           SELECT id::text, (payload ->> 'n')::int,
             CASE WHEN locked_by IS NOT NULL THEN 'running' WHEN attempts >= max_attempts THEN 'dead' ELSE 'waiting' END,
             NULL FROM ${namespace}._private_jobs`
        )
        return rows.map(({ at, id, n, state }) => ({
          id,
          n,
          state: state as "completed" | "running" | "dead" | "waiting",
          completedAt: at ?? undefined
        }))
      },
      revive: async () => {
        const rows = await query<{ worker: string; count: number }>(
          `SELECT locked_by AS worker, count(*)::int FROM ${namespace}._private_jobs WHERE locked_by IS NOT NULL GROUP BY 1`
        )
        if (rows.length === 0) return 0
        const utils = await utilsOf(address)
        await utils.forceUnlockWorkers(rows.map(({ worker }) => worker))
        await utils.release()
        return rows.reduce((sum, { count }) => sum + count, 0)
      },
      close: async () => {}
    }
  }
}
