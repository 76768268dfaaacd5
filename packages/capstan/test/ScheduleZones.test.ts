/**
 * Ten years of planned instants in fifty time zones, computed: with all clock changes of 2015 to 2025, by an oracle of its
 * own, the local time as `Intl` says it.
 */
import { assert, describe, it } from "@effect/vitest"
import { dueOf, type Plan, type Spec, toPlan } from "../src/internal/schedules/plan.ts"

const zones = [
  ..."UTC Europe/Berlin Europe/London Europe/Dublin Europe/Lisbon Europe/Moscow Europe/Istanbul Europe/Chisinau".split(
    " "
  ),
  ..."America/New_York America/Chicago America/Denver America/Phoenix America/Los_Angeles America/Anchorage".split(" "),
  ..."America/St_Johns America/Halifax America/Caracas America/Bogota America/Sao_Paulo America/Asuncion".split(" "),
  ..."America/Santiago America/Havana America/Mexico_City America/Tijuana America/Godthab America/Scoresbysund".split(
    " "
  ),
  ..."Atlantic/Azores Africa/Casablanca Africa/Cairo Africa/Khartoum Africa/Windhoek Africa/Lagos".split(" "),
  ..."Asia/Jerusalem Asia/Gaza Asia/Beirut Asia/Amman Asia/Tehran Asia/Kolkata Asia/Kathmandu Asia/Pyongyang".split(
    " "
  ),
  ..."Asia/Shanghai Asia/Tokyo Asia/Ulaanbaatar Australia/Sydney Australia/Lord_Howe Australia/Adelaide".split(" "),
  ..."Pacific/Auckland Pacific/Chatham Pacific/Apia Antarctica/Troll".split(" ")
]

const from = Date.UTC(2015, 0, 1)
const to = Date.UTC(2025, 0, 1)
const hour = 3_600_000
const day = 24 * hour

const planOf = (cron: string, timeZone: string) => {
  const spec: Spec = { cron, timeZone, missed: "runAll", overlap: "allow" }
  return { spec, plan: toPlan("s", spec) }
}

/** Local time of a zone: whole date and time as text that sorts. */
const localOf = (timeZone: string) => {
  const format = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "medium" })
  return (at: number) => format.format(at)
}

const offsetOf = (local: (at: number) => string) => (at: number) =>
  Date.parse(`${local(at).replace(" ", "T")}Z`) - Math.floor(at / 1000) * 1000

/** The instants at which the offset of a zone changes: looked for in steps of half a day, then halved. */
const changes = (offset: (at: number) => number): ReadonlyArray<number> => {
  const found: Array<number> = []
  let before = offset(from)
  for (let at = from; at < to; at += day / 2) {
    const after = offset(at + day / 2)
    if (after !== before) {
      let low = at
      let high = at + day / 2
      while (high - low > 1000) {
        const middle = Math.floor((low + high) / 2000) * 1000
        if (offset(middle) === before) low = middle
        else high = middle
      }
      found.push(high)
    }
    before = after
  }
  return found
}

const walk = (plan: Plan, since: number, until: number): ReadonlyArray<number> => {
  const instants: Array<number> = []
  for (let at = plan.after(since - 1); at !== undefined && at < until; at = plan.after(at)) instants.push(at)
  return instants
}

it("the zones are fifty", () => {
  assert.strictEqual(new Set(zones).size, 50)
})

describe("from 2015 to 2025", { timeout: 120_000 }, () => {
  it.each(zones)("%s", (zone) => {
    const local = localOf(zone)
    const offset = offsetOf(local)
    const steps = changes(offset)

    // Each day has one instant at 2:30, whatever the clocks do: at that local time, or, in a gap, right after it. Every day
    // that has a change within reach is looked at, and one in ten of the others.
    const daily = planOf("30 2 * * *", zone)
    const check = (at: number): number => {
      const next = daily.plan.after(at)!
      const date = Date.parse(local(at).slice(0, 10))
      assert.strictEqual(Date.parse(local(next).slice(0, 10)), date + day, `after ${new Date(at).toISOString()}`)
      if (local(next).slice(11) !== "02:30:00") {
        assert.isTrue(
          steps.some((step) => next >= step && next - step < 2 * hour),
          `${new Date(next).toISOString()} is no gap`
        )
      }
      return next
    }
    for (let at = from + day; at < to - day; at += 10 * day) check(daily.plan.after(at)!)
    for (const step of steps) {
      for (let at = daily.plan.after(step - 4 * day)!; at < step + 3 * day;) at = check(at)
    }

    // The quarters of every hour that the local clock shows, also of one that it shows twice, at the last changes.
    const quarters = planOf("0 */15 * * * *", zone)
    const last = steps.slice(-4)
    for (const step of last) {
      const expected: Array<number> = []
      // Offsets are quarters of an hour.
      for (let at = step - 4 * hour; at < step + 4 * hour; at += 300_000) {
        if (/:(00|15|30|45):00$/.test(local(at))) expected.push(at)
      }
      assert.deepStrictEqual(walk(quarters.plan, step - 4 * hour, step + 4 * hour), expected)
    }

    for (const [{ plan, spec }, reach] of [[daily, 2 * day], [quarters, 3 * hour]] as const) {
      for (const step of last) {
        const around = walk(plan, step - reach, step + reach)
        // What was missed over a change is the same, looked at from any moment of it: none twice, none lost.
        let next: number | undefined = around[0]!
        const caughtUp: Array<number> = []
        for (let now = around[0]!; now < step + reach; now += reach / 7) {
          while (next !== undefined && next <= now) {
            const due = dueOf(plan, spec, next, now)
            caughtUp.push(...due.instants)
            next = due.nextAt
          }
        }
        assert.deepStrictEqual(caughtUp, around.slice(0, caughtUp.length))
        assert.isAbove(caughtUp.length, around.length * 0.7)
        for (const at of around) assert.strictEqual(plan.latest(at), at)
        for (let i = 1; i < around.length; i++) assert.strictEqual(plan.latest(around[i]! - 1), around[i - 1])
      }
    }
  })
})
