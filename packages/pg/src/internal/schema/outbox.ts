/**
 * Records on their way to another store.
 *
 * A relay takes them for a while (`taken_until`) instead of locking them, so that no transaction is open while it talks to
 * the other store, and what a dead relay had taken is taken again.
 */
export const outbox = (s: string): ReadonlyArray<string> => [
  `CREATE TABLE ${s}.outbox (
    num bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at bigint NOT NULL,
    taken_until bigint NOT NULL DEFAULT 0,
    id uuid NOT NULL,
    relay text COLLATE "C" NOT NULL,
    refused text,
    record text NOT NULL
  ) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_cost_delay = 0
  )`,
  `CREATE INDEX outbox_waiting ON ${s}.outbox (relay, num) WHERE refused IS NULL`,
  `CREATE INDEX outbox_refused ON ${s}.outbox (relay, num) WHERE refused IS NOT NULL`
]
