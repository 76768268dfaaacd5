/** What loses a race inside the server: tried again as a whole where nobody else's work hangs on it, and said else. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Harness from "./harness.ts"
import type { Side } from "./harness.ts"

const schema = Harness.schemaName("contention")
const side = Harness.shared(
  schema,
  Effect.tap(Harness.open(schema), ({ sql }) =>
    Effect.forEach([
      `CREATE TABLE ${schema}.loses (times int NOT NULL, code text NOT NULL)`,
      // What a sequence has counted stays when the statement is taken back.
      `CREATE SEQUENCE ${schema}.tries`,
      `CREATE FUNCTION ${schema}.lose() RETURNS trigger LANGUAGE plpgsql AS $$
        DECLARE v_loses ${schema}.loses;
        BEGIN
          SELECT * INTO v_loses FROM ${schema}.loses;
          IF FOUND AND nextval('${schema}.tries') <= v_loses.times THEN
            RAISE EXCEPTION 'somebody else won' USING ERRCODE = v_loses.code;
          END IF;
          RETURN NEW;
        END $$`,
      `CREATE TRIGGER lose BEFORE INSERT ON ${schema}.record FOR EACH ROW EXECUTE FUNCTION ${schema}.lose()`,
      `CREATE TRIGGER lose BEFORE INSERT ON ${schema}.history FOR EACH ROW EXECUTE FUNCTION ${schema}.lose()`
    ], (statement) => Effect.orDie(sql.unsafe(statement).unprepared)))
)

/** From now on the first so many statements that store a record or an end fail so. */
const losing = ({ sql }: Side, times: number, code: string) =>
  Effect.andThen(
    sql.unsafe(`ALTER SEQUENCE ${schema}.tries RESTART`).unprepared,
    sql.unsafe(`INSERT INTO ${schema}.loses VALUES ($1, $2)`, [times, code])
  )

const tries = ({ sql }: Side) =>
  Effect.map(
    sql.unsafe<{ n: number }>(`SELECT CASE WHEN is_called THEN last_value ELSE 0 END::int AS n FROM ${schema}.tries`),
    ([row]) => row!.n
  )

const fact = (name: string, test: (side: Side) => Effect.Effect<void, unknown>) =>
  it.live(name, () =>
    Effect.gen(function*() {
      const one = yield* side
      yield* Harness.empty(one)
      yield* test(one)
      yield* one.sql.unsafe(`DELETE FROM ${schema}.loses`)
      yield* Harness.assertSound(one)
    }))

describe("a statement that loses a race", () => {
  for (const [what, code] of [["a deadlock", "40P01"], ["a serialization failure", "40001"]] as const) {
    fact(`by ${what} is tried again as a whole: an enqueue`, (one) =>
      Effect.gen(function*() {
        yield* losing(one, 2, code)
        const { id, outcome } = yield* Harness.enqueue(one)
        assert.strictEqual(outcome, "Inserted")
        assert.deepStrictEqual([yield* tries(one), yield* Harness.stateOf(one, id)], [3, "ready"])
      }))

    fact(`by ${what} is tried again as a whole: a settlement`, (one) =>
      Effect.gen(function*() {
        yield* Harness.enqueue(one)
        const at = yield* Harness.claimOne(one)
        yield* losing(one, 2, code)
        assert.strictEqual(yield* Harness.settle(one, at), "Done")
        assert.deepStrictEqual([yield* tries(one), yield* Harness.stateOf(one, at.id)], [3, "completed"])
      }))

    fact(
      `by ${what} in the caller's transaction is not: it fails so that all of that may be`,
      (one) =>
        Effect.gen(function*() {
          yield* losing(one, 1, code)
          const transaction = one.sql.withTransaction(Harness.enqueue(one))
          const error = yield* Effect.flip(transaction)
          assert.strictEqual(error.reason._tag, "Unavailable")
          assert.isTrue(error._tag === "JobStoreError" && error.isTransient)
          assert.strictEqual(yield* tries(one), 1)
          assert.strictEqual((yield* transaction).outcome, "Inserted")
        })
    )
  }

  fact("again and again is given up, and stored nothing", (one) =>
    Effect.gen(function*() {
      yield* losing(one, 100, "40P01")
      const id = Harness.newId()
      const error = yield* Effect.flip(Harness.enqueue(one, { id }))
      assert.strictEqual(error.reason._tag, "Unavailable")
      assert.deepStrictEqual([yield* tries(one), yield* Harness.stateOf(one, id)], [6, "none"])
    }))
})
