import { every, type Fault, line, type Run, strikes } from "../fault.ts"
import { accounts, balancesAfter, opening } from "../jobs/bank.ts"
import { crashing } from "./crash.ts"

export const transfers: Fault = {
  id: "F20",
  title: "transfers that commit with the end of their attempt, while workers are killed and the server crashes",
  needs: "balances",
  strike: async ({ cluster, seconds }) => {
    // A transaction has a connection for itself.
    await cluster.startWorkers({ count: 3, concurrency: 3 })
    await cluster.startProducers({
      loads: [{ kinds: ["Transfer"], millis: [10, 50], rate: 60, inFlight: 50 }]
    })
    await Promise.all([crashing(cluster, seconds, 1), every(700, seconds, () => cluster.killOne())])
  },
  look: async ({ namespace, saw, server }) => {
    for (const balance of await server.balances!(namespace)) saw("balance", balance)
  },
  judge: (run) => [...strikes(run, "kill", "crash"), sum(run), moved(run)],
  control: {
    without: "commit",
    // Each of the two would crash the server of the other.
    isApart: true,
    red: (run) => ({ ...moved(run), holds: !sum(run).holds && !moved(run).holds })
  }
}

const balancesOf = ({ seen }: Run): ReadonlyArray<number> => seen.get("balance") ?? []

const sum = (run: Run) => {
  const off = balancesOf(run).reduce((sum, balance) => sum + balance, 0) - accounts * opening
  return line(`sum of the accounts changed by ${off}`, off === 0)
}

const moved = (run: Run) => {
  const balances = balancesOf(run)
  const wrong = balancesAfter(run.stored).filter((balance, i) => balance !== balances[i]).length
  return line(`accounts that do not have what was moved ${wrong} of ${balances.length}`, wrong === 0)
}
